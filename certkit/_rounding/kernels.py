"""The fast half of `certkit.rounding`: few tensor operations, for elements of ordinary size.

A kernel leaves three tensors: the rounded result ``s``, a number with the sign of its error, and ``|s|``. A
step of one float is then ``s ± RN(φ|s|)``, ``φ = u(1 + 2u)``, rounded to nearest (Rump, Zimmermann, Boldo,
Melquiond, BIT 49, 2009): for ``2**-960 ≤ |s| ≤ 2**1000`` the number ``φ|s|`` and its rounding exceed half
the gap to either neighbour and stay below one and a half, so that the sum rounds to the neighbour.
``addcmul`` computes ``s + φ t |s|`` for ``t`` in {0, 1, −1} with or without rounding the product; both give
the neighbour.

`ordinary` decides from the smallest and largest ``|s|`` whether every element is in the range in which the
kernel is exact. If not, the careful half does the whole piece.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from certkit._rounding import errors
from certkit._rounding.chunks import CHUNK, common_shape
from certkit._rounding.errors import SAFE_HIGH, SAFE_LOW

_PHI = 2.0**-53 * (1.0 + 2.0**-52)
_SPLIT = 2.0**27

Buffers = list[Tensor]


@attrs.frozen
class Kernel:
    """One operation of two tensors.

    ``parts(a, b, buffers)`` returns ``s``, ``error``, ``|s|`` in buffers, where ``sense * error`` has the
    sign of exact − s. ``ordinary(a, b, error, size)`` is true only if that holds for every element.
    ``careful(a, b)`` returns s and a number with the sign of exact − s, always right.
    """

    parts: Callable[[Tensor, Tensor, Buffers], tuple[Tensor, Tensor, Tensor]]
    ordinary: Callable[[Tensor, Tensor, Tensor, Tensor], bool]
    careful: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    sense: int
    buffers: int


@attrs.frozen
class Job:
    """One result to compute: the operation on ``a`` and ``b``, rounded up or down."""

    a: Tensor
    b: Tensor
    up: bool


def directed(kernel: Kernel, a: Tensor, b: Tensor, up: bool) -> Tensor:
    """The result rounded up or down, tightest."""
    (result,), _ = rounded(kernel, [Job(a, b, up)])
    return result


def rounded(kernel: Kernel, jobs: list[Job], out: Tensor | None = None) -> tuple[list[Tensor], bool]:
    """All results, tightest, and whether every element was ordinary: then operands and results are finite.

    Neighbouring jobs with the same operands share one computation. The results are the rows of one block of
    memory (``out``, if given): the allocator reuses one large block, where several go back to the system and
    are faulted in again.
    """
    shape = common_shape(*(x.shape for job in jobs for x in (job.a, job.b)))
    device = jobs[0].a.device
    block = torch.empty(len(jobs), *shape, dtype=torch.float64, device=device) if out is None else out
    if block[0].numel() <= 2 * CHUNK or device.type != "cpu":
        whole = {id(x): x if x.shape == shape else x.expand(shape) for job in jobs for x in (job.a, job.b)}
        work = torch.empty(kernel.buffers, *shape, dtype=torch.float64, device=device)
        return list(block.unbind()), _round_piece(kernel, jobs, whole, block, list(work.unbind()))
    flat = {id(x): _flat(x.expand(shape)) for job in jobs for x in (job.a, job.b)}
    columns = block.view(len(jobs), -1)
    work = torch.empty(kernel.buffers, CHUNK, dtype=torch.float64)
    ordinary = True
    for start in range(0, columns.shape[1], CHUNK):
        pieces = {key: x[start : start + CHUNK] for key, x in flat.items()}
        rows = columns[:, start : start + CHUNK]
        ordinary &= _round_piece(kernel, jobs, pieces, rows, list(work[:, : rows.shape[1]].unbind()))
    return list(block.unbind()), ordinary


def _flat(x: Tensor) -> Tensor:
    """One dimension; a number stays one number, however often it is repeated."""
    return x.as_strided((x.numel(),), (0,)) if set(x.stride()) == {0} else x.reshape(-1)


def _round_piece(
    kernel: Kernel, jobs: list[Job], pieces: dict[int, Tensor], outs: Tensor, work: Buffers
) -> bool:
    ordinary, last, parts = True, None, None
    for job, out in zip(jobs, outs.unbind(), strict=True):
        a, b = pieces[id(job.a)], pieces[id(job.b)]
        if last != (id(job.a), id(job.b)):
            last, parts = (id(job.a), id(job.b)), _ordinary_parts(kernel, a, b, work)
        if parts is None:
            s, error = kernel.careful(a, b)
            out.copy_(errors.stepped_up(s, error) if job.up else errors.stepped_down(s, error))
            ordinary = False
        else:
            _step(*parts, kernel.sense, job.up, out)
    return ordinary


def _ordinary_parts(
    kernel: Kernel, a: Tensor, b: Tensor, work: Buffers
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The parts, or None if an element is not ordinary."""
    s, error, size = kernel.parts(a, b, work)
    return (s, error, size) if a.numel() and kernel.ordinary(a, b, error, size) else None


