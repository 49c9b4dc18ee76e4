"""Rigorous ``log`` from ``+ - × ÷`` and bit operations.

Method.  ``x = 2^k · (1 + f)`` exactly, with ``-0.32325 ≤ f < 0.35352``.  With ``s = f/(2 + f)`` and
``h = f²/2``,

    log(1 + f) = 2 atanh(s) = f - h + s·(h + R(s²)),      R(z) = 2z/3 + 2z²/5 + 2z³/7 + …

and ``log x = k·ln2 + log(1 + f)``, where ``k·LN2_HIGH + f`` is added without error (Fast2Sum).

Error (derived in docs/explanation/elementary.md, recomputed by ``tests/elementary/test_budgets.py``):
before the last rounding the value is within 0.49 ulp of ``log x``; the last rounding costs at most half an
ulp; so the truth is less than one place from the computed number and **one step outward is a bound**,
within 2 ulp of the truth.  The range of ``f`` is chosen for this: ``f² < 1/8`` keeps the rounding of ``h``
small where ``|log x|`` is small.

The Horner steps use ``torch.addcmul(c, z, p)``, that is ``c + z·p`` with or without rounding the product;
the bound holds for both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit.elementary._bits import MIN_NORMAL, ROUND_MAGIC, bits, chunk_length, chunk_slices
from certkit.elementary._series import LN2_HIGH, LN2_LOW, constants

OFFSET = 0x3FE5A80000000000
"""The pattern of 0.6767578125: significands are taken from [0.6767578125, 1.353515625)."""
FRACTION = (1 << 52) - 1
INTEGER_MAGIC = 0x4338000000000000
"""The pattern of ``1.5 · 2^52``; adding an integer ``k`` to it gives the pattern of ``1.5 · 2^52 + k``."""

# R(z)/z = Σ_{i=0}^{10} 2 z^i/(2i + 3), highest power first, each coefficient rounded to nearest.
ATANH_SERIES = tuple(2.0 / odd for odd in range(23, 1, -2))


def log_bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of the natural logarithm over ``[lo, hi] ∩ (0, inf]``.

    Tightness: each bound is at most 2 ulp from the exact end; ``log(1) = 0`` is exact.  Where ``hi ≤ 0`` no
    point has a logarithm and the result is the empty interval ``(inf, -inf)``.

    Args:
        lo: Lower ends, float64, no NaN.
        hi: Upper ends, same shape, ``lo ≤ hi``. Passing the same tensor twice halves the work.

    Returns:
        ``(log_down, log_up)``, new tensors of the same shape.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
        >>> down, up = log_bounds(x, x + 1)
        >>> down.tolist()[:2], up.tolist()[0], bool(down[2] < 0.6931471805599453 < up[1])
        ([-inf, 0.0], 0.0, True)
    """
    flat_lo = lo.reshape(-1)
    flat_hi = flat_lo if lo is hi else hi.reshape(-1)
    down, up = torch.empty_like(flat_lo), torch.empty_like(flat_hi)
    length = max(1, min(chunk_length(lo) // 2, lo.numel()))
    work = torch.empty(8, 2 * length, dtype=torch.float64, device=lo.device)
    for part in chunk_slices(lo.numel(), length):
        size = part.stop - part.start
        x = flat_lo[part] if lo is hi else torch.cat((flat_lo[part], flat_hi[part]), out=work[0, : 2 * size])
        value, outward, *buffers = work[1:, : x.numel()].unbind()
        _log_chunk(x, value, [outward, *buffers])
        smallest, largest = torch.aminmax(x)
        if not (float(smallest) >= MIN_NORMAL and float(largest) < torch.inf):
            _repair(x, value)
        # +1 where the value is positive, -1 where it is negative: one place away from zero.
        torch.bitwise_right_shift(bits(value), 63, out=bits(outward)).bitwise_or_(1)
        torch.sub(bits(value[:size]), bits(outward[:size]), out=bits(down[part]))
        torch.add(bits(value[-size:]), bits(outward[-size:]), out=bits(up[part]))
        exact = (x == 1) | value.isinf()
        if bool(exact.any()):
            down[part] = torch.where(exact[:size], value[:size], down[part])
            up[part] = torch.where(exact[-size:], value[-size:], up[part])
    empty = flat_hi <= 0
    if bool(empty.any()):
        down, up = torch.where(empty, torch.inf, down), torch.where(empty, -torch.inf, up)
    return down.reshape(lo.shape), up.reshape(lo.shape)


def _log_chunk(x: Tensor, out: Tensor, buffers: list[Tensor], shift: float = 0.0) -> None:
    """``log(x · 2^shift)`` for normal positive finite ``x``; meaningless (but silent) elsewhere."""
    a, f, h, s, p, k = buffers
    torch.sub(bits(x), OFFSET, out=bits(a))
    torch.bitwise_right_shift(bits(a), 52, out=bits(k)).add_(INTEGER_MAGIC)
    k.sub_(ROUND_MAGIC - shift)  # the exponent, exactly
    bits(a).bitwise_and_(FRACTION).add_(OFFSET)  # the significand
    torch.sub(a, 1.0, out=f)
    torch.add(f, 2.0, out=s)
    torch.div(f, s, out=s)
    torch.mul(f, 0.5, out=h).mul_(f)
    torch.mul(s, s, out=a)
    p.fill_(ATANH_SERIES[0])
    for coefficient in constants(ATANH_SERIES, x.device)[1:]:
        torch.addcmul(coefficient, a, p, out=p)
    p.mul_(a).add_(h).mul_(s)  # s(h + R)
    torch.mul(k, LN2_LOW, out=a)
    p.add_(a)
    h.sub_(p)  # what is to be subtracted
    k.mul_(LN2_HIGH)
    torch.add(k, f, out=a)
    torch.sub(a, k, out=s)
    f.sub_(s)  # what the sum lost
    f.sub_(h)
    torch.add(a, f, out=out)


def _repair(x: Tensor, out: Tensor) -> None:
    """Overwrite ``out`` where ``x`` is subnormal, zero, negative or infinite."""
    odd = torch.nonzero(~((x >= MIN_NORMAL) & (x < torch.inf))).squeeze(1)
    special = x[odd]
    scaled = torch.clamp(special, min=0.0) * 18014398509481984.0  # times 2^54, exact
    result = torch.empty_like(scaled)
    _log_chunk(scaled, result, [torch.empty_like(scaled) for _ in range(6)], shift=-54.0)
    result = torch.where(special <= 0, -torch.inf, result)
    out[odd] = torch.where(special == torch.inf, torch.inf, result)
