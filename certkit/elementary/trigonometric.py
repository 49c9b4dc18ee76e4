"""Rigorous ``sin`` and ``cos`` over intervals of any size and place.

Reduction.  ``x = q·pi/2 + (r + s)`` with ``|r| ≤ 0.7854``.  For ``|x| ≤ 2^30``, pi/2 is a sum of three
floats and the products with ``q`` are formed without error (TwoProd), so ``r + s`` is right to more than 60
bits even where ``x`` is as close as a float can be to a multiple of pi/2.  Beyond, exact integer division
by a long pi takes over, element by element.

Kernels.  ``sin(r + s) = r + (s(1 - r²/2) + r³·S(r²))`` with the square's rounding error added back, and
``cos(r + s) = (1 - r²/2) + (r⁴·C(r²) - r s)`` with ``1 - r²/2`` formed without error.  Both pairs are
within ``u/2`` of the truth, so one step outward is a bound (docs/explanation/elementary.md).

Intervals.  The multiples of pi/2 inside ``[lo, hi]`` are known exactly from the quotients and the signs of
the remainders (a remainder is 0 only for ``x = 0``); where one of them is an extremum, the bound is exactly
±1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certkit.elementary._bits import ROUND_MAGIC, chunk_length, chunk_slices, one_place_around
from certkit.elementary._integers import half_pi_parts, reduce_by_half_pi
from certkit.elementary._series import fast_two_sum, horner
from certkit.rounding import next_down, next_up, sub_up, two_prod, two_sum

_PERIOD_DOWN = 6.283185307179586  # below 2 pi
_FAST = 2.0**30
_TINY = 2.0**-60

# (sin r - r)/r³ and (cos r - 1 + r²/2)/r⁴ in powers of r², highest first.
_SIN_TAIL = tuple((-1) ** n / math.factorial(2 * n + 1) for n in range(8, 0, -1))
_COS_TAIL = tuple((-1) ** n / math.factorial(2 * n) for n in range(9, 1, -1))


def sin_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``sin`` over ``[lo, hi]``.

    Tightness: at most 2 ulp per side, never outside [-1, 1]; extrema inside the interval give exactly ±1,
    ``sin(0) = 0`` is exact, and intervals at least 2 pi wide give [-1, 1].

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> lo, hi = torch.tensor([0.0, 3.0]).double(), torch.tensor([2.0, 3.5]).double()
        >>> down, up = sin_bounds(lo, hi)
        >>> down[0].item(), up[0].item(), bool(down[1] < -0.35), bool(up[1] > 0.14)
        (0.0, 1.0, True, True)
    """
    return _chunked(lo, hi, quarter=0)


def cos_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``cos`` over ``[lo, hi]``.

    Tightness: at most 2 ulp per side, never outside [-1, 1]; extrema inside the interval give exactly ±1,
    ``cos(0) = 1`` among them, and intervals at least 2 pi wide give [-1, 1].

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> lo, hi = torch.tensor([-1.0]).double(), torch.tensor([2.0]).double()
        >>> down, up = cos_bounds(lo, hi)
        >>> bool(down < -0.416), up.item()
        (True, 1.0)
    """
    return _chunked(lo, hi, quarter=1)


def _chunked(lo: Tensor, hi: Tensor, quarter: int) -> tuple[Tensor, Tensor]:
    flat_lo, flat_hi = lo.reshape(-1), hi.reshape(-1)
    down, up = torch.empty_like(flat_lo), torch.empty_like(flat_hi)
    for part in chunk_slices(lo.numel(), chunk_length(lo) // 4):
        down[part], up[part] = _bounds(flat_lo[part], flat_hi[part], quarter)
    return down.reshape(lo.shape), up.reshape(lo.shape)


def _bounds(lo: Tensor, hi: Tensor, quarter: int) -> tuple[Tensor, Tensor]:
    """``quarter = 0`` for sin; 1 for cos, which is sin a quarter turn later."""
    wide = ~(sub_up(hi, lo) < _PERIOD_DOWN)
    lo, hi = torch.where(wide, 0.0, lo), torch.where(wide, 0.0, hi)
    down_lo, up_lo, q_lo, r_lo = _at_points(lo, quarter)
    down_hi, up_hi, q_hi, r_hi = _at_points(hi, quarter)
    # multiples of pi/2 in [lo, hi]: first, first + 1, …, first + count - 1 (mod 8; there are at most 5)
    first = q_lo + (r_lo > 0)
    count = torch.remainder(q_hi - (r_hi < 0).to(torch.int64) - first + 1, 8)
    top = torch.remainder(1 - quarter - first, 4) < count
    bottom = torch.remainder(3 - quarter - first, 4) < count
    down = torch.where(bottom | wide, -1.0, torch.minimum(down_lo, down_hi))
    up = torch.where(top | wide, 1.0, torch.maximum(up_lo, up_hi))
    return down, up


def _at_points(x: Tensor, quarter: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bounds at points, the quotient mod 8 and the remainder."""
    q, r, s = _reduced(x)
    turn = torch.remainder(q + quarter, 4)
    odd = (turn & 1) == 1
    value = torch.where(odd, _cos_kernel(r, s), _sin_kernel(r, s))
    down, up = one_place_around(value)
    # x - x³/6 < sin x < x for x > 0 (mirrored below); the cube is less than a place for tiny x.
    tiny = ~odd & (r.abs() < _TINY) & (x.abs() < 1)
    down = torch.where(tiny, torch.where(x > 0, next_down(x), x), down)
    up = torch.where(tiny, torch.where(x < 0, next_up(x), x), up)
    crest = odd & (r == 0)  # exactly at an extremum, which floats reach only at 0
    down, up = torch.where(crest, 1.0, down.clamp(-1.0, 1.0)), up.clamp(-1.0, 1.0)
    opposite = turn >= 2
    return torch.where(opposite, -up, down), torch.where(opposite, -down, up), q, r


def _reduced(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    near = x.clamp(-_FAST, _FAST)
    high, middle, low = half_pi_parts()
    q = (near * (1.0 / high) + ROUND_MAGIC) - ROUND_MAGIC
    p, p_low = two_prod(q, torch.full_like(q, high))
    t, t_low = two_prod(q, torch.full_like(q, middle))
    first = near - p  # exact: both are multiples of one power of two, and the difference is small
    second, lost = two_sum(first, -p_low)
    third, lost_too = two_sum(second, -t)
    r, s = two_sum(third, (lost + lost_too) - (t_low + q * low))
    q = torch.remainder(q.to(torch.int64), 8)
    far = torch.nonzero(x.abs() > _FAST).squeeze(1)
    if far.numel() > 0:
        exact = [reduce_by_half_pi(v) for v in x[far].tolist()]
        q[far] = torch.tensor([e[0] for e in exact], device=x.device)
        r[far] = torch.tensor([e[1] for e in exact], dtype=torch.float64, device=x.device)
        s[far] = torch.tensor([e[2] for e in exact], dtype=torch.float64, device=x.device)
    return q, r, s


def _sin_kernel(r: Tensor, s: Tensor) -> Tensor:
    z, z_low = two_prod(r, r)
    tail = r * z * horner(_SIN_TAIL, z)
    return r + ((s * (1.0 - 0.5 * z) - r * z_low * (1.0 / 6.0)) + tail)


def _cos_kernel(r: Tensor, s: Tensor) -> Tensor:
    z, z_low = two_prod(r, r)
    head, lost = fast_two_sum(torch.ones_like(z), -0.5 * z)
    tail = z * z * horner(_COS_TAIL, z)
    return head + ((lost - (0.5 * z_low + r * s)) + tail)
