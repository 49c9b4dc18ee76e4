"""Interval tensors: every real between two float64 bounds, with PyTorch's shape conventions.

An `Interval` represents the set of all real tensors ``x`` with ``lo ≤ x ≤ hi`` element by element. Every
operation
returns bounds that contain the exact result for every member of its operands. ``+ − × ÷ sqrt sqr abs min
max fma`` are
*tightest*: each bound is the correctly rounded exact bound. Sums and matrix products carry a-priori error
bounds. Empty intervals, unbounded intervals and division by zero follow the set-based flavour of IEEE
1788-2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Self

import torch
from torch import Tensor

from certkit import cost, linalg, rounding
from certkit._interval import arithmetic
from certkit._interval.arithmetic import Bounds
from certkit._interval.base import all_finite, empty_mask, first_index, to_float64, with_empty
from certkit._interval.comparisons import Comparisons
from certkit._interval.functions import Functions
from certkit._interval.operand import Operand, bounds_of, finite_points
from certkit._interval.shapes import Shapes

__all__ = ["Interval", "cat", "stack", "where"]

_OPERAND_TYPES = (Shapes, Tensor, float, int)


class Interval(Shapes, Comparisons, Functions):
    """A tensor of intervals. Made by `exact`, `hull`, `ball`, `from_decimal`; immutable.

    >>> x = Interval.exact(torch.tensor([1.0, 2.0]))
    >>> y = x / 3
    >>> bool(((y * 3).contains(x.lo)).all())
    True
    """

    __slots__ = ()
    __array_ufunc__ = None  # a numpy array on the left hands over to us

    # --- making ---

    @classmethod
    def exact(cls, value: object, *, device: torch.device | str | None = None) -> Self:
        """Points, exactly: a tensor (any real dtype), a number, or nested sequences of numbers.

        Raises:
            TypeError: an unsupported type or dtype.
            ValueError: NaN or infinity (naming the index), an integer float64 cannot hold, a tensor that
            requires grad.
        """
        target = None if device is None else torch.device(device)
        point = finite_points(to_float64(value, "value", target), "value")
        point = point if target is None else point.to(target)
        return cls._unchecked(point, point)

    @classmethod
    def hull(cls, lo: object, hi: object) -> Self:
        """The interval with the given bounds, which are broadcast. ``-inf`` and ``inf`` make it unbounded.

        Raises:
            ValueError: NaN, ``lo > hi``, ``lo = inf`` or ``hi = -inf``, naming the index.
        """
        low, high = torch.broadcast_tensors(to_float64(lo, "lo"), to_float64(hi, "hi"))
        bad = (low > high) | (low == torch.inf) | (high == -torch.inf)
        if bool(bad.any()):
            index = first_index(bad)
            raise ValueError(
                f"lo={low[index].item()!r} and hi={high[index].item()!r} at index {index} bound no real "
                "number; use Interval.empty(shape) for the empty interval"
            )
        return cls._unchecked(low, high)

    @classmethod
    def ball(cls, mid: object, rad: object) -> Self:
        """``[mid − rad, mid + rad]``, rounded outward.

        Raises:
            ValueError: NaN, a negative radius or an infinite midpoint, naming the index.
        """
        centre, radius = to_float64(mid, "mid"), to_float64(rad, "rad")
        finite_points(centre, "mid")
        if bool((radius < 0).any()):
            index = first_index(radius < 0)
            raise ValueError(f"rad={radius[index].item()!r} at index {index} is negative")
        return cls._unchecked(rounding.sub_down(centre, radius), rounding.add_up(centre, radius))

    @classmethod
    def from_decimal(cls, text: str) -> Self:
        """The tightest interval around a decimal or rational literal such as ``"0.1"``, ``"1e-3"``,
        ``"2/3"``.

        >>> Interval.from_decimal("0.1").wid().item() > 0
        True
        """
        return cls.from_fraction(Fraction(text.strip()))

    @classmethod
    def from_fraction(cls, value: Fraction) -> Self:
        """The tightest interval around a rational number."""
        return cls._unchecked(
            torch.tensor(rounding.fraction_down(value), dtype=torch.float64),
            torch.tensor(rounding.fraction_up(value), dtype=torch.float64),
        )

    @classmethod
    def empty(cls, *shape: int) -> Self:
        """Empty intervals."""
        return cls._unchecked(
            torch.full(shape, torch.inf, dtype=torch.float64),
            torch.full(shape, -torch.inf, dtype=torch.float64),
        )

    @classmethod
    def entire(cls, *shape: int) -> Self:
        """The whole real line."""
        return cls._unchecked(
            torch.full(shape, -torch.inf, dtype=torch.float64),
            torch.full(shape, torch.inf, dtype=torch.float64),
        )

    # --- arithmetic ---

    @property
    def _bounds(self) -> Bounds:
        return self.lo, self.hi

    def _counted(self, bounds: Bounds) -> Self:
        cost.record(flops=bounds[0].numel())
        return self._unchecked(*bounds)

    def __add__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.add(self._bounds, bounds_of(other, self)))

    def __sub__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.sub(self._bounds, bounds_of(other, self)))

    def __rsub__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.sub(bounds_of(other, self), self._bounds))

    def __mul__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.mul(self._bounds, bounds_of(other, self)))

    def __truediv__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.div(self._bounds, bounds_of(other, self)))

    def __rtruediv__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._counted(arithmetic.div(bounds_of(other, self), self._bounds))

    __radd__ = __add__
    __rmul__ = __mul__

    def __matmul__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._product(self._bounds, bounds_of(other, self))

    def __rmatmul__(self, other: Operand) -> Self:
        if not isinstance(other, _OPERAND_TYPES):
            return NotImplemented
        return self._product(bounds_of(other, self), self._bounds)

    def _product(self, a: Bounds, b: Bounds) -> Self:
        bounds = linalg.matmul(a, b)
        cost.record(flops=2 * bounds[0].numel() * a[0].shape[-1])
        return self._unchecked(*bounds)

    def __neg__(self) -> Self:
        return self._counted(arithmetic.neg(self._bounds))

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._counted(arithmetic.absolute(self._bounds))

    def abs(self) -> Self:
        """``{|x|}``, tightest."""
        return self.__abs__()

    def sqr(self) -> Self:
        """``{x²}``, tightest (never negative, unlike ``x * x``)."""
        return self._counted(arithmetic.sqr(self._bounds))

    def sqrt(self) -> Self:
        """``{√x : x ≥ 0}``, tightest; empty where no member is ≥ 0."""
        return self._counted(arithmetic.sqrt(self._bounds))

    def reciprocal(self) -> Self:
        """``{1/x : x ≠ 0}``, tightest."""
        one = torch.ones((), dtype=torch.float64, device=self.device)
        return self._counted(arithmetic.div((one, one), self._bounds))

    def minimum(self, other: Operand) -> Self:
        """Elementwise ``{min(x, y)}``, tightest."""
        bounds = arithmetic.minimum(self._bounds, bounds_of(other, self))
        cost.record(comparisons=bounds[0].numel())
        return self._unchecked(*bounds)

    def maximum(self, other: Operand) -> Self:
        """Elementwise ``{max(x, y)}``, tightest."""
        bounds = arithmetic.maximum(self._bounds, bounds_of(other, self))
        cost.record(comparisons=bounds[0].numel())
        return self._unchecked(*bounds)

    # --- reductions ---

    def sum(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Self:
        """Sums over ``dim`` (all dimensions by default), within about ``2 ceil(log2 n) u Σ|x|`` of the
        exact bounds.
        """
        rows, shape = self._rows(dim, keepdim)
        lo, hi = linalg.sum_lower(rows.lo), linalg.sum_upper(rows.hi)
        if not all_finite(lo, hi):
            empty = empty_mask(*rows._bounds).any(-1)
            unbounded_below, unbounded_above = torch.isinf(rows.lo).any(-1), torch.isinf(rows.hi).any(-1)
            lo, hi = torch.where(unbounded_below, -torch.inf, lo), torch.where(unbounded_above, torch.inf, hi)
            lo, hi = with_empty(lo, hi, empty)
        cost.record(flops=max(self.numel() - lo.numel(), 0))
        return self._unchecked(lo.reshape(shape), hi.reshape(shape))

    def mean(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Self:
        """The sum over ``dim`` divided by the number of terms."""
        total = self.sum(dim, keepdim)
        return total / (self.numel() // max(total.numel(), 1))

    def _rows(self, dim: int | Sequence[int] | None, keepdim: bool) -> tuple[Self, torch.Size]:
        """Self with the reduced dimensions last and flattened, and the shape of the reduction's result."""
        dims = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        reduced = sorted({d % self.ndim for d in dims}) if self.ndim else []
        kept = [d for d in range(self.ndim) if d not in reduced]
        shape = [1 if d in reduced else n for d, n in enumerate(self.shape) if keepdim or d not in reduced]
        length = 1
        for d in reduced:
            length *= self.shape[d]
        rows = self.permute(*kept, *reduced) if self.ndim else self
        return rows.reshape(*[self.shape[d] for d in kept], length), torch.Size(shape)

    def _selected(self, lo: Tensor, hi: Tensor, dims: tuple[int, ...], keepdim: bool) -> Self:
        cost.record(comparisons=max(self.numel() - lo.numel(), 0))
        if not all_finite(lo, hi):
            lo, hi = with_empty(lo, hi, torch.amax(empty_mask(*self._bounds), dim=dims, keepdim=keepdim))
        return self._unchecked(lo, hi)

    def amax(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Self:
        """``{max over dim}``, tightest."""
        dims = _dims(dim)
        lo = torch.amax(self.lo, dim=dims, keepdim=keepdim)
        hi = lo if self._is_point else torch.amax(self.hi, dim=dims, keepdim=keepdim)
        return self._selected(lo, hi, dims, keepdim)

    def amin(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Self:
        """``{min over dim}``, tightest."""
        dims = _dims(dim)
        lo = torch.amin(self.lo, dim=dims, keepdim=keepdim)
        hi = lo if self._is_point else torch.amin(self.hi, dim=dims, keepdim=keepdim)
        return self._selected(lo, hi, dims, keepdim)

    def cummax(self, dim: int) -> Self:
        """Running maxima along ``dim``, tightest. (torch also returns indices; for intervals there are
        none.)
        """
        return self._running(torch.cummax, dim)

    def cummin(self, dim: int) -> Self:
        """Running minima along ``dim``, tightest."""
        return self._running(torch.cummin, dim)

    def _running(self, scan: Any, dim: int) -> Self:
        cost.record(comparisons=self.numel())
        lo = scan(self.lo, dim).values
        hi = lo if self._is_point else scan(self.hi, dim).values
        if not all_finite(lo, hi):
            seen = torch.cumsum(empty_mask(*self._bounds).to(torch.int64), dim) > 0
            lo, hi = with_empty(lo, hi, seen)
        return self._unchecked(lo, hi)

    # --- numbers and sets ---

    def wid(self) -> Tensor:
        """``hi − lo`` rounded up (NaN where empty)."""
        return torch.where(empty_mask(*self._bounds), torch.nan, rounding.sub_up(self.hi, self.lo))

    def contains(self, value: Operand) -> Tensor:
        """True where the value (a number, a tensor, or all of an interval) is in self."""
        lo, hi = bounds_of(value, self, "value")
        return (self.lo <= lo) & (hi <= self.hi) | empty_mask(lo, hi)

    def is_empty(self) -> Tensor:
        """True where there is no member."""
        return empty_mask(*self._bounds)


def _dims(dim: int | Sequence[int] | None) -> tuple[int, ...]:
    """The dimensions to reduce, as torch's reductions take them: none named means all."""
    return () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


def cat(intervals: Sequence[Interval], dim: int = 0) -> Interval:
    """As torch.cat."""
    lo = torch.cat([x.lo for x in intervals], dim)
    hi = lo if all(x._is_point for x in intervals) else torch.cat([x.hi for x in intervals], dim)
    return Interval._unchecked(lo, hi)


def stack(intervals: Sequence[Interval], dim: int = 0) -> Interval:
    """As torch.stack."""
    lo = torch.stack([x.lo for x in intervals], dim)
    hi = lo if all(x._is_point for x in intervals) else torch.stack([x.hi for x in intervals], dim)
    return Interval._unchecked(lo, hi)


def where(condition: Tensor, x: Interval | Tensor | float, y: Interval | Tensor | float) -> Interval:
    """``x`` where the condition holds, ``y`` elsewhere; one of the two is an Interval."""
    like = x if isinstance(x, Interval) else y
    if not isinstance(like, Interval):
        raise TypeError("where: neither x nor y is an Interval; use torch.where")
    (x_lo, x_hi), (y_lo, y_hi) = bounds_of(x, like, "x"), bounds_of(y, like, "y")
    lo = torch.where(condition, x_lo, y_lo)
    hi = lo if x_lo is x_hi and y_lo is y_hi else torch.where(condition, x_hi, y_hi)
    return Interval._unchecked(lo, hi)
