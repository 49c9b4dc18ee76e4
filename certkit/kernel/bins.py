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
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb, fmpz_poly

from certkit.kernel.counting import Tokens
from certkit.kernel.model import Model
from certkit.kernel.reader import dyadic, refuse, shaped, wide
from certkit.kernel.tails import Rows
from certkit.kernel.verdict import Finding

MAX_BINS = 1 << 16
LARGEST = arb(2) ** (1 << 13)
Side = Callable[[arb], int]  # which end of a ball is rounded up
Sum = tuple[list[list[int]], int]  # integers by non-query position and token ≤ m, and what they must reach


class Row(NamedTuple):
    """What is claimed of some wrong tokens.

    It may leave out what fails for an earlier token y by ``k/64`` of its terms, if `meet` is (y, k).
    """

    outputs: Tokens
    meet: Tokens
    width: float
    offset: float
    most: int
    least: int

    def __str__(self) -> str:
        return f"x={','.join(map(str, self.outputs))}"


class Bounds(Rows):
    """The rule for a class that is given as bounds."""

    name = "bounds"

    def rows(self) -> list[Row]:
        """Return the rows."""
        return [Row(*row) for row in self.content["rows"]]

    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the rows leave to be correct, and how many they say fail.

        Raise a `Finding` unless the rows are about wrong tokens, each in one row, and claim what can be.
        """
        covered, rows = set[int](), self.rows()  # covered are the tokens of earlier rows
        for row in rows:
            rising = all(a < b for a, b in pairwise((-1, *row.outputs, vocab)))
            new = rising and self.m not in row.outputs and covered.isdisjoint(row.outputs)
            self.need(new, row, "is m, no token, out of order or there twice")
            self.need(covered.issuperset(row.meet[:1]), row, "meets no earlier row by", *row.meet)
            self.need(0 <= row.least <= row.most, row, "failing between", row.least, row.most)
            self.need(row.width > 0, row, "a width is > 0, not", row.width)
            self.need(all(times > 0 for times in row.meet[1:]), row, "meets by no multiple", *row.meet)
            alone = len(row.outputs) == 1 and not row.meet
            self.need(row.least == 0 or alone, row, "failing at least", row.least, "is for single tokens")
            covered.update(row.outputs)
        return self.left(k, sum(row.most for row in rows)), max((row.least for row in rows), default=0)

    def check(self, model: Model) -> int:
        """Raise a `Finding` unless the rows say what is true; return the precision that was needed."""
        rows, rest = self.rows(), {*range(model.vocab)} - {self.m}
        rest.difference_update(*(row.outputs for row in rows))
        bits = [
            self.check_row(str(row), row.least, row.most, partial(self.recount, model, row)) for row in rows
        ]
        return max([*bits, self.never_fail(model, sorted(rest))])

    def recount(self, model: Model, row: Row, bits: int, inward: bool) -> tuple[int, int]:
        """Return (lower, upper): so many fail at least, and at most but for what a meet leaves out.

        The lower number is 0 if none are claimed.

        With `inward` every rounding goes the other way: lower is then at least, and upper at most, what exact
        bins give, so that a claim beyond them is false. What takes too many bins to count is unknown:
        rounding at a low precision can make that many of few.
        """
        high, low = (_ceil_low, _ceil_high) if inward else (_ceil_high, _ceil_low)
        view = self.scaled(model, row, row.outputs, bits)
        lower = self.number(view.down(high)) if row.least else 0
        upper = self.number(view.up(high, low))
        if row.meet and upper is not None:
            (y, times), (rows, reach) = row.meet, view.up(low, high)
            others, also = self.scaled(model, row, (y,), bits, times).down(high)
            least = [list(map(min, *pair)) for pair in zip(rows, others, strict=True)]
            both = self.number((least, max(reach, also)))
            upper = None if both is None else upper - both
        everything = (self.m + 1) ** (model.k - 1)
        lower = inward * everything if lower is None else lower
        return lower, (not inward) * everything if upper is None else upper

    def scaled(self, model: Model, row: Row, outputs: Tokens, bits: int, times: int = 64) -> Scaled:
        """Return times/64 of the terms of the outputs, in units of the row's width."""
        width, offset = arb(row.width), arb(row.offset)
        unit = 64 * width / times
        *table, last = [[v / unit for v in terms] for terms in self.terms(model, outputs, bits)]
        return Scaled(table, last[self.q], offset / width)

    def number(self, wanted: Sum) -> int | None:
        """Return the exact number of sequences of the class that reach the sum; None if too many bins.

        In z^(largest − value) the condition bounds the degree, so the polynomials are cut after `room`. If
        q < m, the sequences without m, counted with the same bins, are taken away.
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
            if self.q < self.m:
                without = without.mul_low(fmpz_poly(tally), room + 1)
            if top - values[-1] <= room:
                tally[top - values[-1]] += 1
            every = every.mul_low(fmpz_poly(tally), room + 1)
        return int(every(1)) - (int(without(1)) if self.q < self.m else 0)


class Counts(Bounds):
    """The rule for a class that is given as counts, which are about single tokens in their order."""

    name = "counts"

    def rows(self) -> list[Row]:
        """Return the rows."""
        return [Row((x,), (), *numbers) for x, *numbers in self.content["rows"]]

    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return what the rows of bounds would, if these are in order."""
        for one, two in pairwise(self.content["rows"]):
            self.need(one[0] < two[0], f"x={two[0]} is m, no token, out of order or there twice")
        return super().count(k, vocab)


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


def _about(value: Any, name: str) -> Tokens:
    tokens: Tokens = shaped(value, [int], name)
    return tokens or refuse("schema", f"{name}: a bound is about tokens")


def _meet(value: Any, name: str) -> Tokens:
    meet: Tokens = shaped(value, [int], name)
    return (
        meet if len(meet) in (0, 2) else refuse("schema", f"{name}: a bound meets one or none by a multiple")
    )


_NUMBERS = (dyadic, dyadic, wide, wide)
RULES = {
    "counts": ({"shift": dyadic, "rows": [(int, *_NUMBERS)]}, Counts),
    "bounds": ({"shift": dyadic, "rows": [(_about, _meet, *_NUMBERS)]}, Bounds),
}
