"""Linear bounds of functions of one variable over boxes.

A *strip* is a slope ``s`` and an offset interval with ``f(x) - s x ∈ offset`` for every ``x`` in the box.
**Any finite slope is sound**; the offset is computed for the slope that was given, from the extremes of
``g(x) = f(x) - s x``:

* ``f`` convex: ``g`` is convex, largest at an end of the box; its least value anywhere is known in closed
  form (``exp``: ``s - s log s``; ``1/x``: ``2 sqrt(-s)``), or ``g`` is monotone and an end decides;
* ``f`` concave (``log``): the same with the signs turned;
* ``tanh``: ``g`` is extreme at an end or where ``1 - tanh² x = s``, that is at ``±atanh(sqrt(1 - s))``;
* ``relu``: piecewise linear, extreme at an end or at 0.

With the slope of the chord a strip of a convex function is as narrow as any (Chebyshev's): that is the
default. *Lines* take the lower and the upper bound from strips with different slopes: tangent in the middle
and chord.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from certkit.relax._points import near_middle, point


@attrs.frozen
class Strip:
    """``f(x) - slope · x ∈ offset`` for every ``x`` in the box, elementwise."""

    slope: Tensor
    offset: Interval

    def at(self, x: Interval) -> Interval:
        """Encloses ``slope · x + offset``, hence ``f(x)`` for the members of ``x`` that are in the box."""
        return x * self.slope + self.offset


@attrs.frozen
class Lines:
    """``lower_slope · x + lower_offset ≤ f(x) ≤ upper_slope · x + upper_offset`` in the box, elementwise."""

    lower_slope: Tensor
    lower_offset: Tensor
    upper_slope: Tensor
    upper_offset: Tensor


StripOf = Callable[[Interval, Tensor | None], Strip]


def exp_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``exp``.

    Args:
        box: Bounded, non-empty intervals; for a bounded strip ``exp`` of the upper end must not overflow.
        slope: Any finite numbers of the shape of ``box``; the chord's by default.

    Raises:
        ValueError: the box is unbounded or empty, or a slope is not finite.

    Example:
        >>> strip = exp_strip(Interval.hull(0.0, 1.0))
        >>> bool(strip.at(Interval.exact(0.5)).contains(1.6487212707001282))
        True
    """
    low, high = _ends(box)
    at_low, at_high = low.exp(), high.exp()
    s = _slope(slope, at_low, at_high, box)
    at_ends = _pair(at_low - low * s, at_high - high * s)
    positive = s > 0
    t = point(torch.where(positive, s, 1.0))
    turning = positive & _may_lie_in(t.log(), box)
    least = torch.where(turning, (t - t * t.log()).lo, at_ends.lo)
    return Strip(s, Interval._unchecked(torch.minimum(least, at_ends.hi), at_ends.hi))


def log_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``log``, for boxes of positive numbers; arguments and errors as for `exp_strip`.

    Raises:
        ValueError: also where the box is not positive.
    """
    low, high = _ends(box)
    _require(box.lo > 0, box, "log_strip needs positive numbers")
    at_low, at_high = low.log(), high.log()
    s = _slope(slope, at_low, at_high, box)
    at_ends = _pair(at_low - low * s, at_high - high * s)
    positive = s > 0
    t = point(torch.where(positive, s, 1.0))
    turning = positive & _may_lie_in(1.0 / t, box)
    largest = torch.where(turning, (-t.log() - 1.0).hi, at_ends.hi)
    return Strip(s, Interval._unchecked(at_ends.lo, torch.maximum(largest, at_ends.lo)))


def reciprocal_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``1/x``, for boxes without 0; arguments and errors as for `exp_strip`.

    Raises:
        ValueError: also where the box contains 0.
    """
    low, high = _ends(box)
    _require((box.lo > 0) | (box.hi < 0), box, "reciprocal_strip needs boxes without 0")
    at_low, at_high = 1.0 / low, 1.0 / high
    s = _slope(slope, at_low, at_high, box)
    at_ends = _pair(at_low - low * s, at_high - high * s)
    # On the right of 0 the function is convex with 1/x - s x ≥ 2 sqrt(-s); on the left it is its own
    # negative.
    falling = s < 0
    root = point(torch.where(falling, -s, 1.0)).sqrt()
    right = box.lo > 0
    turning = falling & torch.where(right, _may_lie_in(1.0 / root, box), _may_lie_in(-1.0 / root, box))
    least = torch.where(turning & right, (2.0 * root).lo, at_ends.lo)
    largest = torch.where(turning & ~right, (-2.0 * root).hi, at_ends.hi)
    lo = torch.where(right, torch.minimum(least, at_ends.hi), at_ends.lo)
    hi = torch.where(right, at_ends.hi, torch.maximum(largest, at_ends.lo))
    return Strip(s, Interval._unchecked(lo, hi))


