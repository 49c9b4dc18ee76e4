"""Search for `proofs.separable.count`: which classes to count, and how fine. Floating point, not trusted."""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable.alive import alive_terms
from proofs.separable.multipliers import tail_search
from proofs.separable.numerator import class_worst

__all__ = ["CountPlan", "plan_counts"]

BINS: Final = 256
COARSE_BINS: Final = 64
ROWS: Final = 6
"""Rows counted at most, in V²."""
_OFFSET: Final = 0.06
"""In widths."""
_REST: Final = 0.01
"""Counting stops when the classes that keep their tails lose this share of all."""


@attrs.frozen(eq=False)
class CountPlan:
    """Triples with bins and triples with multipliers, as columns (q, m, x)."""

    counts: tuple[Tensor, Tensor, Tensor]
    width: Tensor
    offset: Tensor
    tails: tuple[Tensor, Tensor, Tensor]
    multiplier: Tensor


def _log_sizes(q: Tensor, m: Tensor, slots: int) -> Tensor:
    """Logarithm of N(q, m), nearly."""
    whole = slots * torch.log1p(m.double())
    less = slots * torch.log(m.double().clamp(min=0.5)) - whole
    share = torch.where((q < m) & (m > 0), -torch.expm1(less), 1.0)
    return whole + share.log()


def plan_counts(model: Model) -> CountPlan:
    """Search multipliers everywhere, then give bins to the classes whose tails lose most."""
    paths = path_tables(model)
    found: list[tuple[Tensor, ...]] = []
    for query, blocks in alive_terms(paths):
        for terms in blocks:
            token, worst = torch.full_like(terms.m, query.q), class_worst(terms, query.q)
            found.append((token, terms.m, terms.x, *tail_search(terms, query.q), worst))
    if not found:
        none, no_number = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
        return CountPlan((none, none, none), no_number, no_number, (none, none, none), no_number)
    q, m, x, multiplier, log_bound, worst = (torch.cat(column) for column in zip(*found, strict=True))
    counted, fine = _worth_counting(q, m, log_bound, model)
    bins = torch.where(fine, float(BINS), float(COARSE_BINS))[counted]
    width = (worst[counted] / bins).nan_to_num(nan=1.0, posinf=torch.inf).clamp(1e-290, 1e290)
    return CountPlan(
        (q[counted], m[counted], x[counted]),
        width,
        _OFFSET * width,
        (q, m, x),
        multiplier,
    )


def _worth_counting(q: Tensor, m: Tensor, log_bound: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    """Which rows to count, and which of them finely."""
    slots = model.n_ctx - 1
    size = _log_sizes(q, m, slots)
    scale = size.max()
    share = torch.exp(torch.minimum(log_bound, size) - scale)
    code = q * model.vocab + m
    classes, row = torch.unique(code, return_inverse=True)
    loss = torch.zeros(len(classes), dtype=torch.float64).scatter_add(0, row, share)
    most = torch.zeros_like(loss).scatter_reduce(0, row, torch.exp(size - scale), "amax")
    loss = torch.minimum(loss, most)
    rows = torch.bincount(row).double()
    order = loss.argsort(descending=True)
    remaining = loss.sum() - loss[order].cumsum(0) + loss[order]
    chosen = (remaining > _REST * loss.sum()) & (rows[order].cumsum(0) <= ROWS * model.vocab**2)
    counted = torch.zeros(len(classes), dtype=torch.bool)
    counted[order] = chosen
    return counted[row], share > 0.02 * loss[row]
