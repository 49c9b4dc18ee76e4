"""Rigorous ``erf`` from Taylor polynomials whose coefficients come from exact integers.

For ``|x| < 1/2``: the odd series at 0 up to ``x^27``, its first term formed without error.
For ``1/2 ≤ |x| < 6``: the polynomial of degree 10 at the nearest ``c = j/16``, ``erf(c)`` being a pair of
floats. From 6 on: ``1 - u < erf x < 1``.  The remainder at ``c`` is at most ``max|erf^(11)|/11! · 32^-11``,
and Cramér's inequality ``|H_n(t)| ≤ 1.0865 · 2^(n/2) sqrt(n!) e^(t²/2)`` bounds the derivative: together
below ``0.001 u``. The sum is within ``u/2`` of the truth before its last rounding (table in
docs/explanation/elementary.md), so one step outward is a bound.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import torch
from torch import Tensor

from certkit.elementary._bits import increasing, one_place_around
from certkit.elementary._integers import erf_taylor, split_floats, two_over_root_pi
from certkit.elementary._series import horner
from certkit.rounding import mul_down, mul_up, next_down, next_up, two_prod

_TERMS = 10
_FIRST, _LAST = 8, 96  # the centres j/16, from 1/2 to 6
_ONE_DOWN = 1.0 - 2.0**-53


def erf_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of the error function over ``[lo, hi]``.

    Tightness: at most 3 ulp per side (2 for ``|x| ≥ 2^-60``), never outside [-1, 1]; ``erf(0) = 0`` is exact.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> down, up = erf_bounds(x, x)
        >>> bool(down[0] == up[0] == 0.0), bool(down[1] < 0.8427007929497149 < up[1])
        (True, True)
    """
    return increasing(_erf, lo, hi)


def _erf(x: Tensor) -> tuple[Tensor, Tensor]:
    size = x.abs()
    small = size < 0.5
    value = torch.where(small, _near_zero(size.clamp(max=0.5)), _around_centres(size.clamp(0.5, 6.0)))
    down, up = one_place_around(value)
    # a x (1 - x²/3) < erf x < a x with a = 2/sqrt(pi), for x > 0; the cube is less than a place for tiny x.
    tiny = size < 2.0**-60
    if bool(tiny.any()):
        slope, rest = split_floats(two_over_root_pi(), 2)
        a = torch.full_like(x, slope)
        a_down, a_up = (a, next_up(a)) if rest > 0 else (next_down(a), a)
        below = next_down(mul_down(size, a_down)).clamp(min=0.0)
        down, up = torch.where(tiny, below, down), torch.where(tiny, mul_up(size, a_up), up)
    large = size >= 6.0
    down, up = torch.where(large, _ONE_DOWN, down), torch.where(large, 1.0, up.clamp(max=1.0))
    return torch.where(x < 0, -up, down), torch.where(x < 0, -down, up)


def _near_zero(x: Tensor) -> Tensor:
    high, low, tail = _odd_series()
    product, lost = two_prod(x, torch.full_like(x, high))
    z = x * x
    return product + (lost + x * (low + z * horner(tail, z)))


def _around_centres(x: Tensor) -> Tensor:
    index = torch.round(16.0 * x)
    h = x - 0.0625 * index  # exact
    columns = _table(x.device).index_select(1, index.to(torch.int64) - _FIRST).unbind(0)
    value, value_low, *coefficients = columns
    p = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        p = torch.addcmul(c, h, p)
    return value + (value_low + h * p)


@functools.cache
def _odd_series() -> tuple[float, float, tuple[float, ...]]:
    """``2/sqrt(pi)`` as two floats, and ``Σ_(n≥1) (2/sqrt(pi)) (-1)^n z^(n-1) / (n! (2n+1))``, highest
    power first.
    """
    a = two_over_root_pi()
    high, low = split_floats(a, 2)
    tail = [float(a * Fraction((-1) ** n, math.factorial(n) * (2 * n + 1))) for n in range(13, 0, -1)]
    return high, low, tuple(tail)


@functools.cache
def _table(device: torch.device) -> Tensor:
    rows = [erf_taylor(Fraction(j, 16), _TERMS) for j in range(_FIRST, _LAST + 1)]
    return torch.tensor(rows, dtype=torch.float64).mT.contiguous().to(device)
