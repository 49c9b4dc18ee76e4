"""The rule for pools. It is loaded only for a certificate that holds one.

A pool is a tail for each wrong token, with the best multiplier of a ladder λ·(1, 2, 3, 4, 6, 8 …). From the
fourth on each is twice the one before the last, so the powers are squares. For tokens t < m that are *light*,
v_p(t) is at most h = e^{−shift}·max weight·max place·max(0, max gain), over these tokens and all positions
p < K−1, and exp(λh) stands for their powers: nothing else depends on which tokens are called light.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from operator import mul

from flint import arb, fmpz

from certkit.kernel.counting import tokens_of
from certkit.kernel.model import Model, attention
from certkit.kernel.reader import dyadic, wide
from certkit.kernel.tails import Rows

MAX_LEVELS = 64  # of the multiplier


class Pool(Rows):
    """The rule for a class that is given as a pool, which is about all wrong tokens."""

    name = "pool"

    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the pool leaves to be correct, and 0, which fail for certain."""
        most, levels = self.content["failing_at_most"], self.content["levels"]
        self.check_tail("x=any", self.content["multiplier"], most)
        self.need(1 <= levels <= MAX_LEVELS, levels, "levels, not 1 to", MAX_LEVELS)
        self.read_tokens(self.content["light"], self.m - 1)
        return self.left(k, most), 0

    def check(self, model: Model) -> int:
        """Raise a `Finding` unless no more sequences fail; return the precision that was needed."""
        return self.check_row("x=any", 0, self.content["failing_at_most"], partial(self.bounds, model))

    def bounds(self, model: Model, bits: int, inward: bool) -> tuple[int, arb]:
        """Return 0 and a ball around the bound of the pool, before the floor; `inward` changes nothing."""
        light = tokens_of(self.read_tokens(self.content["light"], self.m - 1))
        heavy = sorted({*range(self.m + 1)}.difference(light))
        multiplier, levels = self.content["multiplier"], self.content["levels"]
        total = arb(0)
        for x in range(model.vocab):
            if x == self.m:
                continue
            *table, last = self.terms(model, (x,), bits, (*heavy, self.q))
            shared = self.light_term(model, light, x, bits) if light else arb(0)
            exponents = [*(terms[:-1] for terms in table), [shared, last[-1]]]
            powers = [[(multiplier * v).exp() for v in terms] for terms in exponents]
            total += reduce(arb.min, (self.pooled(len(light), step) for step in ladder(powers, levels)))
        return 0, total

    def light_term(self, model: Model, light: list[int], x: int, bits: int) -> arb:
        """Return a ball around h of the light tokens."""
        tokens, places = model.gains(self.q, self.m, x)
        weight, most = attention(model, self.q, self.m, bits), max(places[:-1], default=0)
        largest = reduce(arb.max, (weight.token[t] for t in light))
        place = reduce(arb.max, weight.place[:-1], arb(0))
        gain = max(fmpz(0), max(tokens[t] for t in light) + most)
        return self.unit(model, bits) * largest * place * gain

    def pooled(self, light: int, powers: list[list[arb]]) -> arb:
        """Return the sum over the class, each position having so many light tokens more."""
        *table, (shared, query) = powers
        return self.class_sum([[light * shared, *terms] for terms in table], query)


def ladder(powers: list[list[arb]], levels: int) -> Iterator[list[list[arb]]]:
    """Yield exp(s·v) for s = 1, 2, 3, 4, 6, 8, … from the powers exp(v), by products."""
    before = last = powers
    for level in range(levels):
        if level > 0:
            other = last if level < 3 else before
            before, last = last, [list(map(mul, *rows)) for rows in zip(before, other, strict=True)]
        yield last


_SHAPE = {"light": [int], "multiplier": dyadic, "levels": int, "shift": dyadic, "failing_at_most": wide}
RULES = {"pool": (_SHAPE, Pool)}
