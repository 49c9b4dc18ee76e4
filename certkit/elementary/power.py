"""Rigorous integer powers.

``|x| = m · 2^e`` with ``1 ≤ m < 2``.  ``m^n`` is formed by repeated squaring of pairs of floats with the
exponent kept aside as an integer, so nothing over- or underflows on the way; each product of pairs is right
to ``2^-100`` and the errors add up to at most ``2n · 2^-100 ≤ 2^-68``.  The rounded result is therefore
less than one place from the truth, and one step outward is a bound, except where every product was exact,
when no step is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit.elementary._bits import bits, chunk_length, chunk_slices, power_of_two, split_exponent
from certkit.elementary._series import divide_pair, fast_two_sum
from certkit.rounding import next_down, next_up, two_prod

LARGEST_EXPONENT = 2**31 - 1


def pow_bounds(lo: Tensor, hi: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Bounds of ``x^n`` over ``[lo, hi]`` (without 0 if ``n < 0``), for an integer ``n``; ``x^0 = 1``.

    Tightness: at most 2 ulp per side; results that a float can hold are exact.  For ``n < 0`` an interval
    with 0 inside gives the hull of what is left: the whole line for odd ``n``, and the empty interval
    ``(inf, -inf)`` for [0, 0].

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.
        n: The exponent, ``|n| < 2^31``.

    Raises:
        ValueError: the exponent is too large.

    Example:
        >>> import torch
        >>> down, up = pow_bounds(torch.tensor([-2.0]).double(), torch.tensor([3.0]).double(), 2)
        >>> down.item(), up.item()
        (0.0, 9.0)
    """
    if abs(n) > LARGEST_EXPONENT:
        raise ValueError(f"n={n} is too large an exponent; |n| must be below 2^31")
    if n == 0:
        return torch.ones_like(lo), torch.ones_like(hi)
    if n == 1:
        return lo, hi
    flat_lo, flat_hi = lo.reshape(-1), hi.reshape(-1)
    down, up = torch.empty_like(flat_lo), torch.empty_like(flat_hi)
    for part in chunk_slices(lo.numel(), chunk_length(lo) // 4):
        bound = _even if n % 2 == 0 else _odd
        down[part], up[part] = bound(flat_lo[part], flat_hi[part], n)
    if n < 0:
        none = (flat_lo == 0) & (flat_hi == 0)
        down, up = torch.where(none, torch.inf, down), torch.where(none, -torch.inf, up)
    return down.reshape(lo.shape), up.reshape(lo.shape)


def _even(lo: Tensor, hi: Tensor, n: int) -> tuple[Tensor, Tensor]:
    least = torch.clamp(torch.maximum(lo, -hi), min=0.0)
    largest = torch.maximum(-lo, hi)
    if n > 0:
        return _power(least, n)[0], _power(largest, n)[1]
    return _power(largest, n)[0], _power(least, n)[1]


def _odd(lo: Tensor, hi: Tensor, n: int) -> tuple[Tensor, Tensor]:
    if n > 0:
        return _signed(lo, n)[0], _signed(hi, n)[1]
    # Decreasing on either side of 0; an end at 0 belongs to the side the interval is on.
    down, up = _signed(hi, n)[0], _signed(lo, n)[1]
    around = (lo < 0) & (hi >= 0)
    down = torch.where(around, -torch.inf, down)
    return down, torch.where((lo <= 0) & (hi > 0), torch.inf, up)


def _signed(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    down, up = _power(x.abs(), n)
    return torch.where(x < 0, -up, down), torch.where(x < 0, -down, up)


def _power(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Bounds of ``x^n`` at points ``x ≥ 0``; at 0 and inf the limits."""
    ordinary = (x > 0) & (x < torch.inf)
    m, e = split_exponent(torch.where(ordinary, x, 1.0))
    high, low, exponent, exact = _raise(m, e, abs(n))
    if n < 0:
        exact = exact & (high == 1.0) & (low == 0.0)
        high, low = fast_two_sum(*divide_pair(torch.ones_like(high), torch.zeros_like(low), high, low))
        exponent = -exponent
    exact = exact & (low == 0.0)
    # Two scalings reach every exponent; only the second can round, and only into the subnormals.
    exponent = exponent.clamp(-1200, 1100)
    half = exponent >> 1
    value = high * power_of_two(half) * power_of_two(exponent - half)
    unscaled = value * power_of_two(-half) * power_of_two(half - exponent)
    exact = exact & (unscaled == high)
    down = torch.where(exact, value, torch.where(value == 0, value, next_down(value)))
    up = torch.where(exact, value, next_up(value))
    limit_at_zero, limit_at_infinity = (0.0, torch.inf) if n > 0 else (torch.inf, 0.0)
    limit = torch.where(x == 0, limit_at_zero, limit_at_infinity)
    return torch.where(ordinary, down, limit), torch.where(ordinary, up, limit)


def _raise(m: Tensor, e: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``(m · 2^e)^n`` as a pair with ``1 ≤ high ≤ 2``, an exponent, and whether no digit was dropped."""
    base, base_low, base_exponent = m, torch.zeros_like(m), e
    high, low, exponent = torch.ones_like(m), torch.zeros_like(m), torch.zeros_like(e)
    exact = torch.ones_like(m, dtype=torch.bool)
    while True:
        if n & 1:
            exact = exact & (low == 0) & (base_low == 0)
            high, low, exponent = _times(high, low, exponent, base, base_low, base_exponent)
        n >>= 1
        if n == 0:
            return high, low, exponent, exact
        exact = exact & (base_low == 0)
        base, base_low, base_exponent = _times(base, base_low, base_exponent, base, base_low, base_exponent)


def _times(
    a: Tensor, a_low: Tensor, a_exponent: Tensor, b: Tensor, b_low: Tensor, b_exponent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The product of two pairs, its high part brought back to [1, 2)."""
    p, e = two_prod(a, b)
    high, low = fast_two_sum(p, e + (a * b_low + a_low * b))
    shift = (bits(high) >> 52) - 1023
    scale = power_of_two(-shift)
    return high * scale, low * scale, a_exponent + b_exponent + shift
