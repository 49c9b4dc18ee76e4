"""Linear bounds in several variables: products of two numbers, components of a softmax."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from certkit.relax._points import point
from certkit.relax.lines import exp_lines, reciprocal_lines


@attrs.frozen
class Planes:
    """``lower_x · x + lower_y · y + lower_offset ≤ x y ≤ upper_x · x + upper_y · y + upper_offset`` on the
    box.

    Two planes each way, in the last dimension; the better of the two may be taken anywhere.
    """

    lower_x: Tensor
    lower_y: Tensor
    lower_offset: Tensor
    upper_x: Tensor
    upper_y: Tensor
    upper_offset: Tensor


def product_planes(x: Interval, y: Interval) -> Planes:
    """McCormick's four planes of the product ``x y`` over a box: the convex hull of its graph.

    ``(x - x₀)(y - y₀)`` has one sign on the box for each corner ``(x₀, y₀)``, so ``x y ≷ y₀ x + x₀ y - x₀
    y₀``.

    Args:
        x: Bounded, non-empty intervals.
        y: Bounded, non-empty intervals of the same shape.

    Raises:
        ValueError: a box is unbounded or empty.

    Example:
        >>> planes = product_planes(Interval.hull(0.0, 2.0), Interval.hull(-1.0, 1.0))
        >>> planes.lower_offset.tolist() == [0.0, -2.0]  # x y ≥ -x and x y ≥ x + 2 y - 2
        True
    """
    for box in (x, y):
        if not bool(torch.isfinite(box.lo).all() & torch.isfinite(box.hi).all()):
            raise ValueError("product_planes needs bounded, non-empty boxes")
    lower_x, lower_y = torch.stack((y.lo, y.hi), -1), torch.stack((x.lo, x.hi), -1)
    upper_x, upper_y = torch.stack((y.lo, y.hi), -1), torch.stack((x.hi, x.lo), -1)
    lower_offset = -(point(lower_x) * point(lower_y)).hi
    upper_offset = -(point(upper_x) * point(upper_y)).lo
    return Planes(lower_x, lower_y, lower_offset, upper_x, upper_y, upper_offset)


@attrs.frozen
class SoftmaxLines:
    """``lower_slopes[i] · x + lower_offset[i] ≤ softmax(x)[i] ≤ upper_slopes[i] · x + upper_offset[i]`` on
    the box.

    Slopes are ``[..., K, K]`` (component, score), offsets ``[..., K]``.
    """

    lower_slopes: Tensor
    lower_offset: Tensor
    upper_slopes: Tensor
    upper_offset: Tensor


def softmax_lines(scores: Interval) -> SoftmaxLines:
    """Linear bounds of every softmax component over a box of scores.

    ``p_i = 1/Z_i`` with ``Z_i = 1 + Σ_{j≠i} e^(x_j - x_i)``.  ``1/Z`` is convex and decreasing, so a
    tangent with every exponential replaced by its chord is below, and a chord with every exponential
    replaced by its tangent is above. Where an exponential overflows, the constant bounds of the interval
    softmax take over.

    Args:
        scores: ``[..., K]``, bounded, non-empty.

    Raises:
        ValueError: a score is unbounded or empty.

    Example:
        >>> lines = softmax_lines(Interval.hull(torch.zeros(3), torch.ones(3)))
        >>> lines.lower_slopes.shape, lines.upper_offset.shape
        (torch.Size([3, 3]), torch.Size([3]))
    """
    k = scores.shape[-1]
    itself = torch.eye(k, dtype=torch.bool, device=scores.device)
    difference = scores.unsqueeze(-2) - scores.unsqueeze(-1)  # [..., i, j] = x_j - x_i
    difference = _replace(difference, itself, 0.0)
    share = scores.softmax(-1)
    # beyond this the exponentials are useless; such components get constant bounds
    usable = difference.abs().hi.amax(-1) < 300.0
    difference = _replace(difference, ~usable.unsqueeze(-1), 0.0)
    exponentials = exp_lines(difference)
    total = _replace(difference.exp(), itself, 0.0).sum(-1) + 1.0
    outer = reciprocal_lines(total)
    # 1/Z falls; only with falling lines may an upper bound of Z stand for Z below, and a lower bound above
    usable = usable & (outer.lower_slope <= 0) & (outer.upper_slope <= 0)
    below = _compose(outer.lower_slope, exponentials.upper_slope, exponentials.upper_offset, itself)
    above = _compose(outer.upper_slope, exponentials.lower_slope, exponentials.lower_offset, itself)
    lower_slopes, lower_rest = _on_scores(below[0], scores)
    upper_slopes, upper_rest = _on_scores(above[0], scores)
    lower = (point(outer.lower_offset) + below[1] + lower_rest).lo
    upper = (point(outer.upper_offset) + above[1] + upper_rest).hi
    flat = ~usable
    return SoftmaxLines(
        torch.where(flat.unsqueeze(-1), 0.0, lower_slopes),
        torch.where(flat, share.lo, lower),
        torch.where(flat.unsqueeze(-1), 0.0, upper_slopes),
        torch.where(flat, share.hi, upper),
    )


def _compose(outer_slope: Tensor, slope: Tensor, offset: Tensor, itself: Tensor) -> tuple[Interval, Interval]:
    """``outer · (1 + Σ_{j≠i} (slope_ij d_ij + offset_ij))`` as slopes on the differences and a constant."""
    outer = point(outer_slope)
    slopes = _replace(outer.unsqueeze(-1) * point(slope), itself, 0.0)
    constant = outer * (_replace(point(offset), itself, 0.0).sum(-1) + 1.0)
    return slopes, constant


def _on_scores(slopes: Interval, scores: Interval) -> tuple[Tensor, Interval]:
    """Slopes on the differences ``x_j - x_i`` as float slopes on the scores, and what the rounding left
    over.
    """
    own = -slopes.sum(-1)
    diagonal = torch.eye(slopes.shape[-1], dtype=torch.bool, device=slopes.device)
    exact = Interval._unchecked(
        torch.where(diagonal, own.lo.unsqueeze(-1), slopes.lo),
        torch.where(diagonal, own.hi.unsqueeze(-1), slopes.hi),
    )
    chosen = exact.mid()
    rest = ((exact - point(chosen)) * scores.unsqueeze(-2)).sum(-1)
    return chosen, rest


def _replace(x: Interval, mask: Tensor, value: float) -> Interval:
    return Interval._unchecked(torch.where(mask, value, x.lo), torch.where(mask, value, x.hi))
