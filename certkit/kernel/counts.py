"""The rule for counts: bin the terms outward, and count the sequences whose binned sum is high enough.

With v_p(t) = f_p(t)·e^{−shift}, a width w > 0, any offset o, and j = K−1 non-query positions:
if a sequence fails for x, then Σ v_p(t_p) ≥ −v_j(q), so Σ ⌈(v_p − o)/w⌉ ≥ ⌈(−v_j(q) − j·o)/w⌉; and if
Σ ⌊(v_p + o)/w⌋ ≥ ⌈(−v_j(q) + j·o)/w⌉, then it fails for x. Rounding the left side up and the right side down
keeps the first statement true; rounding the left side down and the right side up keeps the second.
The terms of a bound are those of `row_gains`; the second statement is made of single tokens alone.
"""

from __future__ import annotations

from flint import arb, fmpz_poly

from certkit.kernel.model import Model, ceiling
from certkit.kernel.reader import Entry, Row
from certkit.kernel.tails import row_terms
from certkit.kernel.verdict import Finding

PRECISIONS = (64, 128, 256, 512, 1024, 2048)
MAX_BINS = 1 << 16


def check_count(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless least ≤ lower(x) and upper(x) ≤ most; return the precision that was needed."""
    where = f"q={entry.q} m={entry.m} x={row.x}"
    least, most = row.failing_at_least, row.failing_at_most
    for bits in PRECISIONS:
        lower, upper = recount(model, entry, row, bits)
        if least <= lower and upper <= most:
            return bits
        lower, upper = recount(model, entry, row, bits, inward=True)
        if lower < least or most < upper:
            claim = f"failing between {least} and {most}, recounted {lower} to {upper}"
            raise Finding("refuted", "count", f"{where}: {claim}")
    raise Finding("undecided", "count", f"{where}: with {PRECISIONS[-1]} bits and at most {MAX_BINS} bins")


def recount(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, int]:
    """Return numbers (lower, upper) that bound how many sequences of the class fail for x.

    With `inward` every rounding goes the other way: lower is then at least, and upper at most, what exact
    bins give, so that a claim beyond them is false.
    """
    width, offset = map(arb, row.numbers)
    table = [[term / width for term in terms] for terms in row_terms(model, entry, row, bits)]
    others, shift, query = model.k - 1, offset / width, table[-1][entry.q]
    # For the upper count the terms are rounded up and what they need to reach is rounded down.
    high, low = (_ceil_low, _ceil_high) if inward else (_ceil_high, _ceil_low)
    up = [[high(term - shift) for term in terms] for terms in table[:-1]]
    down = [[-high(-term - shift) for term in terms] for terms in table[:-1]]
    need_up, need_down = low(-query - others * shift), high(-query + others * shift)
    most_there_are = (entry.m + 1) ** others  # and 0 are the bounds of what takes too many bins to count
    unknown = (most_there_are, 0) if inward else (0, most_there_are)
    return _number(down, need_down, entry, unknown[0]), _number(up, need_up, entry, unknown[1])


def _ceil_high(ball: arb) -> int:
    return ceiling(ball.upper())


def _ceil_low(ball: arb) -> int:
    return ceiling(ball.lower())


def _number(rows: list[list[int]], need: int, entry: Entry, unknown: int) -> int:
    """Return the exact number of sequences of the class with Σ rows[p][t_p] ≥ need, or `unknown`.

    It is unknown where counting takes too many bins: rounding at a low precision can make that many of few.

    In z^(largest − value) the condition bounds the degree, so the polynomials are cut after `room`. If q < m,
    the sequences without m, counted with the same bins, are taken away.
    """
    tops = [max(values) for values in rows]
    room = sum(tops) - need
    if room < 0:
        return 0
    if room >= MAX_BINS:
        return unknown
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
