"""The sums of `proofs.separable.pool`, for many classes of a query at once.

For one query the term of position p, token t and output x in a class with maximum m is ``w_pt·(G_pt(x) −
G_pt(m))``, so its power is ``e^{λ w_pt G_pt(x)} · e^{−λ w_pt G_pt(m)}``: one table for all outputs and one
for all maxima. The sum over the tokens is then a product of matrices, ``[M, T] @ [T, X]`` for each position,
and serves all classes with the same multipliers. Any number may be subtracted from all ``G_pt(·)``; the
middle of their range keeps both powers small.

*Rounding.* The exponentials are rounded up. What follows are sums and products of positive numbers, to the
nearest, and none of them underflows: what is smaller is replaced by ``2^-480`` if it is a power (of one
table, or of m, which is a product from both), and by ``2^(-480/(K−1))`` if it is a sum over tokens. So the
least product of two powers, or of a power of m and K − 2 sums, is above ``2^-961``. Hence the result is at
least the truth times ``(1 − u)^n``, n being the number of roundings, and one factor makes up for them
(`slack`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from proofs.paths import Paths
from proofs.separable.counted import add_up, amax, exp_up, mul_up, scale_up, sub_up
from proofs.separable.numerator import Query

__all__ = ["PoolTerms", "level_bounds", "pool_terms", "slack", "steps"]

_FLOOR: Final = 480
_MOST: Final = 2.0**480


@attrs.frozen(eq=False)
class PoolTerms:
    """Upper bounds for M classes of one query, T tokens and X outputs, at the P = K − 1 other positions.

    Attributes:
        m: ``[M]`` the maxima; at: ``[M]`` where these are among the tokens.
        outer: ``[P, T, X]`` of ``w·G(x)``; inner: ``[P, T, M]`` of ``−w·G(m)``.
        heavy: ``[T, M]`` tokens below m that are not light.
        asked: ``[M, X]`` of the term at the query's position.
        light: ``[M]`` how many tokens are light; light_upper: ``[M, X]`` at least 0 and all their terms.
        must_hold: ``[M]`` whether m must occur before the query, that is q < m.
    """

    m: Tensor
    at: Tensor
    outer: Tensor
    inner: Tensor
    heavy: Tensor
    asked: Tensor
    light: Tensor
    light_upper: Tensor
    must_hold: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """P and T."""
        return self.outer.shape[0], self.outer.shape[1]


def pool_terms(paths: Paths, query: Query, m: Tensor, light: Tensor) -> PoolTerms:
    """The terms of the classes (query.q, m), divided by ``e^shift`` of the greatest maximum of the query.

    ``light [M, V]`` says which tokens below m share a power.
    """
    q, slots = query.q, paths.n_ctx - 1
    heavy = (torch.arange(paths.vocab) < m[:, None]) & ~light
    used = heavy.any(0)
    used[m] = True
    tokens = used.nonzero()[:, 0]
    least, most = query.weight_lower[-1], query.weight_upper[-1]
    lower = rounding.mul_down(query.position_lower[:, None], least)
    upper = rounding.mul_up(query.position_upper[:, None], most)
    cost.record(flops=2 * upper.numel())
    high = add_up(paths.PVOU.hi, paths.EUPU.hi[q])  # [K, X]
    low = -add_up(-paths.PVOU.lo, -paths.EUPU.lo[q])
    ends = lower[:slots, tokens, None], upper[:slots, tokens, None]
    gain = add_up(high[:slots, None], paths.EVOU.hi[tokens])
    middle = 0.5 * (gain.amax(2, keepdim=True) + gain.amin(2, keepdim=True))  # any number will do
    middle = middle.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    outer = scale_up(*ends, sub_up(gain, middle))
    loss = add_up(-low[:slots, None, m], -paths.EVOU.lo[tokens][:, m])
    inner = scale_up(*ends, add_up(loss, middle))
    there = add_up(sub_up(paths.EVOU.hi[q], paths.EVOU.lo[q, m, None]), sub_up(high[-1], low[-1, m, None]))
    asked = scale_up(lower[-1, q], upper[-1, q], there)
    gains = torch.stack(
        [
            _light_gain(paths, int(i), mask, high[:slots], low[:slots, i])
            for i, mask in zip(m, light, strict=True)
        ]
    )
    largest = most.masked_fill(~light, 0.0).amax(1)
    place = amax(query.position_upper[:slots], 0).clamp(min=0.0)
    shared = mul_up(mul_up(place, largest)[:, None], gains)
    at = torch.searchsorted(tokens, m)
    return PoolTerms(m, at, outer, inner, heavy[:, tokens].T, asked, light.sum(1), shared, m > q)


def _light_gain(paths: Paths, m: int, light: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """``[X]`` numbers ≥ 0 that are at least every numerator of a light token.

    Rounding to nearest is monotone, so the largest rounded difference is the largest difference rounded, and
    that is off by at most u of itself.
    """
    if not len(high) or not bool(light.any()):
        return paths.EVOU.hi.new_zeros(paths.vocab)
    token = (paths.EVOU.hi[light] - paths.EVOU.lo[light, m][:, None]).amax(0)
    cost.record(flops=int(light.sum()) * paths.vocab, comparisons=int(light.sum()) * paths.vocab)
    token = add_up(token, token.abs() * (2 * rounding.U))
    return add_up(token, amax(sub_up(high, low[:, None]), 0)).clamp(min=0.0)


def steps(levels: int) -> list[int]:
    """The multipliers of a ladder: 1, 2, 3, then each twice the one before the last.

    >>> steps(8)
    [1, 2, 3, 4, 6, 8, 12, 16]
    """
    found = [1, 2, 3]
    while len(found) < levels:
        found.append(2 * found[-2])
    return found[:levels]


def _ladder(exponent_upper: Tensor, multiplier: Tensor) -> Iterator[Tensor]:
    """Yield upper bounds of ``e^(s·multiplier·exponent)`` for each step s, up to ``s − 1`` roundings.

    What is below the floor is replaced by it; so no product underflows.
    """
    floor = 2.0**-_FLOOR
    one = exp_up(mul_up(multiplier, exponent_upper)).clamp_(min=floor)
    yield one
    two = (one * one).clamp_(min=floor)
    one, two = two, (one * two).clamp_(min=floor)
    while True:
        yield one
        one, two = two, (one * one).clamp_(min=floor)


def level_bounds(terms: PoolTerms, multiplier: Tensor, levels: int) -> Iterator[Tensor]:
    """Yield, step by step of the ladder, ``[M, X]`` bounds T_x on the sequences of a class that fail for x.

    They are upper bounds up to `slack`; ``multiplier []`` must be finite and ≥ 0. inf where it overflows.
    """
    tables = terms.outer, terms.inner, terms.asked, terms.light_upper
    ladders = zip(*(_ladder(table, multiplier) for table in tables), strict=True)
    for outer, inner, asked, shared in islice(ladders, levels):
        own = inner.gather(1, terms.at.expand(len(inner), 1, -1)).mT  # [P, M, 1]
        at_max = (outer[:, terms.at] * own).clamp_(min=2.0**-_FLOOR)
        finite = bool(outer.amax() <= _MOST) if outer.numel() else True
        # What is infinite is left out of the product, lest it touch the classes below it, and put back after.
        chosen = inner.masked_fill(~terms.heavy, 0.0).mT @ (outer if finite else outer.clamp(max=_MOST))
        number = _class_sums(at_max, chosen + terms.light[:, None] * shared, terms.must_hold)
        bound = rounding.mul_up(number, asked)
        if not finite:
            beyond = (outer > _MOST).any(0).double()
            lost = terms.heavy.T.double() @ beyond + beyond[terms.at] > 0
            bound = bound.masked_fill(lost, torch.inf)
        yield bound.nan_to_num(nan=torch.inf, posinf=torch.inf)
    slots, tokens = terms.shape
    products = terms.asked.numel() * (2 * slots * (tokens + 3) + 2)
    cost.record(flops=levels * (products + sum(table.numel() for table in tables)))


def slack(terms: PoolTerms, levels: int) -> float:
    """A factor that makes up for the roundings of `level_bounds`; inf if they are too many.

    With s the last step, a power has at most s roundings, a sum over tokens T + 2 + 2s, a step of
    `_class_sums` 3 more, the factor of the query s: at most ``n = K·(2s + T + 5)`` in all. And
    ``(1 − u)^−n ≤ 1 + 2nu`` if ``nu ≤ 1/2``; that sum is exact.
    """
    slots, tokens = terms.shape
    roundings = (slots + 1) * (2 * steps(levels)[-1] + tokens + 5)
    return 1.0 + 2 * roundings * rounding.U if roundings * rounding.U <= 0.25 else math.inf


def _class_sums(at_max: Tensor, below: Tensor, must_hold: Tensor) -> Tensor:
    """``[M, X]`` the sums over the classes, query aside, of ``[P, M, X]`` powers of m and sums below m.

    If m need not occur it is Π (below + at_max), else the part of that in which some position holds m, summed
    over the last one that does (`proofs.separable.tail`).
    """
    least = 2.0 ** -(_FLOOR / max(1, len(at_max)))
    before = torch.ones_like(at_max.sum(0))
    having = torch.zeros_like(before)
    for at, rest in zip(at_max, below, strict=True):
        having = having * rest.clamp(min=least) + before * at
        before = before * (rest + at).clamp_(min=least)
    return torch.where(must_hold[:, None], having, before)
