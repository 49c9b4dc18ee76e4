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
from certkit._interval import einsum as _einsum
from certkit._interval.arithmetic import Bounds
from certkit._interval.base import Base, first_index, to_float64
from certkit._interval.comparisons import Comparisons
from certkit._interval.display import Display
from certkit._interval.functions import Functions
from certkit._interval.numbers import Numbers
from certkit._interval.operand import Operand, bounds_of, finite_points
from certkit._interval.reductions import Reductions
from certkit._interval.sets import Overlap, Sets
from certkit._interval.text import interval_ends, number
from certkit._interval.torch_functions import torch_table

__all__ = ["Interval", "Overlap", "cat", "einsum", "stack", "where"]

_OPERAND_TYPES = (Base, Tensor, float, int)


class Interval(Reductions, Comparisons, Functions, Numbers, Sets, Display):
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
    def from_decimal(cls, literal: str) -> Self:
        """The tightest interval around a decimal or rational literal such as ``"0.1"``, ``"1e-3"``,
        ``"2/3"``.

        >>> Interval.from_decimal("0.1").wid().item() > 0
        True
        """
        return cls.from_fraction(number(literal))

    @classmethod
    def from_text(cls, literal: str) -> Self:
        """The tightest interval around an IEEE 1788 literal: ``"[1, 2/3e1]"``, ``"3.56?1"``, ``"[empty]"`` …

        Raises:
            ValueError: not a literal of a bare interval, or bounds that hold no real number.
        """
        lo, hi = interval_ends(literal)
        return cls._unchecked(torch.tensor(lo, dtype=torch.float64), torch.tensor(hi, dtype=torch.float64))

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

    def fma(self, factor: Operand, term: Operand) -> Self:
        """``{x y + z}``, tightest: one rounding."""
        bounds = arithmetic.fma(self._bounds, bounds_of(factor, self), bounds_of(term, self))
        cost.record(flops=2 * bounds[0].numel())
        return self._unchecked(*bounds)

    def neg(self) -> Self:
        """``{−x}``, exactly."""
        return -self

    def logsumexp(self, dim: int, keepdim: bool = False) -> Interval:
        """``log Σ exp(x)`` along ``dim``; see `certkit.elementary.logsumexp`."""
        from certkit import elementary

        return elementary.logsumexp(self, dim, keepdim)

    def softmax(self, dim: int) -> Interval:
        """``exp(x) / Σ exp(x)`` along ``dim``, each component's range; see `certkit.elementary.softmax`."""
        from certkit import elementary

        return elementary.softmax(self, dim)

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

    @classmethod
    def __torch_function__(
        cls, func: object, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        handler = _TORCH.get(func)
        if handler is None:
            name = getattr(func, "__name__", func)
            raise TypeError(f"torch function {name!r} is not defined for intervals; see dir(Interval)")
        return handler(*args, **(kwargs or {}))


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


def einsum(equation: str, left: Interval | Tensor, right: Interval | Tensor) -> Interval:
    """Two-operand Einstein sum, ``torch.einsum("bij,bjk->bik", x, y)``, as one matrix product with its
    bounds.

    Subscripts of one operand that are not in the output are summed first.

    Raises:
        ValueError: an equation without ``->``, with an ellipsis, a repeated or an unknown letter.
    """
    x = left if isinstance(left, Interval) else Interval.exact(left)
    y = right if isinstance(right, Interval) else Interval.exact(right)
    a, b, output = _einsum.plan(equation, x.ndim, y.ndim)
    x, a = _summed(x, a, b + output)
    y, b = _summed(y, b, a + output)
    batch = "".join(c for c in a if c in b and c in output)
    summed = "".join(c for c in a if c in b and c not in output)
    rows, columns = "".join(c for c in a if c not in b), "".join(c for c in b if c not in a)
    sizes = {**dict(zip(a, x.shape, strict=True)), **dict(zip(b, y.shape, strict=True))}
    product = _einsum.arranged(x, a, (batch, rows, summed)) @ _einsum.arranged(y, b, (batch, summed, columns))
    found = batch + rows + columns
    return product.reshape([sizes[c] for c in found]).permute([found.index(c) for c in output])


def _summed(x: Interval, subscripts: str, kept: str) -> tuple[Interval, str]:
    """``x`` summed over the letters that nothing else names."""
    lonely = [d for d, c in enumerate(subscripts) if c not in kept]
    return (x.sum(lonely) if lonely else x), "".join(c for c in subscripts if c in kept)


_TORCH = torch_table(Interval, {"cat": cat, "concat": cat, "stack": stack, "where": where, "einsum": einsum})
