"""The rule for counts: bin the terms outward, and count the sequences whose binned sum is high enough.

With v_p(t) = f_p(t)·e^{−shift}, a width w > 0, any offset o, and j = K−1 non-query positions:
if a sequence fails for x, then Σ v_p(t_p) ≥ −v_j(q), so Σ ⌈(v_p − o)/w⌉ ≥ ⌈(−v_j(q) − j·o)/w⌉; and if
Σ ⌊(v_p + o)/w⌋ ≥ ⌈(−v_j(q) + j·o)/w⌉, then it fails for x. Rounding the left side up and the right side down
keeps the first statement true; rounding the left side down and the right side up keeps the second.
The terms of a bound are those of `row_gains`; the second statement is made of single tokens alone.
"""

from __future__ import annotations

from flint import arb, ctx, fmpz_poly

from certkit.kernel.model import Model, ends, grid
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import scaled
from certkit.kernel.tails import row_gains
from certkit.kernel.verdict import Finding

PRECISIONS = (64, 128, 256, 512, 1024, 2048)
MAX_BINS = 1 << 16
MAX_SIZE = 1 << 16


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
    table = row_gains(model, entry, row)
    weight = grid(model, entry.q, entry.m, bits)
    ctx.prec = bits + 64
    # The terms are integers; each of their units is `unit` widths. All is written in units of 2^−fine.
    width, offset = map(arb, row.numbers)
    unit = (weight.top * weight.unit - arb(entry.shift)).exp() / width
    unit *= arb(2) ** -(model.exponent + 6 + 2 * bits)
    size = int(unit.log().lower().floor().unique_fmpz() or 0)
    if abs(size) > MAX_SIZE:
        raise Finding("undecided", "count", f"q={entry.q} m={entry.m} x={row.x}: width out of all proportion")
    fine = 2 * (bits - min(size, 0))
    scale, shift = ends(unit * arb(2) ** fine), ends(offset / width * arb(2) ** fine)

    def above(value: int) -> int:
        return scaled(value, *scale)

    def below(value: int) -> int:
        return -scaled(-value, *scale)

    pairs = [list(zip(*rows, strict=True)) for rows in zip(table, weight.low, weight.high, strict=True)]
    low = [[scaled(gain, b, a) for gain, a, b in row] for row in pairs]
    high = [[scaled(gain, a, b) for gain, a, b in row] for row in pairs]
    most, least = (low, high) if inward else (high, low)  # for the upper count, for the lower
    rise, fall = (below, above) if inward else (above, below)
    start, stop = reversed(shift) if inward else shift
    others, q = model.k - 1, entry.q
    up = [[-(start - rise(value) >> fine) for value in values] for values in most[:-1]]
    down = [[fall(value) + start >> fine for value in values] for values in least[:-1]]
    need_up = -(rise(most[-1][q]) + others * stop >> fine)
    need_down = -(fall(least[-1][q]) - others * stop >> fine)
    most_there_are = (entry.m + 1) ** others  # and 0 are the bounds of what takes too many bins to count
    unknown = (most_there_are, 0) if inward else (0, most_there_are)
    return _number(down, need_down, entry, unknown[0]), _number(up, need_up, entry, unknown[1])


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
        slacks = [top - value for value in values]
        tally = [0] * (1 + max((slack for slack in slacks if slack <= room), default=0))
        for slack in slacks[:-1]:
            if slack <= room:
                tally[slack] += 1
        if entry.q < entry.m:
            without = without.mul_low(fmpz_poly(tally), room + 1)
        if slacks[-1] <= room:
            tally[slacks[-1]] += 1
        every = every.mul_low(fmpz_poly(tally), room + 1)
    return int(every(1)) - (int(without(1)) if entry.q < entry.m else 0)
