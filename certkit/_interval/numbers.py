"""Numeric functions of intervals: midpoint, radius, width, magnitude, mignitude; IEEE 1788-2015, 10.5.9."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from certkit import cost, rounding
from certkit._interval.base import Base, empty_mask


class Numbers(Base):
    """Functions from intervals to plain float64 tensors; NaN where an element is empty, unless stated."""

    __slots__ = ()

    @property
    def inf(self) -> Tensor:
        """The lower bound (``+inf`` where empty)."""
        return self.lo

    @property
    def sup(self) -> Tensor:
        """The upper bound (``−inf`` where empty)."""
        return self.hi

    def _numbers(self, values: Tensor) -> Tensor:
        cost.record(flops=values.numel())
        return torch.where(empty_mask(self.lo, self.hi), torch.nan, values)

    def mid(self) -> Tensor:
        """The float64 nearest to ``(lo + hi) / 2``; finite: 0 for the real line, ±MAX for a half line.

        Halving the rounded sum is exact unless the sum is subnormal, and then it was exact; a sum that
        overflows has large bounds, which are halved first without error.
        """
        middle = (self.lo + self.hi) * 0.5
        middle = torch.where(torch.isinf(middle), self.lo * 0.5 + self.hi * 0.5, middle)
        middle = torch.where((self.lo == -torch.inf) & (self.hi == torch.inf), 0.0, middle)
        return self._numbers(middle.clamp(-rounding.MAX, rounding.MAX))

    def rad(self) -> Tensor:
        """The least float64 ``r`` with ``lo ≥ mid − r`` and ``hi ≤ mid + r``; ``inf`` where unbounded."""
        middle = self.mid()
        reach = torch.maximum(rounding.sub_up(self.hi, middle), rounding.sub_up(middle, self.lo))
        return self._numbers(reach)

    def wid(self) -> Tensor:
        """``hi − lo``, rounded up."""
        return self._numbers(rounding.sub_up(self.hi, self.lo))

    def mag(self) -> Tensor:
        """The largest ``|x|``, exactly."""
        return self._numbers(torch.maximum(self.lo.abs(), self.hi.abs()))

    def mig(self) -> Tensor:
        """The least ``|x|``, exactly."""
        return self._numbers(torch.clamp(torch.maximum(self.lo, -self.hi), min=0.0))

    def is_empty(self) -> Tensor:
        """True where there is no member."""
        return empty_mask(self.lo, self.hi)

    def is_entire(self) -> Tensor:
        """True where every real is a member."""
        return (self.lo == -torch.inf) & (self.hi == torch.inf)

    def is_bounded(self) -> Tensor:
        """True where both bounds are finite or there is no member (``isCommon`` and not empty:
        `is_common`).
        """
        return self.is_common() | self.is_empty()

    def is_common(self) -> Tensor:
        """True where bounded and not empty."""
        return torch.isfinite(self.lo) & torch.isfinite(self.hi)

    def is_point(self) -> Tensor:
        """True where there is exactly one member (``isSingleton``)."""
        return self.lo == self.hi

    def _whole(self, rounded_lo: Tensor, rounded_hi: Tensor) -> Self:
        """For exact, monotone functions that leave infinities alone."""
        cost.record(flops=rounded_lo.numel())
        return self._unchecked(rounded_lo, rounded_hi)

    def floor(self) -> Self:
        """``{⌊x⌋}``, tightest."""
        return self._whole(_floor(self.lo), _floor(self.hi))

    def ceil(self) -> Self:
        """``{⌈x⌉}``, tightest."""
        return self._whole(-_floor(-self.lo), -_floor(-self.hi))

    def trunc(self) -> Self:
        """Rounded towards zero, tightest."""
        return self._whole(_trunc(self.lo), _trunc(self.hi))

    def round(self) -> Self:
        """Rounded to the nearest integer, ties to even as torch.round does, tightest."""
        return self._whole(_round_even(self.lo), _round_even(self.hi))

    def round_ties_to_away(self) -> Self:
        """Rounded to the nearest integer, ties away from zero, tightest."""
        return self._whole(_round_away(self.lo), _round_away(self.hi))

    def sign(self) -> Self:
        """``{−1, 0, 1}`` by sign; the hull, tightest."""
        empty = empty_mask(self.lo, self.hi)
        lo, hi = torch.sign(self.lo), torch.sign(self.hi)
        return self._whole(torch.where(empty, torch.inf, lo), torch.where(empty, -torch.inf, hi))


_WHOLE = 2.0**52
"""From here on every float64 is an integer, and below it adding this number rounds to an integer."""


def _round_even(x: Tensor) -> Tensor:
    """Adding and subtracting 2**52 rounds |x| < 2**52 to the nearest integer, ties to even."""
    size = x.abs()
    whole = torch.where(size < _WHOLE, (size + _WHOLE) - _WHOLE, size)
    return torch.copysign(whole, x)


def _floor(x: Tensor) -> Tensor:
    near = _round_even(x)
    return torch.where(near > x, near - 1.0, near)


def _trunc(x: Tensor) -> Tensor:
    return torch.copysign(_floor(x.abs()), x)


def _round_away(x: Tensor) -> Tensor:
    size = x.abs()
    below = _floor(size)
    return torch.copysign(torch.where(size - below >= 0.5, below + 1.0, below), x)
