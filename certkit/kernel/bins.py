"""The rule for counts and bounds. It is loaded only for a certificate that holds one.

**Counts.** For a width w > 0, any offset o, and j = K−1 non-query positions: if Σ v_p(t_p) ≥ −v_j(q), then
Σ ⌈(v_p − o)/w⌉ ≥ ⌈(−v_j(q) − j·o)/w⌉; and if Σ ⌊(v_p + o)/w⌋ ≥ ⌈(−v_j(q) + j·o)/w⌉, then Σ v_p ≥ −v_j(q).
Rounding the left side up and the right side down keeps the first statement true; rounding the left side down
and the right side up keeps the second, which is made of single tokens alone.

**Meets.** In a bound each failing sequence is counted in the first row with a token it fails for. So a row
may leave out sequences that fail for a token y of an earlier row. If Σ a_p ≥ N is the first condition for its
own terms, and Σ b_p ≥ M the second for a multiple of those of y, what has Σ min(a_p, b_p) ≥ max(N, M) is
counted, and fails for y. Rounding min down and max up keeps both true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flint import arb, fmpz_poly

from certkit.kernel.counting import need
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Row
from certkit.kernel.tails import row_terms
from certkit.kernel.verdict import Finding

MAX_BINS = 1 << 16
LARGEST = arb(2) ** (1 << 13)
Side = Callable[[arb], int]  # which end of a ball is rounded up
Sum = tuple[list[list[int]], int]  # integers by non-query position and token ≤ m, and what they must reach


def recount(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, int]:
    """Return (lower, upper): so many sequences fail at least, and at most but for what a meet leaves out.

    The lower number is 0 if none are claimed.

    With `inward` every rounding goes the other way: lower is then at least, and upper at most, what exact
    bins give, so that a claim beyond them is false. What takes too many bins to count is unknown: rounding at
    a low precision can make that many of few.
    """
    high, low = (_ceil_low, _ceil_high) if inward else (_ceil_high, _ceil_low)
    view = scaled(model, entry, row, row.outputs, bits)
    lower = _number(entry, view.down(high)) if row.failing_at_least else 0
    upper = _number(entry, view.up(high, low))
    if row.meet and upper is not None:
        (y, times), (rows, reach) = row.meet, view.up(low, high)
        others, also = scaled(model, entry, row, (y,), bits, times).down(high)
        least = [list(map(min, *pair)) for pair in zip(rows, others, strict=True)]
        both = _number(entry, (least, max(reach, also)))
        upper = None if both is None else upper - both
    everything = (entry.m + 1) ** (model.k - 1)
    lower = inward * everything if lower is None else lower
    return lower, (not inward) * everything if upper is None else upper


def check_bins(entry: Entry, row: Row) -> None:
    """Raise a `Finding` unless the numbers of a row are as the rule needs them."""
    (width, _), least, about = row.numbers, row.failing_at_least, row.about
    need(width > 0, entry, about, "a width is > 0, not", width)
    need(all(k > 0 for k in row.meet[1:]), entry, about, "meets by no multiple", *row.meet)
    alone = len(row.outputs) == 1 and not row.meet
    need(least == 0 or alone, entry, about, "failing at least", least, "is for single tokens")


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


def ceiling(end: arb) -> int:
    """Return the least integer that is not below a dyadic (the end of a ball)."""
    if not abs(end) < LARGEST:
        raise Finding("undecided", "precision", "a number is too large for the auditor's arithmetic")
    mantissa, exponent = map(int, end.man_exp())
    return mantissa << exponent if exponent >= 0 else -(-mantissa >> -exponent)


def _ceil_high(ball: arb) -> int:
    return ceiling(ball.upper())


def _ceil_low(ball: arb) -> int:
    return ceiling(ball.lower())


def _number(entry: Entry, wanted: Sum) -> int | None:
    """Return the exact number of sequences of the class that reach the sum; None if that takes too many bins.

    In z^(largest − value) the condition bounds the degree, so the polynomials are cut after `room`. If q < m,
    the sequences without m, counted with the same bins, are taken away.
    """
    rows, reach = wanted
    tops = [max(values) for values in rows]
    room = sum(tops) - reach
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
