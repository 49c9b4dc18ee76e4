"""The fast half of `certkit.rounding`: few tensor operations, for elements of ordinary size.

A kernel leaves three tensors: the rounded result ``s``, a number with the sign of its error, and ``|s|``. A
step of one float is then ``s ± RN(φ|s|)``, ``φ = u(1 + 2u)``, rounded to nearest (Rump, Zimmermann, Boldo,
Melquiond, BIT 49, 2009): for ``2**-960 ≤ |s| ≤ 2**1000`` the number ``φ|s|`` and its rounding exceed half
the gap to either neighbour and stay below one and a half, so that the sum rounds to the neighbour.
``addcmul`` computes ``s + φ t |s|`` for ``t`` in {0, 1} with or without rounding the product; both give the
neighbour.

**The error of a product, in one operation.** ``addcmul(s, a, b, value=-1)`` is ``RN(s − a b)`` where the
library fuses the product with the addition, and ``RN(s − RN(a b))`` where it does not: which of the two is
not trusted. For ``s = RN(a b)`` the second is 0. So a result that is **not 0 has the sign of s − a b**,
whoever computed it; one that is 0 says nothing, and the error is computed from split factors instead. For
the residual ``a − s b`` of a quotient: ``RN(s b) < a`` implies ``s b < a`` because rounding is monotone and a
is a float, likewise above, so again a result that is not 0 has the right sign either way.

Each attempt of a kernel decides from the extreme elements whether it is right for all of them. If none is,
the careful half does the whole piece.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import attrs
import torch
from torch import Tensor

from certkit._rounding import errors
from certkit._rounding.chunks import CHUNK, common_shape
from certkit._rounding.errors import SAFE_HIGH, SAFE_LOW, U

PHI = 2.0**-53 * (1.0 + 2.0**-52)
_SPLIT = 2.0**27

Buffers = list[Tensor]
Parts = tuple[Tensor, Tensor, Tensor]


@attrs.frozen
class Kernel:
    """One operation of two tensors.

    An attempt ``(a, b, buffers)`` returns ``s``, ``error``, ``|s|`` in buffers, where ``sense * error`` has
    the sign of exact − s for every element, or None if it cannot vouch for all of them; the first that does
    is taken. ``careful(a, b)`` returns s and a number with the sign of exact − s, always right.
    """

    attempts: tuple[Callable[[Tensor, Tensor, Buffers], Parts | None], ...]
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


def _ordinary_parts(kernel: Kernel, a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    """The parts from the first attempt that can vouch for every element, or None."""
    if not a.numel():
        return None
    for attempt in kernel.attempts:
        parts = attempt(a, b, work)
        if parts is not None:
            return parts
    return None


def _step(s: Tensor, error: Tensor, size: Tensor, sense: int, up: bool, out: Tensor) -> None:
    """``s``, or its neighbour where the error says so: ``out`` first holds 1.0 there, else 0.0."""
    if up == (sense > 0):
        torch.gt(error, 0.0, out=out)
    else:
        torch.lt(error, 0.0, out=out)
    torch.addcmul(s, out, size, value=PHI if up else -PHI, out=out)


@cache
def fuses(device: torch.device) -> bool:
    """Whether ``addcmul`` keeps the product exact here. It saves attempts in vain; nothing rests on it."""
    x = torch.full((64,), 1.0 + 2.0**-30, dtype=torch.float64, device=device)
    return bool(torch.addcmul(x * x, x, x, value=-1.0).all())


# --- sums ---


def _sum_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    s, t, error = work
    torch.add(a, b, out=s)
    torch.sub(s, a, out=t)
    torch.sub(s, t, out=error)
    torch.sub(a, error, out=error)
    torch.sub(b, t, out=t)
    error.add_(t)
    return _checked_sum(s, error, torch.abs(s, out=t))


def _difference_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    s, t, error = work
    torch.sub(a, b, out=s)
    torch.sub(s, a, out=t)
    torch.sub(s, t, out=error)
    torch.sub(a, error, out=error)
    torch.add(b, t, out=t)
    error.sub_(t)
    return _checked_sum(s, error, torch.abs(s, out=t))


def _checked_sum(s: Tensor, error: Tensor, size: Tensor) -> Parts | None:
    """Up to ``2**990`` no step of TwoSum overflows; below ``2**-960`` a sum without error needs no step."""
    least, largest = torch.aminmax(size)
    if not float(largest) <= SAFE_HIGH:
        return None
    if float(least) >= SAFE_LOW or not bool(((size < SAFE_LOW) & (error != 0)).any()):
        return s, error, size
    return None


# --- products and quotients ---


def _fused_product_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    """One multiplication and one fused one. An error of at least ``2**-960 u`` belongs to an ``|s|`` of at
    least ``2**-960``, since it is at most ``u|s|`` (or ``2**-1075``)."""
    if not fuses(a.device):
        return None
    s, error, size = work[:3]
    torch.mul(a, b, out=s)
    torch.addcmul(s, a, b, value=-1.0, out=error)
    if not float(torch.abs(error, out=size).amin()) >= SAFE_LOW * U:
        return None
    torch.abs(s, out=size)
    return (s, error, size) if float(size.amax()) <= SAFE_HIGH else None


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


def _split_product_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    s, a_high, a_low, b_high, b_low, error = work
    torch.mul(a, b, out=s)
    _split_into(a, a_high, a_low)
    if b is a:
        b_high, b_low = a_high, a_low
    else:
        _split_into(b, b_high, b_low)
    _minus_product(s, [a_high, a_low], [b_high, b_low], error)
    return _checked_product(a, b, s, error, torch.abs(s, out=a_high))


def _product_with_number(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    """One factor is a number, repeated: its halves are numbers, and the lower one is often 0."""
    if a.stride() == (0,):
        a, b = b, a
    if b.stride() != (0,):
        return None
    s, high, low, spare, _, error = work
    halves = spare.new_empty(2, 1)
    _split_into(b[:1], halves[0], halves[1])
    torch.mul(a, b, out=s)
    _split_into(a, high, low)
    larger, smaller = halves.flatten().tolist()
    torch.sub(s, high, alpha=larger, out=error).sub_(low, alpha=larger)
    if smaller != 0.0:
        error.sub_(high, alpha=smaller).sub_(low, alpha=smaller)
    return _checked_product(a, b, s, error, torch.abs(s, out=spare))


def _checked_product(a: Tensor, b: Tensor, s: Tensor, error: Tensor, size: Tensor) -> Parts | None:
    """A split that overflows leaves NaN in the error."""
    least, largest = torch.aminmax(size)
    if not (float(largest) <= SAFE_HIGH and math.isfinite(float(error.sum()))):
        return None
    if float(least) >= SAFE_LOW or not bool(((size < SAFE_LOW) & (a != 0) & (b != 0)).any()):
        return s, error, size
    return None


def _fused_quotient_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    """The sign of the residual ``a − s b`` is turned where b is negative."""
    if not fuses(a.device):
        return None
    s, error, size, turn = work[:4]
    torch.div(a, b, out=s)
    torch.addcmul(a, s, b, value=-1.0, out=error)
    if not float(torch.abs(error, out=size).amin()) > 0.0:
        return None
    least, largest = torch.aminmax(torch.abs(s, out=size))
    if not (float(least) >= SAFE_LOW and float(largest) <= SAFE_HIGH):
        return None
    return s, error.mul_(torch.sign(b, out=turn)), size


def _split_quotient_parts(a: Tensor, b: Tensor, work: Buffers) -> Parts | None:
    """The residual ``a − s b`` is a float64; its sign is turned where b is negative."""
    s, s_high, s_low, b_high, b_low, error = work
    torch.div(a, b, out=s)
    _split_into(s, s_high, s_low)
    _split_into(b, b_high, b_low)
    _minus_product(a, [s_high, s_low], [b_high, b_low], error)
    error.mul_(torch.sign(b, out=b_high))
    size = torch.abs(s, out=s_high)
    least, largest = torch.aminmax(size)
    if not (float(largest) <= SAFE_HIGH and math.isfinite(float(error.sum()))):
        return None
    dividend = a.abs()
    if float(least) >= SAFE_LOW and float(dividend.min()) >= SAFE_LOW:
        return s, error, size
    small = (size < SAFE_LOW) | (dividend < SAFE_LOW)
    return None if bool((small & (a != 0)).any()) else (s, error, size)


def _careful_difference(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return errors.sum_error(a, -b)


SUM = Kernel((_sum_parts,), errors.sum_error, sense=1, buffers=3)
DIFFERENCE = Kernel((_difference_parts,), _careful_difference, sense=1, buffers=3)
SPLIT_PRODUCT = Kernel(
    (_product_with_number, _split_product_parts), errors.product_error, sense=-1, buffers=6
)
PRODUCT = attrs.evolve(SPLIT_PRODUCT, attempts=(_fused_product_parts, *SPLIT_PRODUCT.attempts))
QUOTIENT = Kernel((_fused_quotient_parts, _split_quotient_parts), errors.quotient_error, sense=1, buffers=6)
