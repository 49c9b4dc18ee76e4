"""Sums and extrema over dimensions, and running extrema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from certkit import cost, linalg
from certkit._interval.arithmetic import div
from certkit._interval.base import all_finite, empty_mask, with_empty
from certkit._interval.shapes import Shapes

Dims = int | Sequence[int] | None


def _dims(dim: Dims) -> tuple[int, ...]:
    """The dimensions to reduce, as torch's reductions take them: none named means all."""
    return () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


class Reductions(Shapes):
    """torch's reductions, with torch's arguments; an empty element empties the reduction it is in."""

    __slots__ = ()

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Self:
        """Sums over ``dim`` (all dimensions by default).

        Each bound is within about ``2 ceil(log2 n) u Σ|bound|`` of the exact one; sums of one or two terms
        are tightest. See `certkit.linalg.sum_upper`, and `certkit.linalg.sum_tight` for the compensated
        variant.
        """
        rows, shape = self._rows(dim, keepdim)
        lo, hi = linalg.sum_lower(rows.lo), linalg.sum_upper(rows.hi)
        if not all_finite(lo, hi):
            lo = torch.where(torch.isinf(rows.lo).any(-1), -torch.inf, lo)
            hi = torch.where(torch.isinf(rows.hi).any(-1), torch.inf, hi)
            lo, hi = with_empty(lo, hi, empty_mask(rows.lo, rows.hi).any(-1))
        cost.record(flops=max(self.numel() - lo.numel(), 0))
        return self._unchecked(lo.reshape(shape), hi.reshape(shape))

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Self:
        """The sum over ``dim`` divided by the number of terms, each rounded as the two operations are."""
        total = self.sum(dim, keepdim)
        count = torch.tensor(self.numel() // max(total.numel(), 1), dtype=torch.float64, device=self.device)
        cost.record(flops=total.numel())
        return self._unchecked(*div((total.lo, total.hi), (count, count)))

    def _rows(self, dim: Dims, keepdim: bool) -> tuple[Self, torch.Size]:
        """Self with the reduced dimensions last and flattened, and the shape of the reduction's result."""
        named = _dims(dim) or range(self.ndim)
        reduced = sorted({range(self.ndim)[d] for d in named})
        kept = [d for d in range(self.ndim) if d not in reduced]
        shape = [1 if d in reduced else n for d, n in enumerate(self.shape) if keepdim or d not in reduced]
        length = 1
        for d in reduced:
            length *= self.shape[d]
        rows = self.permute(*kept, *reduced) if self.ndim else self
        return rows.reshape(*[self.shape[d] for d in kept], length), torch.Size(shape)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Self:
        """``{max over dim}``, tightest."""
        dims = _dims(dim)
        lo = torch.amax(self.lo, dim=dims, keepdim=keepdim)
        hi = lo if self._is_point else torch.amax(self.hi, dim=dims, keepdim=keepdim)
        return self._selected(lo, hi, dims, keepdim)

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Self:
        """``{min over dim}``, tightest."""
        dims = _dims(dim)
        lo = torch.amin(self.lo, dim=dims, keepdim=keepdim)
        hi = lo if self._is_point else torch.amin(self.hi, dim=dims, keepdim=keepdim)
        return self._selected(lo, hi, dims, keepdim)

    def _selected(self, lo: Tensor, hi: Tensor, dims: tuple[int, ...], keepdim: bool) -> Self:
        cost.record(comparisons=max(self.numel() - lo.numel(), 0))
        if not all_finite(lo, hi):
            mask = torch.amax(empty_mask(self.lo, self.hi), dim=dims, keepdim=keepdim)
            lo, hi = with_empty(lo, hi, mask)
        return self._unchecked(lo, hi)

    def cummax(self, dim: int) -> Self:
        """Running maxima along ``dim``, tightest. (torch also returns indices; for intervals there are
        none.)
        """
        return self._running(torch.cummax, dim)

    def cummin(self, dim: int) -> Self:
        """Running minima along ``dim``, tightest."""
        return self._running(torch.cummin, dim)

    def _running(self, scan: Any, dim: int) -> Self:
        cost.record(comparisons=self.numel())
        lo = scan(self.lo, dim).values
        hi = lo if self._is_point else scan(self.hi, dim).values
        if not all_finite(lo, hi):
            seen = torch.cumsum(empty_mask(self.lo, self.hi).to(torch.int64), dim) > 0
            lo, hi = with_empty(lo, hi, seen)
        return self._unchecked(lo, hi)
