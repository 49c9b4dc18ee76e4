"""Rigorous ``exp`` from ``+ - ×`` and bit operations.

Method.  ``x = k·ln2 + (r + s)`` with an integer ``k`` and ``|r + s| ≤ 0.34658``, then
``e^x = 2^k · (1 + (r + s) + r²·q(r))``, with ``q`` the Taylor polynomial of ``(e^r - 1 - r)/r²`` of
degree 11.  ``1 + r`` is added without error (Fast2Sum), so one rounding dominates.

Error (``u = 2^-53``; derived in docs/explanation/elementary.md, recomputed by
``tests/elementary/test_budgets.py``).  Before the last rounding the value is off by at most ``0.4 u`` where
``e^(x - k ln2)`` lies in [0.7071, 1], and by ``0.6 u`` where it lies in [1, 1.4143].  Neighbouring floats
are ``u`` apart below 1 and ``2 u`` above, so this is less than half a gap; the last rounding costs at most
half a gap; hence the truth is less than one gap from the computed number, and **one step outward in the bit
pattern is a bound**, at most 1.9 ulp from the truth.  Scaling by ``2^k`` is exact while the result is
normal; below that the scaled number is rounded once more, and the same step still covers the truth.

The Horner steps use ``torch.addcmul(c, r, p)``, that is ``c + r·p`` with or without rounding the product;
the bound holds for both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certkit.elementary._bits import (
    ROUND_MAGIC,
    bits,
    chunk_length,
    chunk_slices,
    power_of_two,
)
from certkit.elementary._series import INV_LN2, LN2_HIGH, LN2_LOW, constants
from certkit.rounding import MAX

# q(r) = Σ_{i=0}^{11} r^i/(i+2)!, highest power first, each coefficient rounded to nearest.
_TAYLOR = tuple(1.0 / math.factorial(i + 2) for i in range(11, -1, -1))

# 1023 rides along in the magic number, so that its low bits become the exponent field of 2^k.
_MAGIC = ROUND_MAGIC + 1023.0

_SAFE = 708.0
"""For ``|x|`` up to here ``e^x`` is normal and ``2^k`` is a normal float: the fast path."""


def exp_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``exp`` over the boxes ``[lo, hi]``.

    Tightness: each bound is at most 2 ulp from the exact end (1.9 derived); ``exp(0) = 1`` is exact.
    Overflow gives ``[largest finite, inf]`` outward, underflow ``[0, smallest subnormal]``.

    Args:
        lo: Lower ends, float64, no NaN, ``lo < inf``.
        hi: Upper ends, same shape, ``lo ≤ hi``. Passing the same tensor twice halves the work.

    Returns:
        ``(exp_down, exp_up)``, new tensors of the same shape.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> down, up = exp_bounds(x, x)
        >>> bool(down[0] == up[0] == 1.0), bool(down[1] < 2.718281828459045 < up[1])
        (True, True)
    """
    shared = lo is hi
    flat_lo = lo.reshape(-1)
    flat_hi = flat_lo if shared else hi.reshape(-1)
    down, up = torch.empty_like(flat_lo), torch.empty_like(flat_hi)
    length = max(1, min(chunk_length(lo) // 2, lo.numel()))
    work = torch.empty(6, 2 * length, dtype=torch.float64, device=lo.device)
    for part in chunk_slices(lo.numel(), length):
        size = part.stop - part.start
        x = flat_lo[part] if shared else torch.cat((flat_lo[part], flat_hi[part]), out=work[0, : 2 * size])
        buffers = list(work[1:, : x.numel()].unbind())
        value, scale = _reduced(x, buffers)
        stepped = buffers[2]
        torch.add(bits(value[:size]), -1, out=bits(stepped[:size]))
        torch.mul(stepped[:size], scale[:size], out=down[part])
        torch.add(bits(value[-size:]), 1, out=bits(stepped[-size:]))
        torch.mul(stepped[-size:], scale[-size:], out=up[part])
        smallest, largest = torch.aminmax(torch.abs(x, out=stepped))
        if not (float(smallest) > 0.0 and float(largest) <= _SAFE):
            _repair(flat_lo[part], down[part], lower=True)
            _repair(flat_hi[part], up[part], lower=False)
    return down.reshape(lo.shape), up.reshape(lo.shape)


def _reduced(x: Tensor, buffers: list[Tensor]) -> tuple[Tensor, Tensor]:
    """``(v, s)`` with ``v ≈ e^(x - k ln2)`` as bounded above and ``s = 2^k``; valid for ``|x| ≤ 708``.

    Outside that range the contents are meaningless (but nothing raises).  Uses five buffers like ``x``.
    """
    a, r, c, p, scale = buffers
    torch.mul(x, INV_LN2, out=a).add_(_MAGIC)
    torch.bitwise_left_shift(bits(a), 52, out=bits(scale))
    a.sub_(_MAGIC)  # k, exactly
    torch.mul(a, LN2_HIGH, out=c)
    torch.sub(x, c, out=c)  # x - k·LN2_HIGH, exact
    a.mul_(LN2_LOW)
    torch.sub(c, a, out=r)
    c.sub_(r).sub_(a)  # s: what r lost
    p.fill_(_TAYLOR[0])
    for coefficient in constants(_TAYLOR, x.device)[1:]:
        torch.addcmul(coefficient, r, p, out=p)
    torch.mul(r, r, out=a).mul_(p).add_(c)  # r²q + s
    torch.add(r, 1.0, out=c)
    torch.sub(c, 1.0, out=p)
    r.sub_(p)  # what 1 + r lost
    a.add_(r)
    return torch.add(c, a, out=p), scale


def _repair(x: Tensor, out: Tensor, lower: bool) -> None:
    """Overwrite ``out`` where ``x`` is 0 or beyond the fast path; the same value, scaled in two steps."""
    odd = torch.nonzero((x == 0) | (x.abs() > _SAFE)).squeeze(1)
    if odd.numel() == 0:
        return
    special = x[odd]
    clamped = special.clamp(-746.0, 710.0)  # e^-746 rounds to 0 and e^710 overflows
    value, _ = _reduced(clamped, [torch.empty_like(clamped) for _ in range(5)])
    exponent = ((clamped * INV_LN2 + _MAGIC) - _MAGIC).to(torch.int64)  # the k of _reduced
    first = exponent >> 1
    result = value * power_of_two(first) * power_of_two(exponent - first)  # exact, then one rounding
    if lower:
        # inf steps down to the largest finite number, which is below any value that rounds to inf.
        result = torch.where(result == 0, result, (bits(result) - 1).view(torch.float64))
    else:
        result = torch.where(result > MAX, result, (bits(result) + 1).view(torch.float64))
    out[odd] = torch.where(special == 0, 1.0, result)
