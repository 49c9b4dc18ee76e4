"""The least and the greatest of several products or quotients, rounded once, without knowing which it is.

``s = min RN(aᵢ bᵢ)`` is the least product rounded to nearest, since rounding is monotone. It is above the
least product iff one of the numbers ``s − aᵢ bᵢ`` is positive. Each is computed by one ``addcmul``, fused or
not: what is not 0 has the right sign (see `certkit._rounding.kernels`), so the greatest of them, if it is
not 0, has the right sign too. It belongs to a product that rounds to ``s`` and is at most ``u|s|`` in size:
if it is positive, its ``RN(aᵢ bᵢ) ≤ s``, hence equal; if all are negative, the one that attains s bounds it.

Quotients by positive numbers: ``s = min RN(aᵢ / bᵢ)`` is above the least quotient iff one of the residuals
``aᵢ − s bᵢ`` is negative, and the least of them, if it is not 0, has the right sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from certkit._rounding.errors import SAFE_HIGH, SAFE_LOW, U
from certkit._rounding.kernels import PHI, fuses

Pair = tuple[Tensor, Tensor]


_LEAST_ERROR = SAFE_LOW * U
_FEW = 1 / 16
"""Up to this share of doubtful elements they are done one by one; above it, all are done another way."""


def extreme_products(low: Sequence[Pair], high: Sequence[Pair], out: Tensor) -> Tensor | None:
    """Writes the least of the products ``low``, rounded down, and the greatest of ``high``, rounded up.

    Returns the indices of the elements that are left open: exact, tiny or huge ones, of which nothing can be
    said here. The others are tightest. None if there are many, and ``out`` is then meaningless.
    """
    least, greatest = out.unbind()
    if not fuses(out.device) or least.numel() == 0:
        return None
    error, spare = torch.empty(2, *least.shape, dtype=torch.float64, device=out.device).unbind()
    if low is high and len(low) > 1:
        torch.mul(*low[0], out=error)
        torch.mul(*low[1], out=spare)
        torch.minimum(error, spare, out=least)
        torch.maximum(error, spare, out=greatest)
        for pair in low[2:]:
            torch.mul(*pair, out=spare)
            torch.minimum(least, spare, out=least)
            torch.maximum(greatest, spare, out=greatest)
    else:
        _nearest(low, torch.minimum, least, spare)
        _nearest(high, torch.maximum, greatest, spare)
    doubtful = None
    for s, pairs in ((least, low), (greatest, high)):
        found = _rounded_out(s, pairs, error, spare, up=s is greatest)
        if found is not None:
            doubtful = found if doubtful is None else doubtful | found
            if int(doubtful.sum()) > _FEW * doubtful.numel():
                return None
    return torch.empty(0, dtype=torch.int64) if doubtful is None else doubtful.nonzero()[:, 0]


def extreme_quotients(low: Sequence[Pair], high: Sequence[Pair], out: Tensor) -> Tensor | None:
    """Writes the least quotient of ``low``, rounded down, and the greatest of ``high``, rounded up.

    Every divisor is positive. Returns the indices of the elements left open, or None if there are many.
    """
    if not fuses(out.device) or out.numel() == 0:
        return None
    residual, spare = torch.empty_like(out).unbind()
    doubtful = torch.zeros((), dtype=torch.bool, device=out.device)
    for s, pairs, better in zip(out.unbind(), (low, high), (torch.minimum, torch.maximum), strict=True):
        torch.div(*pairs[0], out=s)
        for pair in pairs[1:]:
            torch.div(*pair, out=spare)
            better(s, spare, out=s)
        torch.addcmul(pairs[0][0], s, pairs[0][1], value=-1.0, out=residual)
        for a, b in pairs[1:]:
            torch.addcmul(a, s, b, value=-1.0, out=spare)
            better(residual, spare, out=residual)
        if not float(torch.abs(residual, out=spare).amin()) > 0.0:
            doubtful = doubtful | ~(spare > 0.0)
        least, largest = torch.aminmax(torch.abs(s, out=spare))
        if not (float(least) >= SAFE_LOW and float(largest) <= SAFE_HIGH):
            doubtful = doubtful | ~((spare >= SAFE_LOW) & (spare <= SAFE_HIGH))
        up = better is torch.maximum
        (torch.gt if up else torch.lt)(residual, 0.0, out=residual)
        torch.addcmul(s, residual, spare, value=PHI if up else -PHI, out=s)
        if int(doubtful.sum()) > _FEW * s.numel():
            return None
    return doubtful.expand(out[0].shape).nonzero()[:, 0]


def _nearest(pairs: Sequence[Pair], better: Callable[..., Tensor], out: Tensor, spare: Tensor) -> None:
    torch.mul(*pairs[0], out=out)
    for pair in pairs[1:]:
        torch.mul(*pair, out=spare)
        better(out, spare, out=out)


def _rounded_out(s: Tensor, pairs: Sequence[Pair], error: Tensor, spare: Tensor, up: bool) -> Tensor | None:
    """Steps ``s`` outward where one of the products lies outside; returns where that cannot be told."""
    torch.addcmul(s, *pairs[0], value=-1.0, out=error)
    for pair in pairs[1:]:
        torch.addcmul(s, *pair, value=-1.0, out=spare)
        if up:
            torch.minimum(error, spare, out=error)
        else:
            torch.maximum(error, spare, out=error)
    doubtful = None
    if not float(torch.abs(error, out=spare).amin()) >= _LEAST_ERROR:
        doubtful = ~(spare >= _LEAST_ERROR)
    if not float(torch.abs(s, out=spare).amax()) <= SAFE_HIGH:
        huge = ~(spare <= SAFE_HIGH)
        doubtful = huge if doubtful is None else doubtful | huge
    if up:
        torch.lt(error, 0.0, out=error)
    else:
        torch.gt(error, 0.0, out=error)
    torch.addcmul(s, error, spare, value=PHI if up else -PHI, out=s)
    return doubtful
