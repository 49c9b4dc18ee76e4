"""Exact moves on the bit pattern of binary64 tensors, and the chunk driver the kernels share.

Nothing here rounds.  A finite binary64 number and its neighbours have consecutive bit patterns when read
as 64-bit integers (magnitude order), and the bit pattern of ``2^k`` is ``(k + 1023) << 52``; both facts are
part of IEEE 754's interchange format.  Building ``2^k`` and stepping one unit in the last place this way
uses integer operations only, which are exact, and no library function.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

MAX_FINITE = 1.7976931348623157e308
MIN_SUBNORMAL = 5e-324
MIN_NORMAL = 2.2250738585072014e-308

ROUND_MAGIC = 6755399441055744.0
"""``1.5 · 2^52``: adding it to a number below ``2^51`` in magnitude rounds that number to an integer, which
then sits in the low bits of the sum's bit pattern."""

CPU_CHUNK = 32768
"""Elements per chunk: half a dozen work buffers of this size stay in a core's second-level cache."""

DEVICE_CHUNK = 1 << 22
"""Elements per chunk off the CPU, where launches cost more than memory traffic."""


def chunk_length(x: Tensor) -> int:
    """How many elements one pass of a kernel should hold on the device of ``x``."""
    return CPU_CHUNK if x.device.type == "cpu" else DEVICE_CHUNK


def chunk_slices(count: int, length: int) -> Iterator[slice]:
    """Consecutive slices of at most ``length`` covering ``range(count)``."""
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def bits(x: Tensor) -> Tensor:
    """The bit patterns of ``x`` as int64 (a view)."""
    return x.view(torch.int64)


def power_of_two(exponent: Tensor) -> Tensor:
    """``2^exponent`` exactly, for int64 exponents in [-1022, 1023]."""
    return ((exponent + 1023) << 52).view(torch.float64)


def step_up(x: Tensor, ulps: int = 1) -> Tensor:
    """The float ``ulps`` places above ``x`` (saturating at +inf; ``x`` must not be NaN).

    Exact zeros of either sign count as one place, as in IEEE 754's ``nextUp``.
    """
    # Order-preserving integers: negative patterns are mirrored, -0 and +0 coincide at 0.
    pattern = bits(x)
    key = torch.where(pattern < 0, torch.iinfo(torch.int64).min - pattern, pattern)
    key = torch.clamp(key + ulps, max=_INF_KEY, min=-_INF_KEY)
    return torch.where(key < 0, torch.iinfo(torch.int64).min - key, key).view(torch.float64)


def step_down(x: Tensor, ulps: int = 1) -> Tensor:
    """The float ``ulps`` places below ``x`` (saturating at -inf; ``x`` must not be NaN)."""
    return step_up(x, -ulps)


_INF_KEY = 0x7FF0000000000000


def split_exponent(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x = m · 2^e`` with ``1 ≤ m < 2``, exactly, for positive finite ``x`` (subnormals included).

    Returns:
        The significand ``m`` (float64) and the exponent ``e`` (int64).
    """
    tiny = x < MIN_NORMAL
    scaled = torch.where(tiny, x * 18014398509481984.0, x)  # exact: 2^54 makes every subnormal normal
    pattern = bits(scaled)
    exponent = (pattern >> 52) - 1023
    significand = (pattern - (exponent << 52)).view(torch.float64)
    return significand, exponent - torch.where(tiny, 54, 0)
