"""Where extremes are attained: ends of an interval, rows of a table, corners of a simplex."""

from __future__ import annotations

from collections.abc import Callable

import torch

from certkit.interval import Interval
from certkit.relax._points import point


def convex_max(function: Callable[[Interval], Interval], box: Interval) -> Interval:
    """The maximum of a convex function over each interval: the larger of its values at the **two** ends.

    Choosing one end by any other comparison is unsound; both are always evaluated.

    Args:
        function: Encloses, elementwise, a function convex on the box (``α ↦ max_x (L_x + α R_x)`` is).
        box: Bounded, non-empty intervals.

    Returns:
        Encloses the maximum over the box.

    Raises:
        ValueError: the box is unbounded or empty somewhere.

    Example:
        >>> square = convex_max(lambda a: a.sqr(), Interval.hull(-3.0, 2.0))
        >>> float(square.lo), float(square.hi)
        (9.0, 9.0)
    """
    if not bool(torch.isfinite(box.lo).all() & torch.isfinite(box.hi).all()):
        raise ValueError("convex_max needs bounded, non-empty intervals")
    if box.lo is box.hi:
        return function(box)
    return function(point(box.lo)).maximum(function(point(box.hi)))


def max_of_lines(base: Interval, slopes: Interval, delta: Interval) -> Interval:
    """Upper bounds of ``max_x (base_x + δ · slope_x)`` by splitting the common part from the deviation.

    ``max_x (a_x + δ r_x) ≤ max_x a_x + max_x δ r_x``, and ``max_x δ r_x = max(δ max_x r_x, δ min_x r_x)``:
    for a negative δ the least slope decides, which is the step that is easy to get wrong.
    The table is reduced once and serves every δ: O(n + number of deltas).

    Args:
        base: ``[..., n]``, the value at the reference point (``L + ᾱ R``).
        slopes: ``[..., n]``.
        delta: Any shape that broadcasts against ``[...]``: the deviations from the reference point.

    Returns:
        The broadcast shape; the upper end of each entry is the bound.
    """
    deviation = (delta * slopes.amax(-1)).maximum(delta * slopes.amin(-1))
    return base.amax(-1) + deviation


def pessimal(path: Interval, dim: int) -> Interval:
    """Replace a path by its worst case: contains every weighted average of the entries along ``dim``.

    For weights ``w ≥ 0`` with ``Σ w = 1`` the average lies between the least and the largest entry,
    whatever the weights; so the path no longer depends on what chose them.

    Args:
        path: Any shape with ``dim`` of length at least 1.
        dim: The dimension that is averaged over.
    """
    smallest, largest = path.amin(dim), path.amax(dim)
    return Interval._unchecked(smallest.lo, largest.hi)