def _step(s: Tensor, error: Tensor, size: Tensor, sense: int, up: bool, out: Tensor) -> None:
    """``s``, or its neighbour where the error says so."""
    torch.sign(error, out=out)
    if up == (sense > 0):
        out.clamp_(min=0.0)
    else:
        out.clamp_(max=0.0)
    torch.addcmul(s, out, size, value=sense * _PHI, out=out)


# --- sums ---


def _sum_parts(a: Tensor, b: Tensor, work: Buffers) -> tuple[Tensor, Tensor, Tensor]:
    s, t, error = work
    torch.add(a, b, out=s)
    torch.sub(s, a, out=t)
    torch.sub(s, t, out=error)
    torch.sub(a, error, out=error)
    torch.sub(b, t, out=t)
    error.add_(t)
    return s, error, torch.abs(s, out=t)


def _difference_parts(a: Tensor, b: Tensor, work: Buffers) -> tuple[Tensor, Tensor, Tensor]:
    s, t, error = work
    torch.sub(a, b, out=s)
    torch.sub(s, a, out=t)
    torch.sub(s, t, out=error)
    torch.sub(a, error, out=error)
    torch.add(b, t, out=t)
    error.sub_(t)
    return s, error, torch.abs(s, out=t)


def _sum_ordinary(a: Tensor, b: Tensor, error: Tensor, size: Tensor) -> bool:
    """Up to ``2**990`` no step of TwoSum overflows; below ``2**-960`` a sum without error needs no step."""
    least, largest = torch.aminmax(size)
    if not float(largest) <= SAFE_HIGH:
        return False
    return float(least) >= SAFE_LOW or not bool(((size < SAFE_LOW) & (error != 0)).any())


# --- products and quotients ---


def _split_into(a: Tensor, high: Tensor, low: Tensor) -> None:
    """``a == high + low``, 26 bits each. With ``c = RN(2**27 a + a)`` the number ``c − 2**27 a`` is ``a``
    rounded to a multiple of the last place of ``c``, exactly (Fast2Sum); ``2**27 a`` is exact, so fusing
    changes nothing."""
    torch.mul(a, _SPLIT + 1.0, out=high)
    torch.sub(high, a, alpha=_SPLIT, out=high)
    torch.sub(a, high, out=low)


def _minus_product(start: Tensor, a: Buffers, b: Buffers, out: Tensor) -> Tensor:
    """``start − a b`` in Dekker's order: every product of halves is exact and so is every difference."""
    torch.addcmul(start, a[0], b[0], value=-1.0, out=out)
    out.addcmul_(a[0], b[1], value=-1.0)
    out.addcmul_(a[1], b[0], value=-1.0)
    return out.addcmul_(a[1], b[1], value=-1.0)


def _product_parts(a: Tensor, b: Tensor, work: Buffers) -> tuple[Tensor, Tensor, Tensor]:
    s, a_high, a_low, b_high, b_low, error = work
    torch.mul(a, b, out=s)
    _split_into(a, a_high, a_low)
    if b is a:
        b_high, b_low = a_high, a_low
    else:
        _split_into(b, b_high, b_low)
    _minus_product(s, [a_high, a_low], [b_high, b_low], error)
    return s, error, torch.abs(s, out=a_high)


def _product_ordinary(a: Tensor, b: Tensor, error: Tensor, size: Tensor) -> bool:
    """A split that overflows leaves NaN in the error."""
    least, largest = torch.aminmax(size)
    if not (float(largest) <= SAFE_HIGH and math.isfinite(float(error.sum()))):
        return False
    return float(least) >= SAFE_LOW or not bool(((size < SAFE_LOW) & (a != 0) & (b != 0)).any())


def _quotient_parts(a: Tensor, b: Tensor, work: Buffers) -> tuple[Tensor, Tensor, Tensor]:
    """The residual ``a − s b`` is a float64; its sign is turned where b is negative."""
    s, s_high, s_low, b_high, b_low, error = work
    torch.div(a, b, out=s)
    _split_into(s, s_high, s_low)
    _split_into(b, b_high, b_low)
    _minus_product(a, [s_high, s_low], [b_high, b_low], error)
    error.mul_(torch.sign(b, out=b_high))
    return s, error, torch.abs(s, out=s_high)


def _quotient_ordinary(a: Tensor, b: Tensor, error: Tensor, size: Tensor) -> bool:
    least, largest = torch.aminmax(size)
    if not (float(largest) <= SAFE_HIGH and math.isfinite(float(error.sum()))):
        return False
    dividend = a.abs()
    if float(least) >= SAFE_LOW and float(dividend.min()) >= SAFE_LOW:
        return True
    return not bool((((size < SAFE_LOW) | (dividend < SAFE_LOW)) & (a != 0)).any())


def _careful_difference(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return errors.sum_error(a, -b)


SUM = Kernel(_sum_parts, _sum_ordinary, errors.sum_error, sense=1, buffers=3)
DIFFERENCE = Kernel(_difference_parts, _sum_ordinary, _careful_difference, sense=1, buffers=3)
PRODUCT = Kernel(_product_parts, _product_ordinary, errors.product_error, sense=-1, buffers=6)
QUOTIENT = Kernel(_quotient_parts, _quotient_ordinary, errors.quotient_error, sense=1, buffers=6)
