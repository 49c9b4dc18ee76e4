"""Short enclosed series that several functions share: ``e^r - 1``, and Horner's rule.

All values here are unevaluated pairs ``high + low``.  "Within ``e u`` relatively" is a bound on the error
before the last rounding; a function whose pair is within ``u/2`` of the truth needs one step outward (the
lemma in docs/explanation/elementary.md), and is then within 2 ulp.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from certkit.elementary._bits import ROUND_MAGIC
from certkit.rounding import two_prod, two_sum

INV_LN2 = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42fefa38p-1")
"""The first 42 bits of ln 2: ``k·LN2_HIGH`` is exact for ``|k| < 2^11``."""
LN2_LOW = float.fromhex("0x1.ef35793c7673p-45")
"""``ln 2 - LN2_HIGH`` rounded to nearest; what is left is below ``2^-98``."""


@functools.cache
def constants(values: tuple[float, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Scalars as zero-dimensional tensors on ``device``."""
    return tuple(torch.tensor(v, dtype=torch.float64, device=device) for v in values)


def horner(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """``c_0 x^n + c_1 x^(n-1) + … + c_n`` by Horner's rule, highest power first.

    Each step is ``c + x·p`` with or without rounding the product; no more is assumed of it.
    """
    first, *rest = constants(coefficients, x.device)
    value = first.expand_as(x)
    for c in rest:
        value = torch.addcmul(c, x, value)
    return value


def fast_two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """``a + b = s + e`` exactly, if ``|a| ≥ |b|`` or ``a = 0``."""
    s = a + b
    return s, b - (s - a)


def divide_pair(a: Tensor, a_low: Tensor, b: Tensor, b_low: Tensor) -> tuple[Tensor, Tensor]:
    """``(a + a_low)/(b + b_low)`` as a pair, within ``2^-100`` relatively.

    For ``2^-400 ≤ |a|/|b|``, all magnitudes within ``2^±400``, and lows below an ulp of their highs.
    """
    q = a / b
    p, e = two_prod(q, b)
    return q, (((a - p) - e) + a_low - q * b_low) / b


# (e^r - 1 - r - r²/2)/r³ = Σ_{i=0}^{11} r^i/(i+3)!, highest power first.
_CUBIC_TAIL = tuple(1.0 / math.factorial(i + 3) for i in range(11, -1, -1))


def expm1_reduced(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``x = k ln2 + r`` with ``|r| ≤ 0.34658``, and ``e^r - 1``, for ``|x| ≤ 1400``.

    Returns:
        ``k`` as integral floats and ``e^r - 1`` as a pair, within ``0.16 u`` relatively
        (``2^-60 ≤ |x|`` or ``x = 0``; below that the square underflows harmlessly).
    """
    k = (x * INV_LN2 + ROUND_MAGIC) - ROUND_MAGIC
    high = x - k * LN2_HIGH  # exact
    low = k * LN2_LOW
    r, r_low = two_sum(high, -low)
    square, square_low = two_prod(r, r)
    tail = square * r * horner(_CUBIC_TAIL, r)
    value, lost = fast_two_sum(r, 0.5 * square)
    return k, value, lost + ((r_low + r * r_low) + (0.5 * square_low + tail))
