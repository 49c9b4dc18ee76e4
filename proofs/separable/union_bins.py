"""How finely to count the rows of a class: tried on a sample. Trusted for nothing."""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.separable.groups import PARTS
from proofs.separable.union_plan import ROW, Plan, Sample

__all__ = ["OFFSET", "class_widths"]

BINS: Final = (32, 64, 128, 256, 512, 1024, 2048)
"""Numbers of bins between 0 and the worst case of a row that are tried on the sample, the least first."""
_FREE: Final = 8192
"""Bins at most between 0 and the worst case where m need not occur, which an auditor counts with."""
_INEXACT: Final = 0.02
"""Share by which bins may make the count of a row larger."""
OFFSET: Final = 0.06
"""In widths."""


@attrs.frozen(eq=False)
class _RowSample:
    """Sequences of a class as its R rows see them.

    Attributes:
        terms: ``[R, N, K]`` of each row; ``other``: of what it meets; ``meets [R]``: whether it does.
        weight: ``[N]`` what sequences count for, as shares of all sequences.
    """

    terms: Tensor
    other: Tensor
    meets: Tensor
    weight: Tensor

    def exact(self) -> Tensor:
        """``[R]`` what the rows count on the sample without bins."""
        counted = (self.terms.sum(2) >= 0).float()
        both = torch.minimum(self.terms[self.meets], self.other[self.meets])
        counted[self.meets] -= (both.sum(2) >= 0).float()
        return counted @ self.weight

    def counted(self, some: Tensor, width: Tensor) -> Tensor:
        """What some rows count on the sample in bins of the given widths."""
        width, slots = width[:, None, None], self.terms.shape[2] - 1
        terms = self.terms[some] / width
        up = (terms[:, :, :-1] - OFFSET).ceil()
        need = (-terms[:, :, -1] - slots * OFFSET).ceil()
        counted = (up.sum(2) >= need).float()
        met = self.meets[some]
        if bool(met.any()):
            other = self.other[some[met]] / width[met]
            down = torch.minimum((other[:, :, :-1] + OFFSET).floor(), up[met])
            need = torch.maximum((-other[:, :, -1] + slots * OFFSET).ceil(), need[met])
            counted[met] -= (down.sum(2) >= need).float()
        return counted @ self.weight


def _row_sample(sample: Sample, plan: Plan, share: float) -> _RowSample:
    terms = torch.stack([sample.terms[:, :, group].amax(2) for group in plan.groups])
    met = [row for row, meet in enumerate(plan.meets) if meet is not None]
    other = torch.zeros_like(terms)
    columns = [meet.column for meet in plan.meets if meet is not None]
    parts = torch.tensor([meet.multiple / PARTS for meet in plan.meets if meet is not None])
    other[met] = (sample.terms[:, :, columns] * parts).permute(2, 0, 1)
    meets = torch.zeros(len(terms), dtype=torch.bool)
    meets[met] = True
    return _RowSample(terms, other, meets, share * sample.weight)


def _bins(rows: _RowSample, worst: Tensor) -> Tensor:
    """``[R]`` the least numbers of bins with which the counts of rows on the sample are hardly larger."""
    enough = rows.exact() * (1 + _INEXACT) + ROW
    bins = torch.full((len(worst),), float(BINS[-1]))
    left = torch.arange(len(worst))
    for tried in BINS[:-1]:
        coarse = rows.counted(left, (worst[left] / tried).clamp(min=1e-30)) > enough[left]
        bins[left[~coarse]] = tried
        left = left[coarse]
    return bins


def class_widths(sample: Sample, plan: Plan, terms: Tensor, share: float, q: int) -> Tensor:
    """``[R]`` widths for the rows of one class; ``terms [K, T, X]`` are those of all tokens up to m."""
    mine = torch.stack([terms[:, :, group].amax(2) for group in plan.groups])
    asked = mine[:, -1, q]
    best = mine[:, :-1].amax(2)
    free = best.sum(1) + asked
    worst = free
    if q < mine.shape[2] - 1 and best.shape[1]:
        worst = free + (mine[:, :-1, -1] - best).amax(1)
    bins = _bins(_row_sample(sample, plan, share), worst.abs())
    width = torch.maximum(worst.abs() / bins, free / _FREE).double()
    return width.nan_to_num(nan=1.0, posinf=torch.inf).clamp(1e-290, 1e290)
