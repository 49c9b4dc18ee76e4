"""Sums, dots and matrix products with a-priori error bounds.

Trusted of a float64 matrix product: it is *some* sum of the exact products, in any order and blocking, with
or without fused multiply-add. Then every product passes through at most ``k`` roundings and (Higham,
Accuracy and Stability of Numerical Algorithms, 3.1; the underflow term as in Rump, BIT 52, 2012)

    |fl(a·b) − a·b| ≤ γ_k |a|·|b| + k·TINY,      γ_k = k u / (1 − k u).

See docs/explanation/arithmetic.md for the derivation of each constant below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from certkit import cost, rounding
from certkit._rounding.bounds import gamma
from certkit._rounding.tight import matmul_tight, sum_tight, tree_sum

__all__ = [
    "gamma",
    "matmul",
    "matmul_tight",
    "max_outer_sum_upper",
    "outer_sum_upper",
    "sum_lower",
    "sum_tight",
    "sum_upper",
]

Bounds = tuple[Tensor, Tensor]

_U = Fraction(1, 2**53)


# --- sums ---


@lru_cache(maxsize=256)
def _sum_factor(n: int) -> float:
    """c with ``|fl(Σx) − Σx| ≤ fl(c · fl(Σ|x|))``: γ_d, the sum of absolute values too small by γ_d, one
    product.
    """
    depth = max((n - 1).bit_length(), 1)
    return rounding.fraction_up(gamma(depth) / (1 - gamma(depth)) / (1 - _U))


def sum_lower(x: Tensor) -> Tensor:
    """A lower bound of the sum over the last dimension; off by at most about ``2 ceil(log2 n) u Σ|x|``."""
    return -sum_upper(-x)


def sum_upper(x: Tensor) -> Tensor:
    """An upper bound of the sum over the last dimension; off by at most about ``2 ceil(log2 n) u Σ|x|``.

    Additions do not underflow. Where ``c · Σ|x|`` does, it is rounded to the nearest multiple of TINY; the
    error of the sum is itself such a multiple and at most ``c · Σ|x|``, so it is not above the rounded
    value either.
    """
    n = x.shape[-1]
    if n == 0:
        return x.new_zeros(x.shape[:-1])
    if n == 1:
        return x[..., 0]
    if n == 2:
        return rounding.add_up(x[..., 0], x[..., 1])
    error = tree_sum(x, sizes=True) * _sum_factor(n)
    upper = rounding.add_up(tree_sum(x), error)
    return (
        upper if bool(torch.isfinite(error.sum())) else torch.where(torch.isfinite(error), upper, torch.inf)
    )


@lru_cache(maxsize=64)
def _outer_factor(terms: int) -> float:
    """c such that ``E = fl(c · fl(M)) + TINY``, M the sum of the terms' largest sizes, pays for the
    rounding of ``terms - 1`` additions in a row and of E's own addition to the first term."""
    growth = gamma(max(terms - 1, 1)) * (1 + _U)
    return rounding.fraction_up(growth / (1 - growth) / (1 - gamma(terms)) / (1 - _U))


def _with_outer_error(terms: Sequence[Tensor]) -> Tensor:
    """The first term, raised by an a-priori bound of the rounding errors of a plain outer sum."""
    size = terms[0].abs().amax(-1, keepdim=True)
    for term in terms[1:]:
        size = size + term.abs().amax(-1, keepdim=True)
    return rounding.add_up(terms[0], size * _outer_factor(len(terms)) + rounding.TINY)


def outer_sum_upper(terms: Sequence[Tensor]) -> Tensor:
    """Upper bounds of all sums with one element of each term: ``[…, n1], […, n2], … → […, n1, n2, …]``.

    One plain addition per element: the rounding error of the whole row, at most about ``k u Σ max|term|``
    for k terms, is added to the first term beforehand. The terms are exact numbers or upper bounds
    themselves.

    >>> outer_sum_upper([torch.ones(2).double(), torch.tensor([0.0, 1.0]).double()])[1, 1].item() >= 2
    True
    """
    return terms[0] if len(terms) == 1 else _outer_sum([_with_outer_error(terms), *terms[1:]])


