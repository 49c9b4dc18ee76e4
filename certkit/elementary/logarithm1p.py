"""Rigorous ``log(1 + x)``, accurate near 0.

Method.  For ``|x| < 1/4`` put ``f = x``, ``k = 0``, ``w = 0``; otherwise ``1 + x = v + w`` exactly (TwoSum)
and ``v = 2^k (1 + f)`` as in `certkit.elementary.logarithm`.  Then

    log(1 + x) = k ln2 + log(1 + f) + log(1 + w/v),      log(1 + f) = f - f²/2 + s·(f²/2 + R(s²)).

``f²/2`` is formed without error (TwoProd), ``log(1 + w/v)`` by two terms (``|w/v| ≤ u``).  The pair is within
``u/2`` of the truth, so one step outward is a bound; see docs/explanation/elementary.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit.elementary._bits import bits, increasing, one_place_around
from certkit.elementary._series import LN2_HIGH, LN2_LOW, horner
from certkit.elementary.logarithm import ATANH_SERIES, FRACTION, OFFSET, log_bounds
from certkit.rounding import next_down, next_up, two_prod, two_sum

_TINY = 2.0**-60
_LARGE = 2.0**60


def log1p_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``log(1 + x)`` over ``[lo, hi] ∩ (-1, inf]``.

    Tightness: at most 3 ulp per side (2 for ``x < 2^60``); ``log1p(0) = 0`` is exact.  Where ``hi ≤ -1``
    the result is the empty interval ``(inf, -inf)``.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> x = torch.tensor([-1.0, 0.0], dtype=torch.float64)
        >>> [end.tolist()[1] for end in log1p_bounds(x, x)], log1p_bounds(x, x + 1)[0].tolist()
        ([0.0, 0.0], [-inf, 0.0])
    """
    down, up = increasing(_log1p, lo, hi)
    empty = hi <= -1
    return torch.where(empty, torch.inf, down), torch.where(empty, -torch.inf, up)


def _log1p(x: Tensor) -> tuple[Tensor, Tensor]:
    down, up = one_place_around(_core(x.clamp(-1.0 + 2.0**-53, _LARGE)))
    # x - x²/2 - x² < log(1 + x) < x for 0 < |x| < 1/2; the square is less than a place for tiny x.
    tiny = x.abs() < _TINY
    down = torch.where(tiny, torch.where(x == 0, x, next_down(x)), down)
    up = torch.where(tiny, x, up)
    outside = x <= -1
    down, up = torch.where(outside, -torch.inf, down), torch.where(outside, -torch.inf, up)
    # log x < log(1 + x) < log x + 1/x, and 1/x is less than a place of log x.
    large = x > _LARGE
    if bool(large.any()):
        log_down, log_up = log_bounds(x, x)
        down, up = torch.where(large, log_down, down), torch.where(large, next_up(log_up), up)
    return down, up


def _core(x: Tensor) -> Tensor:
    """Within one place of ``log(1 + x)``, for ``-1 < x ≤ 2^60`` and ``|x| ≥ 2^-60``."""
    v, w = two_sum(torch.ones_like(x), x)
    pattern = bits(v) - OFFSET
    # Near 0, x itself is f: splitting 1 + x there would cost the small terms their relative accuracy.
    near = x.abs() < 0.25
    k = torch.where(near, 0.0, (pattern >> 52).to(torch.float64))
    f = torch.where(near, x, ((pattern & FRACTION) + OFFSET).view(torch.float64) - 1.0)
    s = f / (f + 2.0)
    z = s * s
    square, square_low = two_prod(f, f)
    half, half_low = 0.5 * square, 0.5 * square_low
    beyond = s * (half + z * horner(ATANH_SERIES, z))
    ratio = torch.where(near, 0.0, w / v)
    head, head_low = two_sum(k * LN2_HIGH, f)
    total, total_low = two_sum(head, -half)
    small = (ratio - 0.5 * ratio * ratio) + (beyond + k * LN2_LOW)
    return total + (total_low + (head_low + (small - half_low)))
