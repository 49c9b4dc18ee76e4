"""The rule for tails, and what all rows share: recompute how many sequences of a class (q, m) fail.

A row is about a group X of wrong tokens. With v_p(t) = max_{x∈X} f_p(t,x)·e^{−shift}, a sequence that fails
for some x in X has Σ_p v_p(t_p) ≥ 0. For λ ≥ 0 it has exp(λ Σ_p v_p) ≥ 1, and every other one has it above 0.
So the sum of exp(λ Σ_p v_p) over the class is not below the number of those that fail. It factorises over the
positions, and a class is "all tokens ≤ m" less, if q < m, "all tokens < m".

Wrong tokens without a row must fail nowhere, by the rule for sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from flint import arb

from certkit.kernel.counting import Entry, Part, Tokens
from certkit.kernel.model import Model, attention
from certkit.kernel.reader import dyadic, wide
from certkit.kernel.sets import check_token, enclose
from certkit.kernel.verdict import PRECISIONS, Finding

#: What a row proves at a precision: no fewer failing than the first number, and no more than the second. With
#: `inward`, the last argument, what it could prove with exact numbers is at most the first and at least the
#: second: what is beyond them is false.
Bounds = Callable[[int, bool], tuple[int, arb | int]]


class Rows(Entry):
    """Content that says of wrong tokens how many sequences fail for them."""

    name: ClassVar[str]

    def left(self, k: int, failing: int) -> int:
        """Return how many of the (m+1)^(K−1) − [q<m]·m^(K−1) sequences are left if so many fail."""
        total: int = (self.m + 1) ** (k - 1) - (self.m ** (k - 1) if self.q < self.m else 0)
        return max(0, total - failing)

    def check_tail(self, about: str, multiplier: float, most: int) -> None:
        """Raise a `Finding` unless the multiplier is at least 0 and the bound has at most 32 bits."""
        self.need(most >= 0, about, "failing between 0 and", most)
        self.need(multiplier >= 0, about, "a multiplier is >= 0, not", multiplier)
        digits = most.bit_length() - (most & -most).bit_length() + 1
        self.need(digits <= 32, about, "more than 32 bits in", most)

    def check_row(self, about: str, least: int, most: int, bounds: Bounds) -> int:
        """Raise a `Finding` unless least ≤ lower and ⌊upper⌋ ≤ most; return the precision that was needed."""
        claim = f"q={self.q} m={self.m}: {about} failing between {least} and {most}"
        for bits in PRECISIONS:
            lower, upper = bounds(bits, False)
            if least <= lower and upper < most + 1:
                return bits
            lower, upper = bounds(bits, True)
            if lower < least or upper >= most + 1:
                raise Finding("refuted", self.name, f"{claim}, recounted {lower} to {upper}")
        raise Finding("undecided", self.name, f"{claim}, with {PRECISIONS[-1]} bits")

    def never_fail(self, model: Model, outputs: Iterable[int]) -> int:
        """Raise a `Finding` unless no sequence fails for these tokens; return the precision needed."""
        others = model.k - 1
        whole = Part("box", (), ((2 << self.m) - 1,) * others, int(self.q < self.m), others)
        return max((check_token(model, self, [whole], x) for x in outputs), default=PRECISIONS[0])

    def terms(self, model: Model, outputs: Tokens, bits: int, only: Tokens | None = None) -> list[list[arb]]:
        """Return balls around the v_p(t) of a group of tokens, by position and token, as `enclose` does."""
        table = enclose(model, self, outputs, bits, only=only)
        unit = self.unit(model, bits)
        return [[unit * term for term in terms] for terms in table]

    def unit(self, model: Model, bits: int) -> arb:
        """Return the factor of the terms of `enclose` that makes them v_p(t)."""
        weight = attention(model, self.q, self.m, bits)
        return (weight.top * weight.unit - arb(self.content["shift"])).exp() * arb(2) ** -model.exponent

    def class_sum(self, powers: list[list[arb]], query: arb) -> arb:
        """Return the sum over the class of the products of its powers, by position and token, m last.

        `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation, where S_p
        is the sum over the tokens t ≤ m and R_p over t < m, namely
        (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
        """
        holding, remaining = arb(0), arb(1)
        for *rest, at_max in powers:
            below = sum(rest, arb(0))
            holding = holding * (below + at_max) + remaining * at_max
            remaining = remaining * below
        return query * (holding if self.q < self.m else holding + remaining)


class Tails(Rows):
    """The rule for a class that is given as tails: (x, multiplier, failing at most) in the order of x."""

    name = "tails"

    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the tails leave to be correct, and 0, which fail for certain."""
        last = -1
        for x, multiplier, most in self.content["rows"]:
            new = last < x < vocab and x != self.m
            self.need(new, f"x={x} is m, no token, out of order or there twice")
            self.check_tail(f"x={x}", multiplier, most)
            last = x
        return self.left(k, sum(most for *_, most in self.content["rows"])), 0

    def check(self, model: Model) -> int:
        """Raise a `Finding` unless no more sequences fail; return the precision that was needed."""
        needed, rest = PRECISIONS[0], {*range(model.vocab)} - {self.m}
        for x, multiplier, most in self.content["rows"]:
            bounds = partial(self.bounds, model, x, multiplier)
            needed = max(needed, self.check_row(f"x={x}", 0, most, bounds))
            rest.remove(x)
        return max(needed, self.never_fail(model, sorted(rest)))

    def bounds(self, model: Model, x: int, multiplier: float, bits: int, inward: bool) -> tuple[int, arb]:
        """Return 0 and a ball around the bound of a tail, before the floor; `inward` changes nothing."""
        *table, last = self.terms(model, (x,), bits)
        powers = [[(multiplier * v).exp() for v in terms] for terms in table]
        return 0, self.class_sum(powers, (multiplier * last[self.q]).exp())


RULES = {"tails": ({"shift": dyadic, "rows": [(int, dyadic, wide)]}, Tails)}
