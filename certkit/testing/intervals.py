"""Hypothesis strategies for float64 tensors, interval tensors and points inside them.

A case is a tensor *element*: one drawn example is a tensor of many elements that mixes ordinary numbers
with zeros of both signs, subnormals, huge numbers, small integers, powers of two and their neighbours, and
pairs one ulp apart.
"""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from certkit import rounding
from certkit.interval import Interval

__all__ = ["float64_tensors", "floats_like", "interval_tensors", "members_of", "random_intervals"]


def floats_like(n: int, generator: torch.Generator, *, extreme: bool = True) -> Tensor:
    """``n`` finite float64 numbers of all kinds; without ``extreme``, magnitudes from 2**-60 to 2**60 and
    zeros.
    """
    kinds = torch.randint(0, 8 if extreme else 5, (n,), generator=generator)
    sign = torch.randint(0, 2, (n,), generator=generator).double() * 2 - 1
    unit = torch.rand(n, generator=generator, dtype=torch.float64) + 1.0
    exponent = torch.randint(-60, 60, (n,), generator=generator)
    power = ((exponent + 1023) << 52).view(torch.float64)
    wide = ((torch.randint(1, 2046, (n,), generator=generator)) << 52).view(torch.float64)
    integers = torch.randint(0, 5, (n,), generator=generator).double()
    subnormal = torch.randint(0, 2**52, (n,), generator=generator) >> torch.randint(
        0, 52, (n,), generator=generator
    )
    candidates = [
        unit,
        integers,
        unit * power,
        power,
        rounding.next_down(power),
        unit * wide * 0.5,
        subnormal.view(torch.float64),
        rounding.MAX * (unit - 0.5).clamp(max=1.0),
    ]
    return sign * torch.stack(candidates[: 8 if extreme else 5])[kinds, torch.arange(n)]


def random_intervals(n: int, generator: torch.Generator, *, extreme: bool = True) -> Interval:
    """``n`` bounded intervals: points, neighbours one ulp apart, narrow and wide ones, with and without
    zero.
    """
    x = floats_like(n, generator, extreme=extreme)
    y = floats_like(n, generator, extreme=extreme)
    kinds = torch.randint(0, 4, (n,), generator=generator)
    near = torch.where(kinds == 1, rounding.next_up(x), x)
    near = torch.where(kinds == 2, x * (1 + 2.0**-20), near)
    other = torch.where(kinds == 3, y, near).clamp(-rounding.MAX, rounding.MAX)
    return Interval.hull(torch.minimum(x, other), torch.maximum(x, other))


def members_of(x: Interval, generator: torch.Generator) -> Tensor:
    """One float64 member of each bounded, non-empty interval: an end, next to an end, or in between."""
    kinds = torch.randint(0, 5, x.lo.shape, generator=generator)
    share = torch.rand(x.lo.shape, generator=generator, dtype=torch.float64)
    inside = x.lo * (1 - share) + x.hi * share
    point = torch.where(kinds == 0, x.lo, torch.where(kinds == 1, x.hi, inside))
    point = torch.where(
        kinds == 2, rounding.next_up(x.lo), torch.where(kinds == 3, rounding.next_down(x.hi), point)
    )
    return torch.minimum(torch.maximum(point, x.lo), x.hi)


def _generators() -> st.SearchStrategy[torch.Generator]:
    return st.integers(0, 2**32 - 1).map(lambda seed: torch.Generator().manual_seed(seed))


def float64_tensors(n: int, *, extreme: bool = True) -> st.SearchStrategy[Tensor]:
    """Vectors of ``n`` finite float64 numbers; shrinks towards a small seed."""
    return _generators().map(lambda generator: floats_like(n, generator, extreme=extreme))


def interval_tensors(n: int, *, extreme: bool = True) -> st.SearchStrategy[Interval]:
    """Vectors of ``n`` bounded intervals."""
    return _generators().map(lambda generator: random_intervals(n, generator, extreme=extreme))
