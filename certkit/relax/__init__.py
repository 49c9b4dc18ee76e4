"""Bounds that replace an expensive or awkward expression by a cheap one, each with its law.

Every helper takes intervals (or points) and returns a bound that holds for **every** real member of its
arguments.  Where an argument is called *free* (a mean row, a direction, a slope, a split point) any finite
value whatsoever is sound; a bad one only loosens the bound.  Work is counted by the interval operations
themselves, so the cost of a proof that uses these helpers is what was executed.

| helper | law |
|---|---|
| `row_range` | encloses ``max_k x_k - min_k x_k`` |
| `row_range_direct` | ``range_k (A B)[q,k] ≤ Σ_j |A[q,j]| · range_k B[j,k]`` |
| `row_range_mean` | the same after splitting one free row off ``A`` |
| `row_range_split` | the least of these over all split points of a longer product |
| `row_range_recursive` | ``range(A·rest) ≤ |A| · range(rest)``, never multiplying matrices |
| `largest_singular_value`, `product_singular_value` | at least ``σ₁``, with a residual check |
| `split_directions` | ``X = L R + remainder`` exactly, for free directions |
| `convex_max` | a convex function on an interval is largest at an end |
| `max_of_lines` | ``max_x (a_x + δ r_x) ≤ max_x a_x + max(δ max r, δ min r)`` |
| `pessimal` | contains every weighted average of the entries |
| `weighted_average`, `extreme_sums` | the same for weights in intervals; sums over any n entries |
| `exp_strip`, `log_strip`, `reciprocal_strip`, `relu_strip`, `tanh_strip`, `sigmoid_strip` | ``f(x) - s x ∈
offset`` for a free slope | | `exp_lines`, `log_lines`, `reciprocal_lines`, `relu_lines` | a line below and
a line above, of different slopes | | `product_planes`, `softmax_lines` | linear bounds of ``x y`` and of
softmax components |
"""

from certkit.relax.averages import extreme_sums, weighted_average
from certkit.relax.extremes import convex_max, max_of_lines, pessimal
from certkit.relax.lines import (
    Lines,
    Strip,
    exp_lines,
    exp_strip,
    log_lines,
    log_strip,
    reciprocal_lines,
    reciprocal_strip,
    relu_lines,
    relu_strip,
    sigmoid_strip,
    tanh_strip,
)
from certkit.relax.lowrank import DirectionSplit, split_directions
from certkit.relax.planes import Planes, SoftmaxLines, product_planes, softmax_lines
from certkit.relax.rows import (
    MeanRows,
    mean_row,
    row_range,
    row_range_direct,
    row_range_mean,
    row_range_recursive,
    row_range_split,
)
from certkit.relax.singular import largest_singular_value, product_singular_value

__all__ = [
    "DirectionSplit",
    "Lines",
    "MeanRows",
    "Planes",
    "SoftmaxLines",
    "Strip",
    "convex_max",
    "exp_lines",
    "exp_strip",
    "extreme_sums",
    "largest_singular_value",
    "log_lines",
    "log_strip",
    "max_of_lines",
    "mean_row",
    "pessimal",
    "product_planes",
    "product_singular_value",
    "reciprocal_lines",
    "reciprocal_strip",
    "relu_lines",
    "relu_strip",
    "row_range",
    "row_range_direct",
    "row_range_mean",
    "row_range_recursive",
    "row_range_split",
    "sigmoid_strip",
    "softmax_lines",
    "split_directions",
    "tanh_strip",
    "weighted_average",
]
