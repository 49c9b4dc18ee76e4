"""The rule for rows: recompute how many sequences of a class (q, m) fail, at most and perhaps at least.

A row is about a group X of wrong tokens. With v_p(t) = max_{x∈X} f_p(t,x)·e^{−shift}, a sequence that fails
for some x in X has Σ_p v_p(t_p) ≥ 0. Two kinds of rows bound how many sequences have that.

**Tails.** For λ ≥ 0 such a sequence has exp(λ Σ_p v_p) ≥ 1, every other one has it above 0. So the sum of
exp(λ Σ_p v_p) over the class is a bound.

**Pools.** A pool is a tail for each wrong token, with the best multiplier of a ladder λ·(1, 2, 3, 4, 6, 8 …).
From the fourth on each is twice the one before the last, so the powers are squares. For tokens t < m that
are *light*, v_p(t) is at most h = e^{−shift}·max weight·max place·max(0, max gain), over these tokens and
all positions p < K−1, and exp(λh) stands for their powers.

**Counts.** For a width w > 0, any offset o, and j = K−1 non-query positions: if Σ v_p(t_p) ≥ −v_j(q), then
Σ ⌈(v_p − o)/w⌉ ≥ ⌈(−v_j(q) − j·o)/w⌉; and if Σ ⌊(v_p + o)/w⌋ ≥ ⌈(−v_j(q) + j·o)/w⌉, then Σ v_p ≥ −v_j(q).
Rounding the left side up and the right side down keeps the first statement true; rounding the left side down
and the right side up keeps the second, which is made of single tokens alone.

**Meets.** In a bound each failing sequence is counted in the first row with a token it fails for. So a row
may leave out sequences that fail for a token y of an earlier row. If Σ a_p ≥ N is the first condition for its
own terms, and Σ b_p ≥ M the second for a multiple of those of y, what has Σ min(a_p, b_p) ≥ max(N, M) is
counted, and fails for y. Rounding min down and max up keeps both true.

All of it factorises over the positions, and a class is "all tokens ≤ m" less, if q < m, "all tokens < m".
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import reduce
from operator import mul
from typing import NamedTuple

from flint import arb, fmpz, fmpz_poly

from certkit.kernel.counting import members
from certkit.kernel.model import Model, attention, ceiling
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import PRECISIONS, enclose
from certkit.kernel.verdict import Finding

MAX_BINS = 1 << 16
Side = Callable[[arb], int]  # which end of a ball is rounded up
Sum = tuple[list[list[int]], int]  # integers by non-query position and token ≤ m, and what they must reach


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


def row_terms(
    model: Model, entry: Entry, outputs: tuple[int, ...], bits: int, only: tuple[int, ...] | None = None
) -> list[list[arb]]:
    """Return balls around the terms v_p(t) of a group of tokens, by position and token, as `enclose` does."""
    table = enclose(model, entry, outputs, bits, only=only)
    scale = unit(model, entry, bits)
    return [[scale * term for term in terms] for terms in table]


def unit(model: Model, entry: Entry, bits: int) -> arb:
    """Return the factor of the terms of `enclose` that makes them v_p(t)."""
    weight = attention(model, entry.q, entry.m, bits)
    return (weight.top * weight.unit - arb(entry.shift)).exp() * arb(2) ** -model.exponent


def tail_bounds(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, arb]:
    """Return 0 and a ball around the bound of a tail or pool, before the floor; `inward` changes nothing."""
    light = frozenset(members(row.light))
    only = (*(t for t in range(entry.m + 1) if t not in light), entry.q)
    total = arb(0)
    for x in [x for x in range(model.vocab) if x != entry.m] if row.x == entry.m else [row.x]:
        *table, last = row_terms(model, entry, (x,), bits, only)
        shared = light_term(model, entry, light, x, bits) if light else arb(0)
        exponents = [*(terms[:-1] for terms in table), [last[-1], shared]]
        powers = [[(row.numbers[0] * v).exp() for v in terms] for terms in exponents]
        total += reduce(arb.min, (class_sum(entry, step, len(light)) for step in ladder(powers, row.levels)))
    return 0, total


def light_term(model: Model, entry: Entry, light: Set[int], x: int, bits: int) -> arb:
    """Return h of the light tokens."""
    tokens, places = model.gains(entry.q, entry.m, x)
    weight, most = attention(model, entry.q, entry.m, bits), max(places[:-1], default=0)
    largest = max(weight.token[t].upper() for t in light)
    place = max((ball.upper() for ball in weight.place[:-1]), default=arb(0))
    return unit(model, entry, bits) * largest * place * fmpz(max(0, max(tokens[t] for t in light) + most))


def ladder(powers: list[list[arb]], levels: int) -> list[list[list[arb]]]:
    """Return exp(s·v) for s = 1, 2, 3, 4, 6, 8, … from the powers exp(v), by products."""
    steps = [powers]
    for level in range(1, levels):
        one = steps[max(0, level - 2)]
        two = steps[-1] if level <= 2 else one
        steps.append([list(map(mul, *rows)) for rows in zip(one, two, strict=True)])
    return steps


def class_sum(entry: Entry, powers: list[list[arb]], light: int) -> arb:
    """Return the sum over the class of the products of its powers, with so many light tokens more.

    By non-query position the powers are those of the tokens, m last; at the end those of the query and of a
    light token. `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation,
    where S_p is the sum over the tokens t ≤ m and R_p over t < m, namely
    (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
    """
    *table, (query, shared) = powers
    holding, remaining = arb(0), arb(1)
    for *rest, at_max in table:
        below = sum(rest, light * shared)
        holding = holding * (below + at_max) + remaining * at_max
        remaining = remaining * below
    return query * (holding if entry.q < entry.m else holding + remaining)


def recount(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, int]:
    """Return (lower, upper), which enclose the number of failing sequences; lower is 0 if none are claimed.

    With `inward` every rounding goes the other way: lower is then at least, and upper at most, what exact
    bins give, so that a claim beyond them is false. What takes too many bins to count is unknown: rounding at
    a low precision can make that many of few.
    """
    high, low = (_ceil_low, _ceil_high) if inward else (_ceil_high, _ceil_low)
    view = scaled(model, entry, row, (row.x, *row.others), bits)
    lower = _number(entry, view.down(high)) if row.failing_at_least else 0
    upper = _number(entry, view.up(high, low))
    if row.meet and upper is not None:
        (y, times), (rows, need) = row.meet, view.up(low, high)
        others, also = scaled(model, entry, row, (y,), bits, times).down(high)
        least = [list(map(min, *pair)) for pair in zip(rows, others, strict=True)]
        both = _number(entry, (least, max(need, also)))
        upper = None if both is None else upper - both
    everything = (entry.m + 1) ** (model.k - 1)
    lower = inward * everything if lower is None else lower
    return lower, (not inward) * everything if upper is None else upper


class Scaled(NamedTuple):
    """Terms and offset in units of a width: those of the positions before the query, and the query's."""

    table: list[list[arb]]
    query: arb
    offset: arb

    def up(self, high: Side, low: Side) -> Sum:
        """Return ⌈v_p(t) − o⌉ by `high`, and by `low` what they must reach: every failing sequence does."""
        rows = [[high(v - self.offset) for v in terms] for terms in self.table]
        return rows, low(-self.query - len(rows) * self.offset)

    def down(self, high: Side) -> Sum:
        """Return ⌊v_p(t) + o⌋ and what they must reach, rounded the other way: only failing sequences do."""
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


def _number(entry: Entry, wanted: Sum) -> int | None:
    """Return the exact number of sequences of the class that reach the sum; None if that takes too many bins.

    In z^(largest − value) the condition bounds the degree, so the polynomials are cut after `room`. If q < m,
    the sequences without m, counted with the same bins, are taken away.
    """
    rows, need = wanted
    tops = [max(values) for values in rows]
    room = sum(tops) - need
    if not 0 <= room < MAX_BINS:
        return 0 if room < 0 else None
    every, without = fmpz_poly([1]), fmpz_poly([1])
    for values, top in zip(rows, tops, strict=True):
        tally = [0] * (room + 1)
        for value in values[:-1]:
            if top - value <= room:
                tally[top - value] += 1
        if entry.q < entry.m:
            without = without.mul_low(fmpz_poly(tally), room + 1)
        if top - values[-1] <= room:
            tally[top - values[-1]] += 1
        every = every.mul_low(fmpz_poly(tally), room + 1)
    return int(every(1)) - (int(without(1)) if entry.q < entry.m else 0)
