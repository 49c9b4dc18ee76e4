"""Rigorous ``expm1``, ``tanh`` and ``sigmoid``, from ``e^r - 1`` as a pair of floats.

Each kernel forms its function as an unevaluated pair ``y + y_low`` within ``u/2`` of the truth
(relatively), adds it up with one rounding, and steps one place outward; see the lemma and the tables in
docs/explanation/elementary.md. Where the function is within a rounding error of something simple (``x``,
``±1``, ``e^x``) an inequality replaces the computation; the inequality is stated beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit.elementary._bits import increasing, one_place_around
from certkit.elementary._series import divide_pair, expm1_reduced, fast_two_sum
from certkit.elementary.exponential import exp_bounds
from certkit.rounding import next_down, next_up, two_sum

_TINY = 2.0**-60
_ONE_DOWN = 1.0 - 2.0**-53


def expm1_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``e^x - 1`` over ``[lo, hi]``, accurate near 0.

    Tightness: at most 3 ulp per side (2 for ``|x| < 40``); ``expm1(0) = 0`` is exact.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 1e-20], dtype=torch.float64)
        >>> down, up = expm1_bounds(x, x)
        >>> down.tolist()
        [0.0, 1e-20]
    """
    return increasing(_expm1, lo, hi)


def _expm1(x: Tensor) -> tuple[Tensor, Tensor]:
    core = x.clamp(-45.0, 45.0)
    value, low = _expm1_pair(core)
    down, up = one_place_around(value + low)
    # x ≤ e^x - 1 always, and e^x - 1 < x + x² for 0 < |x| < 1, which is less than one place for tiny x.
    tiny = x.abs() < _TINY
    down, up = torch.where(tiny, x, down), torch.where(tiny, torch.where(x == 0, x, next_up(x)), up)
    # Below -40: -1 < e^x - 1 < -1 + u/2 < next_up(-1).
    low_end = x < -40.0
    down, up = torch.where(low_end, -1.0, down), torch.where(low_end, -_ONE_DOWN, up)
    # Above 40, 1 is less than a place of e^x: subtracting it steps down at most once.
    high_end = x > 40.0
    if bool(high_end.any()):
        exp_down, exp_up = exp_bounds(x, x)
        down, up = torch.where(high_end, next_down(exp_down), down), torch.where(high_end, exp_up, up)
    return down, up


def _expm1_pair(x: Tensor) -> tuple[Tensor, Tensor]:
    """``e^x - 1`` as a normalised pair within ``0.4 u`` relatively, for ``2^-60 ≤ |x| ≤ 64``."""
    k, value, low = expm1_reduced(x)
    scale = ((k.to(torch.int64) + 1023) << 52).view(torch.float64)
    head, head_low = two_sum(scale, torch.full_like(scale, -1.0))  # 2^k - 1 exactly
    total, lost = two_sum(head, scale * value)
    return fast_two_sum(total, lost + (head_low + scale * low))


def tanh_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``tanh`` over ``[lo, hi]``, from ``tanh x = t/(t + 2)`` with ``t = e^(2x) - 1``.

    Tightness: at most 2 ulp per side, never outside [-1, 1]; ``tanh(0) = 0`` is exact.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> x = torch.tensor([-1000.0, 0.0], dtype=torch.float64)
        >>> [end.tolist()[1] for end in tanh_bounds(x, x)]
        [0.0, 0.0]
    """
    return increasing(_tanh, lo, hi)


def _tanh(x: Tensor) -> tuple[Tensor, Tensor]:
    size = x.abs()
    t, t_low = _expm1_pair(2.0 * size.clamp(max=24.0))
    d, d_low = two_sum(t, torch.full_like(t, 2.0))
    q, q_low = divide_pair(t, t_low, d, d_low + t_low)
    down, up = one_place_around(q + q_low)
    # x - x³/3 < tanh x < x for x > 0; the cube is less than a place for tiny x.
    tiny = size < _TINY
    down = torch.where(tiny, torch.where(size == 0, size, next_down(size)), down)
    up = torch.where(tiny, size, up)
    # 1 - tanh x < 2 e^(-2x) < u/2 above 20.
    large = size > 20.0
    down, up = torch.where(large, _ONE_DOWN, down), torch.where(large, 1.0, up.clamp(max=1.0))
    return torch.where(x < 0, -up, down), torch.where(x < 0, -down, up)


def sigmoid_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``1/(1 + e^-x)`` over ``[lo, hi]``.

    Tightness: at most 3 ulp per side (2 for ``|x| < 40``), never outside [0, 1]; ``sigmoid(0) = 1/2`` is
    exact.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, dtype=torch.float64)
        >>> [end.item() for end in sigmoid_bounds(x, x)]
        [0.5, 0.5]
    """
    return increasing(_sigmoid, lo, hi)


def _sigmoid(x: Tensor) -> tuple[Tensor, Tensor]:
    # n = e^-|x| ≤ 1; the function is 1/(1 + n) on the right and n/(1 + n) on the left.
    k, value, low = expm1_reduced(-x.abs().clamp(max=45.0))
    scale = ((k.to(torch.int64) + 1023) << 52).view(torch.float64)
    one = torch.ones_like(scale)
    n, n_low = fast_two_sum(one, value)
    n, n_low = fast_two_sum(scale * n, scale * (n_low + low))
    d, d_low = fast_two_sum(one, n)
    right = x >= 0
    numerator, numerator_low = torch.where(right, one, n), torch.where(right, 0.0, n_low)
    q, q_low = divide_pair(numerator, numerator_low, d, d_low + n_low)
    down, up = one_place_around(q + q_low)
    down, up = torch.where(x == 0, 0.5, down), torch.where(x == 0, 0.5, up)
    # 0 < 1 - sigmoid(x) < e^-x < u/2 above 40.
    large = x > 40.0
    down, up = torch.where(large, _ONE_DOWN, down), torch.where(large, 1.0, up.clamp(max=1.0))
    # e^x - e^2x < sigmoid(x) < e^x; below -40 the square is less than a place.
    small = x < -40.0
    if bool(small.any()):
        exp_down, exp_up = exp_bounds(x, x)
        down = torch.where(small, next_down(exp_down).clamp(min=0.0), down)
        up = torch.where(small, exp_up, up)
    return down, up
