"""Exact moves on the bit pattern of binary64 tensors, and the chunk driver the kernels share.

Nothing here rounds.  A finite binary64 number and its neighbours have consecutive bit patterns when read
as 64-bit integers (magnitude order), and the bit pattern of ``2^k`` is ``(k + 1023) << 52``; both facts are
part of IEEE 754's interchange format.  Building ``2^k`` and stepping one unit in the last place this way
uses integer operations only, which are exact, and no library function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from certkit.rounding import next_down, next_up

MIN_NORMAL = 2.0**-1022

ROUND_MAGIC = 6755399441055744.0
"""``1.5 · 2^52``: adding it to a number below ``2^51`` in magnitude rounds that number to an integer, which
then sits in the low bits of the sum's bit pattern."""

CPU_CHUNK = 65536
"""Elements per chunk: buffers stay in cache, and calls cost little beside the arithmetic."""

DEVICE_CHUNK = 1 << 22
"""Elements per chunk off the CPU, where launches cost more than memory traffic."""

Kernel = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points to (lower bounds, upper bounds) of a function at these points; one-dimensional tensors."""


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


def one_place_around(value: Tensor) -> tuple[Tensor, Tensor]:
    """The floats next to ``value``: bounds of any truth less than one gap away."""
    return next_down(value), next_up(value)


def split_exponent(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x = m · 2^e`` with ``1 ≤ m < 2``, exactly, for positive finite ``x`` (subnormals included).

    Returns:
        The significand ``m`` (float64) and the exponent ``e`` (int64).
    """
    tiny = x < MIN_NORMAL
    scaled = torch.where(tiny, x * 2.0**54, x)  # exact: 2^54 makes every subnormal normal
    pattern = bits(scaled)
    exponent = (pattern >> 52) - 1023
    significand = (pattern - (exponent << 52)).view(torch.float64)
    return significand, exponent - torch.where(tiny, 54, 0)


def increasing(kernel: Kernel, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of an increasing function over ``[lo, hi]`` from bounds at the two ends.

    The kernel sees chunks that stay in cache, both ends at once; equal ends are evaluated once.
    """
    shared = lo is hi
    flat_lo = lo.reshape(-1)
    flat_hi = flat_lo if shared else hi.reshape(-1)
    down, up = torch.empty_like(flat_lo), torch.empty_like(flat_hi)
    for part in chunk_slices(lo.numel(), chunk_length(lo) // 4):
        size = part.stop - part.start
        x = flat_lo[part] if shared else torch.cat((flat_lo[part], flat_hi[part]))
        below, above = kernel(x)
        down[part], up[part] = below[:size], above[-size:]
    return down.reshape(lo.shape), up.reshape(lo.shape)
