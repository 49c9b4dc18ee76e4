"""Moving between bounds and points."""

from __future__ import annotations

import torch
from torch import Tensor

from certkit import cost
from certkit.interval import Interval


def point(value: Tensor) -> Interval:
    """The point interval of finite float64 numbers (one tensor at both ends, which operations exploit)."""
    return Interval._unchecked(value, value)


def upper_point(x: Interval) -> Interval:
    """The upper ends as points, to continue with an upper bound alone."""
    return point(x.hi)


def near_middle(x: Interval) -> Tensor:
    """Some finite number near the middle of each bounded interval (halving first: no overflow)."""
    return x.lo if x.lo is x.hi else 0.5 * x.lo + 0.5 * x.hi


def least(first: Interval, *others: Interval) -> Interval:
    """Elementwise least of upper bounds."""
    for other in others:
        first = point(torch.minimum(first.hi, other.hi))
        cost.record(comparisons=first.hi.numel())
    return first
