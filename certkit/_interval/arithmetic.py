"""``+ - * /``, sqr, sqrt, abs, minimum, maximum, reciprocal on bounds: tightest, set-based as in IEEE 1788.

Functions take and return raw bounds. A finite result needs no further care: an infinite or empty operand
always leaves an infinity or a NaN in the result of ``+ - *``, so one look at the result decides.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from certkit import rounding
from certkit._interval.base import all_finite, empty_mask, with_empty

Bounds = tuple[Tensor, Tensor]
Directed = Callable[[Tensor, Tensor], Tensor]


def _either_empty(a: Bounds, b: Bounds) -> Tensor:
    return empty_mask(*a) | empty_mask(*b)


def add(a: Bounds, b: Bounds) -> Bounds:
    lo = rounding.add_down(a[0], b[0])
    hi = rounding.add_up(a[1], b[1])
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, _either_empty(a, b))


def sub(a: Bounds, b: Bounds) -> Bounds:
    return add(a, neg(b))


def neg(a: Bounds) -> Bounds:
    if a[0] is a[1]:
        point = -a[0]
        return point, point
    return -a[1], -a[0]


def _limit_down(x: Tensor, y: Tensor) -> Tensor:
    p = rounding.mul_down(x, y)
    return torch.where(torch.isnan(p), 0.0, p)


def _limit_up(x: Tensor, y: Tensor) -> Tensor:
    p = rounding.mul_up(x, y)
    return torch.where(torch.isnan(p), 0.0, p)


def mul(a: Bounds, b: Bounds) -> Bounds:
    """For a fixed x the least of ``x y`` over y is at ``y = lo`` if ``x >= 0``, else at ``hi``; it is
    monotone in x on both sides of 0, so the ends of a decide. For bounds of non-empty intervals ``0 * inf``
    is 0."""
    if b[0] is b[1]:
        a, b = b, a
    lo, hi = _products(a, b, rounding.mul_down, rounding.mul_up)
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(*_products(a, b, _limit_down, _limit_up), _either_empty(a, b))


def _products(a: Bounds, b: Bounds, down: Directed, up: Directed) -> Bounds:
    low, high = a
    nonnegative = low >= 0
    lo = down(low, torch.where(nonnegative, b[0], b[1]))
    hi = up(low, torch.where(nonnegative, b[1], b[0]))
    if low is high:
        return lo, hi
    nonnegative = high >= 0
    lo = torch.minimum(lo, down(high, torch.where(nonnegative, b[0], b[1])))
    return lo, torch.maximum(hi, up(high, torch.where(nonnegative, b[1], b[0])))


def div(a: Bounds, b: Bounds) -> Bounds:
    """``{x / y : x in a, y in b, y != 0}``, its hull. A negative divisor is turned, with the dividend."""
    turn = (b[1] <= 0) & (b[0] < 0)
    low, high = torch.where(turn, -a[1], a[0]), torch.where(turn, -a[0], a[1])
    # Adding 0.0 makes -0.0 a positive zero, so that a division by it has the sign of the dividend.
    divisor_low = torch.where(turn, -b[1], b[0]) + 0.0
    divisor_high = torch.where(turn, -b[0], b[1]) + 0.0
    lo = rounding.div_down(low, torch.where(low >= 0, divisor_high, divisor_low))
    hi = rounding.div_up(high, torch.where(high > 0, divisor_low, divisor_high))
    ordinary = (divisor_low > 0) & (divisor_low <= divisor_high)
    if bool(ordinary.all()) and all_finite(lo, hi):
        return lo, hi
    lo, hi = torch.where(torch.isnan(lo), -torch.inf, lo), torch.where(torch.isnan(hi), torch.inf, hi)
    straddles = (divisor_low < 0) & (divisor_high > 0)
    lo, hi = torch.where(straddles, -torch.inf, lo), torch.where(straddles, torch.inf, hi)
    zero = (a[0] == 0) & (a[1] == 0)
    lo, hi = torch.where(zero, 0.0, lo), torch.where(zero, 0.0, hi)
    no_divisor = (b[0] == 0) & (b[1] == 0)
    return with_empty(lo, hi, _either_empty(a, b) | no_divisor)


def absolute(a: Bounds) -> Bounds:
    lo, hi = a
    if lo is hi:
        point = lo.abs()
        return point, point
    least = torch.clamp(torch.maximum(lo, -hi), min=0.0)
    largest = torch.maximum(-lo, hi)
    if all_finite(least, largest):
        return least, largest
    return with_empty(least, largest, empty_mask(*a))


def sqr(a: Bounds) -> Bounds:
    least, largest = absolute(a)
    lo, hi = rounding.mul_down(least, least), rounding.mul_up(largest, largest)
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, empty_mask(*a))


def sqrt(a: Bounds) -> Bounds:
    lo, hi = a
    lo, hi = rounding.sqrt_down(torch.clamp(lo, min=0.0)), rounding.sqrt_up(torch.clamp(hi, min=0.0))
    return with_empty(lo, hi, empty_mask(*a) | (a[1] < 0))


def minimum(a: Bounds, b: Bounds) -> Bounds:
    lo = torch.minimum(a[0], b[0])
    hi = lo if a[0] is a[1] and b[0] is b[1] else torch.minimum(a[1], b[1])
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, _either_empty(a, b))


def maximum(a: Bounds, b: Bounds) -> Bounds:
    lo = torch.maximum(a[0], b[0])
    hi = lo if a[0] is a[1] and b[0] is b[1] else torch.maximum(a[1], b[1])
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, _either_empty(a, b))


def _without_infinite_zeros(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``0 * inf`` as ``0 * 0``: the convention for bounds of non-empty intervals."""
    zero = (x == 0) | (y == 0)
    return torch.where(zero, 0.0, x), torch.where(zero, 0.0, y)


def _fused(x: Tensor, y: Tensor, z: Tensor, up: bool) -> Tensor:
    """The directed ``x y + z``; opposite infinities leave this side unbounded."""
    x, y = _without_infinite_zeros(x, y)
    if up:
        result = rounding.fma_up(x, y, z)
        return torch.where(torch.isnan(result), torch.inf, result)
    result = rounding.fma_down(x, y, z)
    return torch.where(torch.isnan(result), -torch.inf, result)


def fma(a: Bounds, b: Bounds, c: Bounds) -> Bounds:
    """``a b + c`` rounded once: at the same corners as the product (`mul`), since rounding is monotone."""
    (low, high), (c_low, c_high) = a, c
    low_sign, high_sign = low >= 0, high >= 0
    lo = torch.minimum(
        _fused(low, torch.where(low_sign, b[0], b[1]), c_low, up=False),
        _fused(high, torch.where(high_sign, b[0], b[1]), c_low, up=False),
    )
    hi = torch.maximum(
        _fused(low, torch.where(low_sign, b[1], b[0]), c_high, up=True),
        _fused(high, torch.where(high_sign, b[1], b[0]), c_high, up=True),
    )
    return with_empty(lo, hi, _either_empty(a, b) | empty_mask(*c))
