"""Search for good multipliers λ of `proofs.separable.tail`: plain floating point, not trusted, not sound, not
needed to be.

``log`` of the tail bound is a convex function of λ (a log-sum-exp of linear functions), so its minimum over λ
≥ 0 is found by Newton steps kept inside a shrinking bracket. The minimum is flat: 1 % off in λ costs next to
nothing. Two economies: positions of nearly equal weight are merged into `GROUPS` groups, and rows that have
converged leave the batch.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.separable.numerator import Terms

__all__ = ["multipliers", "tail_search"]

GROUPS: Final = 4
_STEPS: Final = 25
_CLOSE: Final = 0.01
_SPAN: Final = 1e6


@attrs.frozen(eq=False)
class _Rows:
    """The rows still searched: ``terms [R, G, V]`` (0 where absent), ``present``, query terms, and whether m
    must occur.
    """

    terms: Tensor
    present: Tensor
    query: Tensor
    m: Tensor
    must_hold: Tensor
    multiplicity: Tensor

    def at(self, keep: Tensor) -> _Rows:
        return _Rows(
            self.terms[keep],
            self.present[keep],
            self.query[keep],
            self.m[keep],
            self.must_hold[keep],
            self.multiplicity,
        )


def _grouped(terms: Terms, q: int) -> _Rows:
    slots = terms.upper.shape[1]
    present = terms.upper[:, 0] > -torch.inf
    f = terms.upper.masked_fill(~present[:, None], 0.0)
    order = f.abs().sum((0, 2)).argsort()
    parts = [part for part in order.tensor_split(min(GROUPS, slots)) if len(part)]
    grouped = torch.stack([f[:, part].mean(1) for part in parts], 1)
    sizes = f.new_tensor([float(len(part)) for part in parts])
    return _Rows(grouped, present, terms.query_upper, terms.m, terms.m > q, sizes)


def _moments(e: Tensor, f: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log of the product of sums, and mean and variance of ``Σ_p f_p`` under the tilted distribution."""
    z = e.sum(2).clamp(min=1e-300)
    first = (e * f).sum(2) / z
    second = (e * f * f).sum(2) / z
    variance = ((second - first * first).clamp(min=0.0) * sizes).sum(1)
    return (z.log() * sizes).sum(1), (first * sizes).sum(1), variance


def _derivatives(rows: _Rows, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log of the tail bound at λ = ``value``, and its first and second derivative."""
    exponent = rows.terms * value[:, None, None]
    top = exponent.masked_fill(~rows.present[:, None], -torch.inf).amax(2, keepdim=True)
    e = torch.exp(exponent - top) * rows.present[:, None]
    log_all, mean_all, var_all = _moments(e, rows.terms, rows.multiplicity)
    index = rows.m[:, None, None].expand(-1, e.shape[1], 1)
    log_less, mean_less, var_less = _moments(e.scatter(2, index, 0.0), rows.terms, rows.multiplicity)
    ratio = torch.exp(log_less - log_all).clamp(max=1 - 1e-12) * rows.must_hold
    mean = (mean_all - ratio * mean_less) / (1 - ratio)
    second = (var_all + mean_all**2 - ratio * (var_less + mean_less**2)) / (1 - ratio)
    log_bound = log_all + (top[..., 0] * rows.multiplicity).sum(1) + torch.log1p(-ratio) + value * rows.query
    return log_bound, mean + rows.query, (second - mean**2).clamp(min=0.0)


def multipliers(terms: Terms, q: int) -> Tensor:
    """``[R]`` float64, finite and ≥ 0: near the minimum of the tail bound of each pair."""
    return tail_search(terms, q)[0]


def tail_search(terms: Terms, q: int) -> tuple[Tensor, Tensor]:
    """The multiplier of each pair, and the log of about what it certifies."""
    if terms.upper.shape[1] == 0:
        return torch.zeros_like(terms.query_upper), torch.zeros_like(terms.query_upper)
    rows = _grouped(terms, q)
    scale = rows.terms.abs().amax((1, 2)).clamp(min=1e-200)
    answer = 1.0 / scale
    low, high = torch.zeros_like(answer), torch.full_like(answer, torch.inf)
    active = torch.arange(len(answer))
    found = torch.full_like(answer, torch.inf)
    for _ in range(_STEPS):
        value = answer[active]
        found[active], slope, curvature = _derivatives(rows, value)
        low[active] = torch.where(slope < 0, value, low[active])
        high[active] = torch.where(slope < 0, high[active], value)
        below, above = low[active], high[active]
        newton = value - slope / curvature.clamp(min=1e-300)
        middle = torch.where(
            above.isinf(), value * 8, torch.where(below == 0, above / 16, (below * above).sqrt())
        )
        inside = (newton > below) & (newton < above) & (newton < 8 * value)
        following = torch.where(inside, newton, middle)
        following = torch.maximum(
            torch.minimum(following, _SPAN / scale[active]), 1 / (_SPAN * scale[active])
        )
        answer[active] = following
        moving = (following - value).abs() > _CLOSE * value
        if not bool(moving.any()):
            break
        active, rows = active[moving], rows.at(moving)
    return torch.where(torch.isfinite(answer), answer, 0.0), found.nan_to_num(nan=torch.inf, posinf=torch.inf)
