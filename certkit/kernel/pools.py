"""The rule for pools. It is loaded only for a certificate that holds one.

A pool is a tail for each wrong token, with the best multiplier of a ladder λ·(1, 2, 3, 4, 6, 8 …). From the
fourth on each is twice the one before the last, so the powers are squares. For tokens t < m that are *light*,
v_p(t) is at most h = e^{−shift}·max weight·max place·max(0, max gain), over these tokens and all positions
p < K−1, and exp(λh) stands for their powers: nothing else depends on which tokens are called light.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import mul

from flint import arb, fmpz

from certkit.kernel.counting import need, read_tokens, tokens_of
from certkit.kernel.model import Model, attention
from certkit.kernel.reader import Entry, Row
from certkit.kernel.tails import check_tail, class_sum, row_terms, unit

MAX_LEVELS = 64  # of the multiplier


def check_pool(entry: Entry, row: Row) -> None:
    """Raise a `Finding` unless the numbers of a pool are as the rule needs them."""
    check_tail(entry, row)
    need(1 <= row.levels <= MAX_LEVELS, entry, row.levels, "levels, not 1 to", MAX_LEVELS)
    read_tokens(entry, row.light, entry.m - 1)


def pool_bounds(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, arb]:
    """Return 0 and a ball around the bound of a pool, before the floor; `inward` changes nothing."""
    light = tokens_of(read_tokens(entry, row.light, entry.m - 1))
    heavy = sorted({*range(entry.m + 1)}.difference(light))
    total = arb(0)
    for x in range(model.vocab):
        if x == entry.m:
            continue
        *table, last = row_terms(model, entry, (x,), bits, (*heavy, entry.q))
        shared = light_term(model, entry, light, x, bits) if light else arb(0)
        exponents = [*(terms[:-1] for terms in table), [shared, last[-1]]]
        powers = [[(row.numbers[0] * v).exp() for v in terms] for terms in exponents]
        total += reduce(arb.min, (_sum(entry, len(light), step) for step in ladder(powers, row.levels)))
    return 0, total


def light_term(model: Model, entry: Entry, light: list[int], x: int, bits: int) -> arb:
    """Return a ball around h of the light tokens."""
    tokens, places = model.gains(entry.q, entry.m, x)
    weight, most = attention(model, entry.q, entry.m, bits), max(places[:-1], default=0)
    largest = reduce(arb.max, (weight.token[t] for t in light))
    place = reduce(arb.max, weight.place[:-1], arb(0))
    return unit(model, entry, bits) * largest * place * max(fmpz(0), max(tokens[t] for t in light) + most)


def ladder(powers: list[list[arb]], levels: int) -> Iterator[list[list[arb]]]:
    """Yield exp(s·v) for s = 1, 2, 3, 4, 6, 8, … from the powers exp(v), by products."""
    before = last = powers
    for level in range(levels):
        if level > 0:
            other = last if level < 3 else before
            before, last = last, [list(map(mul, *rows)) for rows in zip(before, other, strict=True)]
        yield last


def _sum(entry: Entry, light: int, powers: list[list[arb]]) -> arb:
    """Return the sum over the class, each position having so many light tokens more."""
    *table, (shared, query) = powers
    return class_sum(entry, [[light * shared, *terms] for terms in table], query)
