"""One-sided arithmetic that reports its cost: the directed operations of `certkit.rounding`, counted.

Bounding a maximum from above needs upper ends only, so the separable family carries one float64 tensor
instead of an interval wherever it can. Every function here counts the one real operation it bounds
(`certkit.cost`). ``-inf`` stands for "not there" (a token above the maximum); no function makes a NaN out of
it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.elementary import exp_bounds

__all__ = [
    "add_up",
    "amax",
    "cummax",
    "exp_up",
    "mul_up",
    "scale_up",
    "sub_up",
    "sum_positive_up",
    "sum_up",
    "top_two",
]


def add_up(a: Tensor, b: Tensor) -> Tensor:
    """Upper bound of ``a + b`` (tightest)."""
    out = rounding.add_up(a, b)
    cost.record(flops=out.numel())
    return out


def sub_up(a: Tensor, b: Tensor) -> Tensor:
    """Upper bound of ``a − b`` (tightest); ``b`` is a lower bound of what is subtracted."""
    out = rounding.sub_up(a, b)
    cost.record(flops=out.numel())
    return out


def mul_up(a: Tensor, b: Tensor) -> Tensor:
    """Upper bound of ``a · b`` (tightest) for ``a ≥ 0``; where b is −inf it stays −inf, whatever a.

    Rounding treats infinities one by one, so they are set aside first.
    """
    gone = b == -torch.inf
    if not bool(gone.any()):
        out = rounding.mul_up(a, b)
    else:
        out = rounding.mul_up(a, b.masked_fill(gone, -1.0)).masked_fill(gone, -torch.inf)
    cost.record(flops=out.numel())
    return out


def scale_up(weight_lower: Tensor, weight_upper: Tensor, value_upper: Tensor) -> Tensor:
    """Upper bound of ``weight · value`` for ``0 ≤ weight_lower ≤ weight ≤ weight_upper``, ``value ≤
    value_upper``.

    The sign of the value decides which end of the weight is the worst: the upper end for a value ≥ 0, the
    lower end for a negative one. Using the upper end for both is unsound. A value of −inf stays −inf whatever
    the weight.
    """
    weight = torch.where(value_upper >= 0, weight_upper, weight_lower)
    cost.record(comparisons=weight.numel())
    return mul_up(weight, value_upper)


def sum_up(a: Tensor, dim: int) -> Tensor:
    """Upper bound of the sum over ``dim``, one rounding up per addition; an empty sum is 0."""
    parts = a.unbind(dim)
    if not parts:
        return torch.zeros_like(a.sum(dim))
    out = parts[0]
    for part in parts[1:]:
        out = add_up(out, part)
    return out


def sum_positive_up(a: Tensor, dim: int) -> Tensor:
    """Upper bound of the sum over ``dim`` of numbers ``≥ 0``.

    A sum of n numbers in any order is ``Σ a_i (1 + θ_i)`` with ``|θ_i| ≤ γ = (n−1)u/(1 − (n−1)u)``; as all
    are ≥ 0, the truth is at most ``computed/(1 − γ)``, and that is at most ``computed · (1 + 2nu)`` for ``n ≤
    2**50``. Additions do not underflow, and ``1 + 2nu`` is a float.
    """
    size = a.shape[dim]
    total = a.sum(dim)
    cost.record(flops=total.numel() * max(0, size - 1))
    return rounding.mul_up(total, total.new_tensor(1.0 + 2 * size * rounding.U))


def exp_up(a: Tensor) -> Tensor:
    """Upper bound of ``e^a``; ``e^-inf`` is exactly 0, beyond the range (or for a NaN) it is inf."""
    cost.record(flops=a.numel())
    plain = torch.isfinite(a)
    argument = torch.where(plain, a, -1.0)
    _, up = exp_bounds(argument, argument)
    return torch.where(plain, up, torch.where(a == -torch.inf, 0.0, torch.inf))


def amax(a: Tensor, dim: int) -> Tensor:
    """Maximum over ``dim``; −inf over an empty dimension."""
    size = a.shape[dim]
    if size == 0:
        return a.sum(dim) - torch.inf
    out = a.amax(dim)
    cost.record(comparisons=out.numel() * (size - 1))
    return out


def cummax(a: Tensor, dim: int) -> Tensor:
    """Running maximum along ``dim``."""
    cost.record(comparisons=a.numel())
    return a.cummax(dim).values


def top_two(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest, second largest (−inf if there is none) and where the largest is, along the last dimension."""
    cost.record(comparisons=2 * a.numel())
    size = a.shape[-1]
    best = a.topk(min(2, size), dim=-1)
    first, where = best.values[..., 0], best.indices[..., 0]
    second = best.values[..., 1] if size > 1 else torch.full_like(first, -torch.inf)
    return first, second, where
