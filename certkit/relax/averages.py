"""Sums and averages whose weights, or whose members, are not known exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from certkit import cost
from certkit.interval import Interval
from certkit.relax._points import point


def extreme_sums(weights: Interval) -> Interval:
    """Contains ``Σ_{i∈S} w_i`` for **every** set S of n entries, for all n at once.

    The least such sum is that of the n smallest lower ends, the largest that of the n largest upper ends.

    Args:
        weights: ``[..., K]``, bounded.

    Returns:
        ``[..., K + 1]``; entry n is for sets of size n (entry 0 is exactly 0).

    Example:
        >>> sums = extreme_sums(Interval.exact(torch.tensor([3.0, 1.0, 2.0])))
        >>> bool((sums.lo[1] <= 1.0) & (sums.hi[1] >= 3.0)), sums.hi[0].item()
        (True, 0.0)
    """
    smallest = _prefix_sums(point(_sorted(weights.lo, descending=False)))
    largest = _prefix_sums(point(_sorted(weights.hi, descending=True)))
    return Interval._unchecked(smallest.lo, largest.hi)


def weighted_average(values: Interval, weights: Interval) -> Interval:
    """Contains ``Σ w_i v_i / Σ w_i`` for all values and all non-negative weights in their boxes, not all
    weights 0.

    For fixed values the average is largest at a vertex where every weight above a threshold value is at its
    upper end and every other at its lower end (a fractional linear function of each weight is monotone);
    all K + 1 thresholds of the sorted values are evaluated.  The result never leaves the hull of the
    values.

    Args:
        values: ``[..., K]``, bounded, ``K ≥ 1``.
        weights: ``[..., K]``, bounded, lower ends ≥ 0.

    Returns:
        ``[...]``.

    Raises:
        ValueError: a weight can be negative, or an argument is unbounded or empty.

    Example:
        >>> v = Interval.exact(torch.tensor([0.0, 1.0]))
        >>> average = weighted_average(v, Interval.hull(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 3.0])))
        >>> bool(average.contains(0.5)), bool(average.contains(0.75)), average.wid().item() < 0.2501
        (True, True, True)
    """
    if not bool((weights.lo >= 0).all()):
        raise ValueError("weights must not be negative")
    for name, box in (("values", values), ("weights", weights)):
        if not bool(torch.isfinite(box.lo).all() & torch.isfinite(box.hi).all()):
            raise ValueError(f"{name} must be bounded and not empty")
    upper = _largest_average(values.hi, weights)
    lower = -_largest_average(-values.lo, weights)
    return Interval._unchecked(lower, upper)


def _largest_average(values: Tensor, weights: Interval) -> Tensor:
    """Upper bounds of the weighted average of the points ``values``."""
    lo, hi = torch.broadcast_tensors(values, weights.lo)[1], torch.broadcast_tensors(values, weights.hi)[1]
    ordered, order = values.expand(lo.shape).sort(dim=-1, descending=True)
    cost.record(comparisons=lo.numel() * max(1, (lo.shape[-1] - 1).bit_length()))
    top, rest = point(hi.gather(-1, order)), point(lo.gather(-1, order))
    # measured from the largest value: every term is ≤ 0, and the quotient needs no cancellation
    below = point(ordered) - point(ordered[..., :1])
    numerator = _prefix_sums(below * top) + _suffix_sums(below * rest)
    denominator = _prefix_sums(top) + _suffix_sums(rest)
    # A vanishing denominator leaves the trivial bound 0: no average exceeds the largest value.
    quotient = numerator.hi.clamp(max=0.0)
    proved = denominator.lo > 0
    ratio = point(torch.where(proved, quotient, 0.0)) / point(torch.where(proved, denominator.hi, 1.0))
    return (ratio.amax(-1) + point(ordered[..., 0])).minimum(point(ordered[..., 0])).hi


def _sorted(x: Tensor, descending: bool) -> Tensor:
    cost.record(comparisons=x.numel() * max(1, (x.shape[-1] - 1).bit_length()))
    return x.sort(dim=-1, descending=descending).values


def _prefix_sums(x: Interval) -> Interval:
    """``[..., K]`` to ``[..., K + 1]``: entry n is the sum of the first n."""
    k = x.shape[-1]
    ones = torch.ones(k, k + 1, dtype=torch.float64, device=x.device).triu(1)
    return _first_exactly_zero(x @ ones)


def _suffix_sums(x: Interval) -> Interval:
    """``[..., K]`` to ``[..., K + 1]``: entry n is the sum of all but the first n."""
    return _prefix_sums(x.flip(-1)).flip(-1)


def _first_exactly_zero(x: Interval) -> Interval:
    lo, hi = x.lo.clone(), x.hi.clone()
    lo[..., 0] = hi[..., 0] = 0.0
    return Interval._unchecked(lo, hi)
