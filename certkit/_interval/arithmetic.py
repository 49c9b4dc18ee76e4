"""``+ - * /``, sqr, sqrt, abs, minimum, maximum, reciprocal on bounds: tightest, set-based as in IEEE 1788.

Functions take and return raw bounds. A finite result needs no further care: an infinite or empty operand
always leaves an infinity or a NaN in the result of ``+ - *``, so one look at the result decides.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from certkit import rounding
from certkit._interval.base import all_finite, empty_mask, with_empty
from certkit._rounding.chunks import CHUNK, by_chunks, common_shape
from certkit._rounding.corners import Pair, extreme_products, extreme_quotients
from certkit._rounding.kernels import DIFFERENCE, SPLIT_PRODUCT, SUM, Job, Kernel, rounded

Bounds = tuple[Tensor, Tensor]


def _either_empty(a: Bounds, b: Bounds) -> Tensor:
    return empty_mask(*a) | empty_mask(*b)


def _from_jobs(kernel: Kernel, jobs: list[Job]) -> tuple[Tensor, Tensor, bool]:
    (lo, hi), ordinary = rounded(kernel, jobs)
    return lo, hi, ordinary


def add(a: Bounds, b: Bounds) -> Bounds:
    lo, hi, ordinary = _from_jobs(SUM, [Job(a[0], b[0], up=False), Job(a[1], b[1], up=True)])
    return (lo, hi) if ordinary else _settled(lo, hi, a, b)


def sub(a: Bounds, b: Bounds) -> Bounds:
    lo, hi, ordinary = _from_jobs(DIFFERENCE, [Job(a[0], b[1], up=False), Job(a[1], b[0], up=True)])
    return (lo, hi) if ordinary else _settled(lo, hi, a, b)


def _settled(lo: Tensor, hi: Tensor, a: Bounds, b: Bounds) -> Bounds:
    """``(lo, hi)``, with the empty interval where an operand is empty."""
    return (lo, hi) if all_finite(lo, hi) else with_empty(lo, hi, _either_empty(a, b))


def neg(a: Bounds) -> Bounds:
    if a[0] is a[1]:
        point = -a[0]
        return point, point
    return -a[1], -a[0]


@attrs.frozen
class _Ways:
    """Three ways to do an operation: pieces by fused operations, pieces by split factors, a few elements.

    ``fused`` and ``split`` write the bounds and return the indices of the elements they leave open; ``fused``
    may give up on a piece by returning None.
    """

    fused: Callable[[Bounds, Bounds, Tensor], Tensor | None]
    split: Callable[[Bounds, Bounds, Tensor], Tensor]
    careful: Callable[[Bounds, Bounds], Bounds]


def _in_pieces(ways: _Ways, a: Bounds, b: Bounds) -> Bounds:
    """By fused operations; after a piece in which too many results are exact for that, by split factors."""
    if a[0].shape != b[0].shape:
        shape = common_shape(a[0].shape, b[0].shape)
        a, b = _expanded(a, shape), _expanded(b, shape)
    shape, count = a[0].shape, a[0].numel()
    block = torch.empty(2, count, dtype=torch.float64, device=a[0].device)
    step = CHUNK if block.device.type == "cpu" else max(count, 1)
    flat = {id(x): x.reshape(-1) for x in (*a, *b)}
    open_: list[Tensor] = []
    fused = True
    for start in range(0, count, step):
        piece = {key: x[start : start + step] for key, x in flat.items()}
        piece_a, piece_b = (piece[id(a[0])], piece[id(a[1])]), (piece[id(b[0])], piece[id(b[1])])
        out = block[:, start : start + step]
        left = ways.fused(piece_a, piece_b, out) if fused else None
        fused = left is not None
        index = ways.split(piece_a, piece_b, out) if left is None else left
        if index.numel():
            open_.append(index + start)
    if open_:
        index = torch.cat(open_)
        block[:, index] = torch.stack(ways.careful(_taken(flat, a, index), _taken(flat, b, index)))
    lo, hi = block.unbind()
    return lo.view(shape), hi.view(shape)


def mul(a: Bounds, b: Bounds) -> Bounds:
    """For a fixed x the least of ``x y`` over y is at ``y = lo`` if ``x >= 0``, else at ``hi``; it is
    monotone in x on both sides of 0, so the ends of a decide. For bounds of non-empty intervals ``0 * inf``
    is 0."""
    if b[0] is b[1]:
        a, b = b, a
    return _in_pieces(_PRODUCT, a, b)


def _taken(flat: dict[int, Tensor], a: Bounds, index: Tensor) -> Bounds:
    return flat[id(a[0])][index], flat[id(a[1])][index]


def _split_piece(a: Bounds, b: Bounds, out: Tensor) -> Tensor:
    """Writes the bounds and names the elements still open: 0 inside a factor, an infinity, no member."""
    (a_lo, a_hi), (b_lo, b_hi) = a, b
    low, high = _candidates(a, b)
    open_ = None
    if len(low) == 1:
        jobs = [Job(*low[0], up=False), Job(*high[0], up=True)]
    elif a_lo is a_hi or float(b_lo.min()) >= 0:
        jobs = _jobs_of_signs(a_lo, a_hi, b_lo, b_hi)
    elif float(a_lo.min()) >= 0:
        jobs = _jobs_of_signs(b_lo, b_hi, a_lo, a_hi)
    else:
        open_, jobs = _jobs_of_both_signs(a_lo, a_hi, b_lo, b_hi)
    _, ordinary = rounded(SPLIT_PRODUCT, jobs, out)
    if not ordinary and not all_finite(out):
        unbounded = ~torch.isfinite(out).all(0)
        open_ = unbounded if open_ is None else open_ | unbounded
    return torch.empty(0, dtype=torch.int64) if open_ is None else open_.nonzero()[:, 0]


def _candidates(a: Bounds, b: Bounds) -> tuple[list[Pair], list[Pair]]:
    """The products among which the least and the greatest are: fewer where signs are known."""
    (a_lo, a_hi), (b_lo, b_hi) = a, b
    if a_lo is a_hi:
        least, largest = torch.aminmax(a_lo[:1] if a_lo.stride() == (0,) else a_lo)
        if float(least) >= 0:
            return [(a_lo, b_lo)], [(a_lo, b_hi)]
        if float(largest) <= 0:
            return [(a_lo, b_hi)], [(a_lo, b_lo)]
        ends = [(a_lo, b_lo)] if b_lo is b_hi else [(a_lo, b_lo), (a_lo, b_hi)]
        return ends, ends
    if float(a_lo.amin()) >= 0:
        (a_lo, a_hi), (b_lo, b_hi) = b, a
    if float(b_lo.amin()) >= 0:
        if float(a_lo.amin()) >= 0:
            return [(a_lo, b_lo)], [(a_hi, b_hi)]
        return [(a_lo, b_lo), (a_lo, b_hi)], [(a_hi, b_lo), (a_hi, b_hi)]
    corners = [(x, y) for x in (a_lo, a_hi) for y in (b_lo, b_hi)]
    return corners, corners


def _expanded(a: Bounds, shape: torch.Size) -> Bounds:
    low = a[0].expand(shape)
    return low, low if a[0] is a[1] else a[1].expand(shape)


def _swapped_where_negative(sign: Tensor, lo: Tensor, hi: Tensor) -> Bounds:
    """``(lo, hi)``, or ``(hi, lo)`` where the float ``sign`` is negative, by bit operations."""
    difference = torch.bitwise_xor(lo.view(torch.int64), hi.view(torch.int64))
    difference &= sign.view(torch.int64) >> 63
    first = torch.bitwise_xor(lo.view(torch.int64), difference)
    second = torch.bitwise_xor(hi.view(torch.int64), difference, out=difference)
    return first.view(torch.float64), second.view(torch.float64)


def _jobs_of_signs(a_lo: Tensor, a_hi: Tensor, b_lo: Tensor, b_hi: Tensor) -> list[Job]:
    """For a point a, or b ≥ 0: the end of b goes by the sign of the end of a (of a zero by either sign)."""
    first, second = _swapped_where_negative(a_lo, b_lo, b_hi)
    if a_lo is not a_hi:
        _, second = _swapped_where_negative(a_hi, b_lo, b_hi)
    return [Job(a_lo, first, up=False), Job(a_hi, second, up=True)]


def _jobs_of_both_signs(a_lo: Tensor, a_hi: Tensor, b_lo: Tensor, b_hi: Tensor) -> tuple[Tensor, list[Job]]:
    """Where neither factor has 0 inside: a's ends go by the sign of b and b's by that of a. Also a mask of
    the elements to be done otherwise. Adding 0.0 gives a zero the sign of the positive numbers."""
    a_sign, b_sign = a_lo + 0.0, b_lo + 0.0
    a_first, a_second = _swapped_where_negative(b_sign, a_lo, a_hi)
    b_first, b_second = _swapped_where_negative(a_sign, b_lo, b_hi)
    mixed = torch.bitwise_xor(a_sign.view(torch.int64), a_hi.view(torch.int64), out=a_sign.view(torch.int64))
    mixed |= torch.bitwise_xor(b_sign.view(torch.int64), b_hi.view(torch.int64), out=b_sign.view(torch.int64))
    return mixed < 0, [Job(a_first, b_first, up=False), Job(a_second, b_second, up=True)]


def _corners(a: Bounds, b: Bounds) -> Bounds:
    """The directed products at the corners that can be extreme, with ``0 * inf = 0``; any operands."""
    low_sign, high_sign = a[0] >= 0, a[1] >= 0
    lo = torch.minimum(
        _limit(rounding.mul_down(a[0], torch.where(low_sign, b[0], b[1]))),
        _limit(rounding.mul_down(a[1], torch.where(high_sign, b[0], b[1]))),
    )
    hi = torch.maximum(
        _limit(rounding.mul_up(a[0], torch.where(low_sign, b[1], b[0]))),
        _limit(rounding.mul_up(a[1], torch.where(high_sign, b[1], b[0]))),
    )
    return with_empty(lo, hi, _either_empty(a, b))


def _limit(product: Tensor) -> Tensor:
    return torch.where(torch.isnan(product), 0.0, product)


_PRODUCT = _Ways(lambda a, b, out: extreme_products(*_candidates(a, b), out), _split_piece, _corners)


def div(a: Bounds, b: Bounds) -> Bounds:
    """``{x / y : x in a, y in b, y != 0}``, its hull. A negative divisor is turned, with the dividend."""
    return _in_pieces(_QUOTIENT, a, b)


def _fused_quotients(a: Bounds, b: Bounds, out: Tensor) -> Tensor | None:
    """For divisors of one sign."""
    if float(b[1].amax()) < 0:
        a, b = neg(a), neg(b)
    elif not float(b[0].amin()) > 0:
        return None
    divisors = [b[0]] if b[0] is b[1] else [b[0], b[1]]
    return extreme_quotients([(a[0], x) for x in divisors], [(a[1], x) for x in divisors], out)


def _split_quotients(a: Bounds, b: Bounds, out: Tensor) -> Tensor:
    torch.stack(_div_anything(a, b), out=out)
    return torch.empty(0, dtype=torch.int64)


def _div_anything(a: Bounds, b: Bounds) -> Bounds:
    turn = (b[1] <= 0) & (b[0] < 0)
    low, high = torch.where(turn, -a[1], a[0]), torch.where(turn, -a[0], a[1])
    # Adding 0.0 makes -0.0 a positive zero, so that a division by it has the sign of the dividend.
    divisor_low = torch.where(turn, -b[1], b[0]) + 0.0
    divisor_high = torch.where(turn, -b[0], b[1]) + 0.0
    lo = rounding.div_down(low, torch.where(low >= 0, divisor_high, divisor_low))
    hi = rounding.div_up(high, torch.where(high > 0, divisor_low, divisor_high))
    ordinary = (divisor_low > 0) & (divisor_low <= divisor_high)
    if bool(ordinary.all()) and all_finite(lo, hi):
        return lo, hi
    lo, hi = torch.where(torch.isnan(lo), -torch.inf, lo), torch.where(torch.isnan(hi), torch.inf, hi)
    straddles = (divisor_low < 0) & (divisor_high > 0)
    lo, hi = torch.where(straddles, -torch.inf, lo), torch.where(straddles, torch.inf, hi)
    zero = (a[0] == 0) & (a[1] == 0)
    lo, hi = torch.where(zero, 0.0, lo), torch.where(zero, 0.0, hi)
    no_divisor = (b[0] == 0) & (b[1] == 0)
    return with_empty(lo, hi, _either_empty(a, b) | no_divisor)


_QUOTIENT = _Ways(_fused_quotients, _split_quotients, _div_anything)


def absolute(a: Bounds) -> Bounds:
    if a[0] is a[1]:
        point = a[0].abs()
        return point, point
    lo, hi = by_chunks(_absolute, *a)
    return lo, hi


def _absolute(lo: Tensor, hi: Tensor) -> Bounds:
    least = torch.clamp(torch.maximum(lo, -hi), min=0.0)
    largest = torch.maximum(-lo, hi)
    if all_finite(least, largest):
        return least, largest
    return with_empty(least, largest, empty_mask(lo, hi))


def sqr(a: Bounds) -> Bounds:
    """The product of ``|a|`` with itself: no element has 0 inside, so its ends are the ends' squares."""
    size = absolute(a)
    return mul(size, size)


