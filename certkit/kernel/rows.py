"""The rule for rows: recompute how many sequences of a class (q, m) fail, at most and perhaps at least.

A row is about a group X of wrong tokens. With v_p(t) = max_{x∈X} f_p(t,x)·e^{−shift}, a sequence that fails
for some x in X has Σ_p v_p(t_p) ≥ 0. Two kinds of rows bound how many sequences have that.

**Tails.** For λ ≥ 0 such a sequence has exp(λ Σ_p v_p) ≥ 1, every other one has it above 0. So the sum of
exp(λ Σ_p v_p) over the class is a bound.

**Counts.** For a width w > 0, any offset o, and j = K−1 non-query positions: if Σ v_p(t_p) ≥ −v_j(q), then
Σ ⌈(v_p − o)/w⌉ ≥ ⌈(−v_j(q) − j·o)/w⌉; and if Σ ⌊(v_p + o)/w⌋ ≥ ⌈(−v_j(q) + j·o)/w⌉, then Σ v_p ≥ −v_j(q).
Rounding the left side up and the right side down keeps the first statement true; rounding the left side down
and the right side up keeps the second, which is made of single tokens alone.

**Tilts.** Each failing sequence is counted in the first row with a token it fails for. So a row may use that
it fails for no token y of an earlier row: with v^y_p = f_p(·,y)·e^{−shift}, Σ_p v^y_p < 0, so if μ_y > 0,
exp(−μ_y Σ_p v^y_p) > 1. The bound stays one if every sequence counts Π_y exp(−μ_y Σ_p v^y_p) times.

**Meets.** Instead, a count may leave out sequences that fail for a token y of an earlier row. If Σ a_p ≥ N is
the first statement's condition for v_p, and Σ b_p ≥ M the second's for a multiple of v^y_p, those with
Σ min(a_p, b_p) ≥ max(N, M) are among those counted, and fail for y.

All of it factorises over the positions, and a class is "all tokens ≤ m" less, if q < m, "all tokens < m".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flint import arb, fmpz, fmpz_poly

from certkit.kernel.model import Model, attention, ceiling
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import PRECISIONS, enclose
from certkit.kernel.verdict import Finding

Side = Callable[[arb], int]  # which end of a ball is rounded up

MAX_BINS = 1 << 16
MAX_DIGITS = 1 << 28  # bits of all coefficients of a polynomial


def check_row(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless least ≤ lower and ⌊upper⌋ ≤ most; return the precision that was needed."""
    rule, bounds = ("tail", tail_bounds) if len(row.numbers) == 1 else ("count", recount)
    least, most = row.failing_at_least, row.failing_at_most
    claim = f"q={entry.q} m={entry.m} x={row.x}: failing between {least} and {most}"
    for bits in PRECISIONS:
        lower, upper = bounds(model, entry, row, bits)
        if least <= lower and upper < most + 1:
            return bits
        lower, upper = bounds(model, entry, row, bits, inward=True)
        if lower < least or upper >= most + 1:
            raise Finding("refuted", rule, f"{claim}, recounted {lower} to {upper}")
    raise Finding("undecided", rule, f"{claim}, with {PRECISIONS[-1]} bits and at most {MAX_BINS} bins")


def row_terms(model: Model, entry: Entry, outputs: tuple[int, ...], bits: int) -> list[list[arb]]:
    """Return balls around the terms v_p(t) of a group of tokens, by position and token ≤ m."""
    table = enclose(model, entry, outputs, bits)
    weight = attention(model, entry.q, entry.m, bits)
    unit = (weight.top * weight.unit - arb(entry.shift)).exp() * arb(2) ** -model.exponent
    return [[unit * term for term in terms] for terms in table]


def tilt_terms(model: Model, entry: Entry, row: Row, bits: int) -> list[list[arb]]:
    """Return balls around −Σ_y μ_y·v^y_p(t), by position and token ≤ m; 0 for a row without tilts."""
    table = [[arb(0)] * (entry.m + 1)] * model.k
    for y, amount in row.tilts:
        views = zip(table, row_terms(model, entry, (y,), bits), strict=True)
        table = [[a - amount * b for a, b in zip(old, new, strict=True)] for old, new in views]
    return table


def tail_bounds(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, arb]:
    """Return 0 and a ball around the bound of a tail, before the floor; `inward` makes no difference.

    `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation, where S_p is the
    sum over the tokens t ≤ m and R_p over t < m: (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
    """
    (multiplier,) = row.numbers
    terms = row_terms(model, entry, (row.x, *row.others), bits)
    views = zip(terms, tilt_terms(model, entry, row, bits), strict=True)
    *table, last = [[multiplier * v + tilt for v, tilt in zip(*view, strict=True)] for view in views]
    holding, remaining = arb(0), arb(1)
    for exponents in table:
        *powers, at_max = [exponent.exp() for exponent in exponents]
        below = sum(powers, arb(0))
        holding = holding * (below + at_max) + remaining * at_max
        remaining = remaining * below
    return 0, last[entry.q].exp() * (holding if entry.q < entry.m else holding + remaining)