def _outer_sum(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        ones = [1] * (total.ndim - term.ndim + 1)
        total = total.unsqueeze(-1) + term.reshape(*term.shape[:-1], *ones, term.shape[-1])
        cost.record(flops=total.numel())
    return total


def max_outer_sum_upper(terms: Sequence[Tensor]) -> Tensor:
    """Upper bounds of ``max over x of Σ_i terms[i][x, t_i]``: ``[X, n1], [X, n2], … → [n1, n2, …]``.

    One plain addition and one maximum per x and element, in a buffer of the size of the result; the error
    bound is that of `outer_sum_upper`. An empty X gives −inf.
    """
    best = terms[0].new_full([term.shape[-1] for term in terms], -torch.inf)
    rows = len(terms[0])
    if rows == 0:
        return best
    cost.record(comparisons=(rows - 1) * best.numel())
    if len(terms) == 1:
        return terms[0].amax(0)
    cost.record(flops=rows * best.numel())
    buffer = torch.empty_like(best)
    raised = _with_outer_error(terms)
    for x in range(rows):
        head = _outer_sum([raised[x], *[term[x] for term in terms[1:-1]]])
        torch.add(head.unsqueeze(-1), terms[-1][x], out=buffer)
        torch.maximum(best, buffer, out=best)
    return best


# --- products ---


@lru_cache(maxsize=256)
def _product_factors(k: int) -> tuple[float, float, float]:
    """``(half_width, middle, absolute)``: ``T = w*half_width + |m|*middle + 8 TINY`` per element of the
    interval factor makes ``R = fl(|A| T) + absolute`` a radius with ``fl(C - R) <= A B <= fl(C + R)`` for
    ``C = fl(A m)``."""
    grow = 1 / ((1 - gamma(k + 4)) * (1 - _U) ** 8)
    half_width = Fraction(1, 2) * (1 + _U) * grow
    middle = (gamma(k) + 3 * _U) * grow * (1 + 4 * gamma(k + 4))
    return rounding.fraction_up(half_width), rounding.fraction_up(middle), (8 * k + 16) * rounding.TINY


def matmul(a: Bounds, b: Bounds) -> Bounds:
    """Bounds of the matrix product of two interval tensors (torch.matmul's shapes), finite operands only.

    One real product for the midpoints, one for the radius if a factor is a point (``lo is hi``), two
    otherwise; all rounding errors are folded into the radius factor beforehand.

    Raises:
        ValueError: an operand is unbounded or empty.
        OverflowError: the bound leaves the range of float64.
    """
    k = a[0].shape[-1]
    half_width, middle, absolute = _product_factors(k)
    a_mid, b_mid = _middle(a), _middle(b)
    if b[0] is b[1]:
        radius = torch.matmul(_radius_factor(a, a_mid, half_width, middle), b_mid.abs())
    else:
        factor = _radius_factor(b, b_mid, half_width, middle)
        radius = torch.matmul(a_mid.abs(), factor)
        if a[0] is not a[1]:
            factor.add_(b_mid.abs())
            radius.add_(torch.matmul(_radius_factor(a, a_mid, half_width, middle), factor))
    radius.add_(absolute)
    block = torch.empty(2, *radius.shape, dtype=torch.float64, device=radius.device)
    lo, hi = block.unbind()
    if min(a_mid.ndim, b_mid.ndim) > 1:
        torch.matmul(a_mid, b_mid, out=lo)
    else:  # torch would resize ``out`` for a vector
        lo.copy_(torch.matmul(a_mid, b_mid))
    torch.add(lo, radius, out=hi)
    lo.sub_(radius)
    if not math.isfinite(float(block.sum())):
        _explain_non_finite(a, b, lo, hi)
    return lo, hi


def _middle(x: Bounds) -> Tensor:
    return x[0] if x[0] is x[1] else torch.add(x[0] * 0.5, x[1], alpha=0.5)


def _radius_factor(x: Bounds, mid: Tensor, half_width: float, middle: float) -> Tensor:
    """``T`` of the derivation; the products with constants are plain or fused, and both are covered."""
    size = mid.abs().mul_(middle)
    if x[0] is not x[1]:
        size.add_(x[1] - x[0], alpha=half_width)
    return size.add_(8 * rounding.TINY)


def _explain_non_finite(a: Bounds, b: Bounds, lo: Tensor, hi: Tensor) -> None:
    for name, (low, high) in (("left", a), ("right", b)):
        bad = ~(torch.isfinite(low) & torch.isfinite(high))
        if bool(bad.any()):
            index = tuple(torch.nonzero(bad)[0].tolist())
            raise ValueError(f"@: the {name} operand is unbounded or empty at index {index}; bound it first")
    bad = ~(torch.isfinite(lo) & torch.isfinite(hi))
    if bool(bad.any()):
        index = tuple(torch.nonzero(bad)[0].tolist())
        raise OverflowError(
            f"@: the product leaves the range of float64 at index {index}; scale the operands"
        )
