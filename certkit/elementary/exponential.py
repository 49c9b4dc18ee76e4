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

import attrs
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
    work = _Workspace.of(length, shared, lo.device)
    for part in chunk_slices(lo.numel(), length):
        if part.stop - part.start < length:
            work = _Workspace.of(part.stop - part.start, shared, lo.device)
        low, high = flat_lo[part], flat_hi[part]
        x = low if shared else torch.cat((low, high), out=work.x)
        if work.evaluate(x, down[part], up[part]):
            _repair(low, down[part], lower=True)
            _repair(high, up[part], lower=False)
    return down.reshape(lo.shape), up.reshape(lo.shape)


@attrs.frozen
class _Workspace:
    """Buffers for one chunk, and their views made once (making a view costs as much as a small addition)."""

    x: Tensor
    a: Tensor
    r: Tensor
    c: Tensor
    p: Tensor
    scale: Tensor
    a_bits: Tensor
    scale_bits: Tensor
    value_bits: tuple[Tensor, Tensor]
    stepped_bits: tuple[Tensor, Tensor]
    stepped: tuple[Tensor, Tensor]
    scales: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, length: int, shared: bool, device: torch.device) -> _Workspace:
        """Room for ``length`` points, or for as many lower and upper ends one after the other."""
        size = length if shared else 2 * length
        x, a, r, c, p, scale = torch.empty(6, size, dtype=torch.float64, device=device).unbind()

        def ends(t: Tensor) -> tuple[Tensor, Tensor]:
            return t[:length], t[size - length :]

        return cls(
            x, a, r, c, p, scale, bits(a), bits(scale), ends(bits(p)), ends(bits(c)), ends(c), ends(scale)
        )  # fmt: skip

    def evaluate(self, x: Tensor, down: Tensor, up: Tensor) -> bool:
        """Write the bounds at ``x``; True if some of them need `_repair`."""
        self.reduce(x)
        torch.add(self.value_bits[0], -1, out=self.stepped_bits[0])
        torch.mul(self.stepped[0], self.scales[0], out=down)
        torch.add(self.value_bits[1], 1, out=self.stepped_bits[1])
        torch.mul(self.stepped[1], self.scales[1], out=up)
        smallest, largest = torch.aminmax(torch.abs(x, out=self.c))
        return not (float(smallest) > 0.0 and float(largest) <= _SAFE)

    def reduce(self, x: Tensor) -> None:
        """``p ≈ e^(x - k ln2)`` as bounded above and ``scale = 2^k``, for ``|x| ≤ 708``.

        Outside that range the contents are meaningless (but nothing raises).
        """
        a, r, c, p = self.a, self.r, self.c, self.p
        torch.mul(x, INV_LN2, out=a).add_(_MAGIC)
        torch.bitwise_left_shift(self.a_bits, 52, out=self.scale_bits)
        a.sub_(_MAGIC)  # k, exactly
        torch.mul(a, LN2_HIGH, out=c)
        torch.sub(x, c, out=c)  # x - k·LN2_HIGH, exact
        a.mul_(LN2_LOW)
        torch.sub(c, a, out=r)
        c.sub_(r).sub_(a)  # s: what r lost
        first, second, *rest = constants(_TAYLOR, x.device)
        torch.addcmul(second, r, first, out=p)
        for coefficient in rest:
            torch.addcmul(coefficient, r, p, out=p)
        torch.mul(r, r, out=a).mul_(p).add_(c)  # r²q + s
        torch.add(r, 1.0, out=c)
        torch.sub(c, 1.0, out=p)
        r.sub_(p)  # what 1 + r lost
        a.add_(r)
        torch.add(c, a, out=p)


def _repair(x: Tensor, out: Tensor, lower: bool) -> None:
    """Overwrite ``out`` where ``x`` is 0 or beyond the fast path; the same value, scaled in two steps."""
    odd = torch.nonzero((x == 0) | (x.abs() > _SAFE)).squeeze(1)
    if odd.numel() == 0:
        return
    special = x[odd]
    clamped = special.clamp(-746.0, 710.0)  # e^-746 rounds to 0 and e^710 overflows
    work = _Workspace.of(clamped.numel(), True, clamped.device)
    work.reduce(clamped)
    exponent = ((clamped * INV_LN2 + _MAGIC) - _MAGIC).to(torch.int64)  # the k of `reduce`
    first = exponent >> 1
    result = work.p * power_of_two(first) * power_of_two(exponent - first)  # exact, then one rounding
    if lower:
        # inf steps down to the largest finite number, which is below any value that rounds to inf.
        result = torch.where(result == 0, result, (bits(result) - 1).view(torch.float64))
    else:
        result = torch.where(result > MAX, result, (bits(result) + 1).view(torch.float64))
    out[odd] = torch.where(special == 0, 1.0, result)