def relu_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``max(x, 0)``; arguments and errors as for `exp_strip`."""
    low, high = _ends(box)
    at_low, at_high = low.maximum(0.0), high.maximum(0.0)
    s = _slope(slope, at_low, at_high, box)
    offset = _pair(at_low - low * s, at_high - high * s)
    kink = (box.lo < 0) & (box.hi > 0)
    lo = torch.where(kink, torch.clamp(offset.lo, max=0.0), offset.lo)
    hi = torch.where(kink, torch.clamp(offset.hi, min=0.0), offset.hi)
    return Strip(s, Interval._unchecked(lo, hi))


def tanh_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``tanh``; arguments and errors as for `exp_strip`."""
    low, high = _ends(box)
    at_low, at_high = low.tanh(), high.tanh()
    s = _slope(slope, at_low, at_high, box)
    at_ends = _pair(at_low - low * s, at_high - high * s)
    # tanh x - s x turns where tanh x = ±t with t = sqrt(1 - s): a maximum on the right of 0, a minimum on
    # the left.
    turning = (s > 0) & (s < 1)
    inner = point(torch.where(turning, s, 0.5))
    t = (1.0 - inner).sqrt()
    place = 0.5 * ((1.0 + t) / (1.0 - t)).log()
    value = t - inner * place
    top, bottom = turning & _may_lie_in(place, box), turning & _may_lie_in(-place, box)
    lo = torch.where(bottom, torch.minimum(at_ends.lo, -value.hi), at_ends.lo)
    hi = torch.where(top, torch.maximum(at_ends.hi, value.hi), at_ends.hi)
    return Strip(s, Interval._unchecked(lo, hi))


def sigmoid_strip(box: Interval, slope: Tensor | None = None) -> Strip:
    """A strip of ``1/(1 + e^-x) = (1 + tanh(x/2))/2``; arguments and errors as for `exp_strip`."""
    # tanh(y) - 4s y ∈ offset with y = x/2 gives sigmoid(x) - s x ∈ (1 + offset)/2; halving and quadrupling
    # are exact.
    half = tanh_strip(box * 0.5, None if slope is None else 4.0 * slope)
    return Strip(0.25 * half.slope, (half.offset + 1.0) * 0.5)


def exp_lines(box: Interval) -> Lines:
    """Tangent in the middle below, chord above."""
    return _lines(box, exp_strip, convex=True)


def log_lines(box: Interval) -> Lines:
    """Chord below, tangent in the middle above."""
    return _lines(box, log_strip, convex=False)


def reciprocal_lines(box: Interval) -> Lines:
    """Chord on the far side of the curve, tangent on the near side."""
    right = _lines(box, reciprocal_strip, convex=True)
    left = _lines(box, reciprocal_strip, convex=False)
    positive = box.lo > 0
    return Lines(
        *(torch.where(positive, a, b) for a, b in zip(attrs.astuple(right), attrs.astuple(left), strict=True))
    )


def relu_lines(box: Interval) -> Lines:
    """Chord above; below, ``x`` or 0, whichever leaves the smaller area."""
    chord = relu_strip(box)
    below = relu_strip(box, (box.hi > -box.lo).to(torch.float64))
    return Lines(below.slope, below.offset.lo, chord.slope, chord.offset.hi)


def _lines(box: Interval, strip_of: StripOf, convex: bool) -> Lines:
    chord = strip_of(box, None)
    middle = near_middle(box)
    reach = torch.clamp(1e-6 * middle.abs(), min=1e-6)
    nearby = (
        point(torch.minimum(torch.maximum(middle - reach, box.lo), box.hi)),
        point(torch.minimum(torch.maximum(middle + reach, box.lo), box.hi)),
    )
    # a steep enough guess at the derivative in the middle: the chord of a short piece of the box around it
    tangent = strip_of(box, strip_of(Interval._unchecked(nearby[0].lo, nearby[1].lo), None).slope)
    below, above = (tangent, chord) if convex else (chord, tangent)
    return Lines(below.slope, below.offset.lo, above.slope, above.offset.hi)


def _ends(box: Interval) -> tuple[Interval, Interval]:
    _require(
        torch.isfinite(box.lo) & torch.isfinite(box.hi), box, "a linear bound needs bounded, non-empty boxes"
    )
    return point(box.lo), point(box.hi)


def _slope(given: Tensor | None, at_low: Interval, at_high: Interval, box: Interval) -> Tensor:
    """The slope to use: the given one, or the chord's (0 where that is not a finite number, as for a
    point).
    """
    if given is None:
        chord = (near_middle(at_high) - near_middle(at_low)) / (box.hi - box.lo)
        return torch.where(torch.isfinite(chord), chord, 0.0)
    if not bool(torch.isfinite(given).all()):
        raise ValueError("a slope must be a finite number")
    return given.to(torch.float64).expand(box.shape)


def _may_lie_in(place: Interval, box: Interval) -> Tensor:
    """False only where no member of ``place`` is in the box: then ``g`` is monotone there."""
    return (place.lo <= box.hi) & (place.hi >= box.lo)


def _pair(a: Interval, b: Interval) -> Interval:
    """The hull of the values at the two ends."""
    return Interval._unchecked(torch.minimum(a.lo, b.lo), torch.maximum(a.hi, b.hi))


def _require(condition: Tensor, box: Interval, message: str) -> None:
    if not bool(condition.all()):
        index = tuple(int(i) for i in torch.nonzero(~condition)[0])
        raise ValueError(f"{message}; got [{box.lo[index].item()}, {box.hi[index].item()}] at index {index}")