def sqrt(a: Bounds) -> Bounds:
    lo, hi = a
    lo, hi = rounding.sqrt_down(torch.clamp(lo, min=0.0)), rounding.sqrt_up(torch.clamp(hi, min=0.0))
    return with_empty(lo, hi, empty_mask(*a) | (a[1] < 0))


def minimum(a: Bounds, b: Bounds) -> Bounds:
    lo = torch.minimum(a[0], b[0])
    hi = lo if a[0] is a[1] and b[0] is b[1] else torch.minimum(a[1], b[1])
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, _either_empty(a, b))


def maximum(a: Bounds, b: Bounds) -> Bounds:
    lo = torch.maximum(a[0], b[0])
    hi = lo if a[0] is a[1] and b[0] is b[1] else torch.maximum(a[1], b[1])
    if all_finite(lo, hi):
        return lo, hi
    return with_empty(lo, hi, _either_empty(a, b))


def _without_infinite_zeros(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """``0 * inf`` as ``0 * 0``: the convention for bounds of non-empty intervals."""
    zero = (x == 0) | (y == 0)
    return torch.where(zero, 0.0, x), torch.where(zero, 0.0, y)


def _fused(x: Tensor, y: Tensor, z: Tensor, up: bool) -> Tensor:
    """The directed ``x y + z``; opposite infinities leave this side unbounded."""
    x, y = _without_infinite_zeros(x, y)
    if up:
        result = rounding.fma_up(x, y, z)
        return torch.where(torch.isnan(result), torch.inf, result)
    result = rounding.fma_down(x, y, z)
    return torch.where(torch.isnan(result), -torch.inf, result)


def fma(a: Bounds, b: Bounds, c: Bounds) -> Bounds:
    """``a b + c`` rounded once: at the same corners as the product (`mul`), since rounding is monotone."""
    (low, high), (c_low, c_high) = a, c
    low_sign, high_sign = low >= 0, high >= 0
    lo = torch.minimum(
        _fused(low, torch.where(low_sign, b[0], b[1]), c_low, up=False),
        _fused(high, torch.where(high_sign, b[0], b[1]), c_low, up=False),
    )
    hi = torch.maximum(
        _fused(low, torch.where(low_sign, b[1], b[0]), c_high, up=True),
        _fused(high, torch.where(high_sign, b[1], b[0]), c_high, up=True),
    )
    return with_empty(lo, hi, _either_empty(a, b) | empty_mask(*c))