def recount(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, int | arb]:
    """Return (lower, upper), which enclose the number of failing sequences; lower is 0 if none are claimed.

    With `inward` every rounding goes the other way: lower is then at least, and upper at most, what exact
    bins give, so that a claim beyond them is false. What takes too many bins to count is unknown: rounding at
    a low precision can make that many of few.
    """
    all_there_are = (entry.m + 1) ** (model.k - 1)
    high, low = (_ceil_low, _ceil_high) if inward else (_ceil_high, _ceil_low)
    view = scaled(model, entry, row, (row.x, *row.others), bits)
    lower = _number(entry, _bins(*view.down(high))) if row.failing_at_least else 0
    bins = _bins(*view.up(high, low))
    upper: int | arb | None
    upper = _tilted(model, entry, row, bits, bins, inward) if row.tilts else _number(entry, bins)
    if row.meet and upper is not None:
        (y, times), (rows, need) = row.meet, view.up(low, high)
        others, also = scaled(model, entry, row, (y,), bits, times).down(high)
        least = [list(map(min, *pair)) for pair in zip(rows, others, strict=True)]
        both = _number(entry, _bins(least, max(need, also)))
        upper = None if both is None else upper - both
    return (
        inward * all_there_are if lower is None else lower,
        (not inward) * all_there_are if upper is None else upper,
    )


class Scaled(NamedTuple):
    """Terms and offset in units of a width: those of the positions before the query, and the query's."""

    table: list[list[arb]]
    query: arb
    offset: arb

    def up(self, high: Side, low: Side) -> tuple[list[list[int]], int]:
        """Return ⌈v_p(t) − o⌉ and what they must add up to, which those of a failing sequence do.

        The first is rounded up and the second down if `high` is the upper and `low` the lower side.
        """
        rows = [[high(v - self.offset) for v in terms] for terms in self.table]
        return rows, low(-self.query - len(rows) * self.offset)

    def down(self, high: Side) -> tuple[list[list[int]], int]:
        """Return ⌊v_p(t) + o⌋, rounded down, and what they must add up to, rounded up: then it fails."""
        rows = [[-high(-v - self.offset) for v in terms] for terms in self.table]
        return rows, high(-self.query + len(rows) * self.offset)


def scaled(
    model: Model, entry: Entry, row: Row, outputs: tuple[int, ...], bits: int, times: int = 64
) -> Scaled:
    """Return times/64 of the terms of the outputs, in units of the row's width."""
    width, offset = map(arb, row.numbers)
    unit = 64 * width / times
    *table, last = [[v / unit for v in terms] for terms in row_terms(model, entry, outputs, bits)]
    return Scaled(table, last[entry.q], offset / width)


def _ceil_high(ball: arb) -> int:
    return ceiling(ball.upper())


def _ceil_low(ball: arb) -> int:
    return ceiling(ball.lower())


class Bins(NamedTuple):
    """Degrees of tokens by non-query position: a sequence counts if it has them and their sum is ≤ `room`."""

    degrees: list[dict[int, int]]
    room: int


def _bins(rows: list[list[int]], need: int) -> Bins:
    """Return the bins of the sequences with Σ rows[p][t_p] ≥ need; a degree is largest − value."""
    tops = [max(values) for values in rows]
    room = sum(tops) - need
    views = zip(tops, rows, strict=True)
    return Bins(
        [{t: top - n for t, n in enumerate(values) if top - n <= room} for top, values in views], room
    )


def _number(entry: Entry, bins: Bins, weights: list[dict[int, int]] | None = None) -> int | None:
    """Return the exact sum, over the sequences of the class that count, of the product of their weights.

    Without weights that is their number; None if it takes too many bins. Polynomials are cut after `room`. If
    q < m, the sequences without m, counted with the same bins and weights, are taken away.
    """
    if not 0 <= bins.room < MAX_BINS:
        return 0 if bins.room < 0 else None
    every, without = fmpz_poly([1]), fmpz_poly([1])
    for p, degrees in enumerate(bins.degrees):
        tally = [0] * (bins.room + 1)
        amounts = weights[p] if weights else dict.fromkeys(degrees, 1)
        at_max = degrees.get(entry.m)
        for t, degree in degrees.items():
            tally[degree] += amounts[t] if t < entry.m else 0
        if entry.q < entry.m:
            without = without.mul_low(fmpz_poly(tally), bins.room + 1)
        if at_max is not None:
            tally[at_max] += amounts[entry.m]
        every = every.mul_low(fmpz_poly(tally), bins.room + 1)
    return int(every(1)) - (int(without(1)) if entry.q < entry.m else 0)


def _tilted(model: Model, entry: Entry, row: Row, bits: int, bins: Bins, inward: bool) -> arb | None:
    """Return a ball around the sum, over the sequences that count, of exp(tilt), or None if it is not told.

    The weight of a token is rounded up (`inward`: down) to a multiple of 2^−bits times the largest one of its
    position. A sequence with m and one without get the same weights, so that their difference is exact.
    """
    if bins.room < 0:
        return arb(0)
    *table, last = tilt_terms(model, entry, row, bits)
    if (bins.room + 1) * len(table) * bits > MAX_DIGITS:
        return None
    exponent, unit, weights = last[entry.q], arb(2) ** bits, []
    for degrees, tilts in zip(bins.degrees, table, strict=True):
        largest = max(tilts[t].upper() for t in degrees)
        balls = {t: (tilts[t] - largest).exp() * unit for t in degrees}
        if not all(ball < 2 * unit for ball in balls.values()):
            return None
        exponent += largest
        sides = {t: max(0, -_ceil_high(-b)) if inward else _ceil_high(b) for t, b in balls.items()}
        weights.append(sides)
    number = _number(entry, bins, weights)
    return None if number is None else exponent.exp() * fmpz(number) / unit ** len(table)
