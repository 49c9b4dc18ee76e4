"""How far the entries of one row of a matrix product can lie apart.

For a matrix ``M`` write ``ρ(M)[q] = max_k M[q,k] - min_k M[q,k]``.  All bounds rest on three facts:

1. ``ρ(A B)[q] ≤ Σ_j |A[q,j]| · ρ(B)[j]``, because ``Σ_j A[q,j] (B[j,k] - B[j,l])`` is at most that;
2. ``ρ(M + N) ≤ ρ(M) + ρ(N)``, and a matrix ``1 ā`` with equal rows has ``ρ(1 ā B)[q] = range_k (ā B)[k]``, so
   ``ρ(A B)[q] ≤ range_k (ā B)[k] + Σ_j |A[q,j] - ā_j| · ρ(B)[j]`` for **any** row ``ā``, the same in both
   terms;
3. fact 1 with ``B`` itself a product: ``ρ(A₁ (A₂ … A_n)) ≤ |A₁| · ρ(A₂ … A_n)``.

Every function returns an `Interval` of points: the upper bounds (their rounding is outward already).
Batch dimensions in front are welcome; matrices are the last two dimensions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import reduce
from operator import matmul

from torch import Tensor

from certkit import cost
from certkit.interval import Interval
from certkit.relax._points import least, near_middle, point, upper_point


class MeanRows(enum.Enum):
    """At which factors of a product a mean row is split off."""

    NONE = "none"
    FIRST = "first"
    EVERY = "every"


def row_range(x: Interval) -> Interval:
    """Encloses ``max_k x[..., k] - min_k x[..., k]``.

    Args:
        x: Bounded intervals ``[..., n]``, ``n ≥ 1``.

    Returns:
        ``[...]``; the lower end is at least 0 only as far as rounding shows it.
    """
    return x.amax(-1) - x.amin(-1)


def mean_row(a: Interval) -> Tensor:
    """A row near the mean of the rows of ``a [..., m, n]``: ``[..., 1, n]``, a free choice everywhere."""
    cost.record(flops=a.numel())
    return near_middle(a).mean(-2, keepdim=True)


def row_range_direct(a: Interval, b: Interval) -> Interval:
    """Upper bounds of ``ρ(A B)`` by fact 1: ``Σ_j |A[q,j]| · ρ(B)[j]``.

    Args:
        a: ``[..., m, d]``.
        b: ``[..., d, n]``.

    Returns:
        ``[..., m]``, points. O(m d + d n).

    Example:
        >>> import torch
        >>> a = Interval.exact(torch.tensor([[1.0, -2.0]]))
        >>> b = Interval.exact(torch.tensor([[1.0, 4.0], [0.0, 0.5]]))
        >>> float(row_range_direct(a, b).hi) >= 4.0
        True
    """
    return _weighted(a, upper_point(row_range(b)))


def row_range_mean(a: Interval, b: Interval, row: Tensor) -> Interval:
    """Upper bounds of ``ρ(A B)`` by fact 2 with the free row ``row``.

    Args:
        a: ``[..., m, d]``.
        b: ``[..., d, n]``.
        row: ``[..., 1, d]`` finite numbers; see `mean_row`.

    Returns:
        ``[..., m]``, points. O(m d + d n).
    """
    common = upper_point(row_range(point(row) @ b))  # [..., 1]
    return upper_point(common + _weighted(a - row, upper_point(row_range(b))))


def row_range_split(factors: Sequence[Interval], mean: bool = False) -> Interval:
    """The least bound over the split points of a product: ``ρ((F₁…F_i)(F_{i+1}…F_n))``, ``i = 1 … n-1``.

    The two sides of every split are multiplied out from the ends inward, so each is built from the one
    before.

    Args:
        factors: At least two matrices that can be multiplied in this order.
        mean: Split the mean row off the left side (fact 2) instead of using it whole (fact 1).

    Returns:
        ``[..., m]``, points.

    Raises:
        ValueError: fewer than two factors.
    """
    _check_factors(factors)
    rights = [factors[-1]]
    for factor in reversed(factors[1:-1]):
        rights.append(factor @ rights[-1])
    left, bounds = factors[0], []
    for i, right in enumerate(reversed(rights)):
        if i > 0:
            left = left @ factors[i]
        bounds.append(row_range_mean(left, right, mean_row(left)) if mean else row_range_direct(left, right))
    return least(*bounds)


def row_range_recursive(factors: Sequence[Interval], mean: MeanRows = MeanRows.NONE) -> Interval:
    """Upper bounds of ``ρ(F₁ F₂ … F_n)`` by fact 3; matrices are never multiplied with each other.

    With a mean row ``ā`` of ``F_i`` the term ``range(ā F_{i+1} … F_n)`` is a row vector times matrices in
    turn.

    Args:
        factors: At least two matrices that can be multiplied in this order.
        mean: Where to split off mean rows: nowhere, at the first factor, or at every factor but the last.

    Returns:
        ``[..., m]``, points. One matrix-vector product per factor, and one chain per mean row.

    Raises:
        ValueError: fewer than two factors.
    """
    _check_factors(factors)
    bound = upper_point(row_range(factors[-1]))
    for i in range(len(factors) - 2, -1, -1):
        if mean is MeanRows.EVERY or (mean is MeanRows.FIRST and i == 0):
            row = mean_row(factors[i])
            chain = reduce(matmul, factors[i + 1 :], point(row))
            bound = upper_point(upper_point(row_range(chain)) + _weighted(factors[i] - row, bound))
        else:
            bound = _weighted(factors[i], bound)
    return bound


def _weighted(a: Interval, ranges: Interval) -> Interval:
    """Upper bounds of ``|A| · ranges``: ``[..., m, d]`` and ``[..., d]`` to ``[..., m]``."""
    return upper_point((upper_point(a.abs()) @ ranges.unsqueeze(-1)).squeeze(-1))


def _check_factors(factors: Sequence[Interval]) -> None:
    if len(factors) < 2:
        raise ValueError(
            f"a product needs at least two factors, got {len(factors)}; use row_range for one matrix"
        )
