"""The search for gaps and anchors: in float64, vectorised over all cells, and trusted by nobody.

For fixed anchors the bound of a cell falls as its gap grows (the attention interval shrinks and W falls), so
the smallest gap that passes certifies most, and bisection finds it for all cells at once with the very
formulas of the verification. Anchors are chosen greedily from a grid, for each m those that keep most of what
the whole grid certifies.
"""

from __future__ import annotations

import math
from typing import Generic

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from proofs.model import Model
from proofs.subcubic.attention import ScoreSplit, attention_on_max
from proofs.subcubic.cells import GapCells, gap_cells
from proofs.subcubic.handling import AttentionHandling
from proofs.subcubic.tables import N, OutputTables, PositionWeights

_GRID = (0.0, 0.3, 0.5, 0.65, 0.78, 0.86, 0.91, 0.94, 0.96, 0.975, 0.985, 0.993, 1.0)
"""Candidate anchors: dense near 1, where the attention of certified cells lies."""

_AT_ONCE = 1 << 17
"""Cells evaluated in one go."""


@attrs.frozen(eq=False)
class Terms(Generic[N]):
    """All that the margin of a cell depends on, apart from anchors and gap.

    Attributes:
        tables: what attended tokens add.
        weights: extreme position weights.
        split: the score split.
        constant: ``L_m(x)``, ``[V, V−1]``.
        error: e(q), ``[V]``.
    """

    tables: OutputTables[N]
    weights: PositionWeights[N]
    split: ScoreSplit[N]
    constant: N
    error: N

    def margin(self, handling: AttentionHandling, anchors: N, cells: GapCells) -> N:
        """An upper bound on ``logit[x] − logit[m]``, all x ≠ m and all sequences of each cell, ``[C]``."""
        attention = attention_on_max(self.split, self.weights, cells)
        return self.at_ends(handling, anchors, cells, attention).amax(0)

    def at_ends(self, handling: AttentionHandling, anchors: N, cells: GapCells, attention: N) -> N:
        """The margin for given attention on the max tokens: ``[E, C]`` for attention ``[E, C]``."""
        wrong = handling.wrong_logit(self.tables, self.constant, anchors, attention, cells.m)
        elsewhere = (1.0 - attention) * self.tables.spread[cells.below]
        return wrong + elsewhere + self.error[cells.q]

    def floats(self: Terms[Interval]) -> Terms[Tensor]:
        """Midpoints, for the search."""
        return Terms(
            tables=self.tables.floats(),
            weights=self.weights.floats(),
            split=self.split.floats(),
            constant=self.constant.mid(),
            error=self.error.mid(),
        )


def smallest_cells(vocab: int, n_ctx: int) -> GapCells:
    """Every (q, m, n) at the largest gap at which its cell is not empty."""
    token = torch.arange(vocab)
    q, m = token.view(-1, 1, 1), token.view(1, -1, 1)
    largest = torch.where(q < m, m - q, m).clamp(1, vocab)
    return gap_cells(largest.expand(-1, -1, n_ctx))


@attrs.frozen
class Bisection:
    """Finds for each cell the smallest gap that passes with given anchors."""

    terms: Terms[Tensor]
    handling: AttentionHandling

    def passes(self, anchors: Tensor, cells: GapCells) -> Tensor:
        """Whether float64 says that the margin is negative."""
        # Rounding in the search must not spoil what verification decides: ask for a little more than < 0.
        slack = -1e-9 * (1.0 + self.terms.constant.abs().max())
        margins = [self.terms.margin(self.handling, anchors, part) for part in cells.parts(_AT_ONCE)]
        return torch.cat(margins) < slack

    def smallest(self, anchors: Tensor, cells: GapCells) -> GapCells:
        """Those of ``cells`` (at their largest gap) that some gap certifies, at the smallest such gap."""
        cells = cells.select(self.passes(anchors, cells))
        high = cells.m - cells.below  # passes
        low = torch.zeros_like(high)  # fails, or is 0
        for _ in range(int(high.max()).bit_length() if len(cells) else 0):
            middle = (low + high + 1) // 2
            ok = self.passes(anchors, cells.with_below(cells.m - middle))
            high = torch.where(ok, middle, high)
            low = torch.where(ok, low, middle)
        return cells.with_below(cells.m - high)

    def anchors(self, cells: GapCells) -> Tensor:
        """``[J, V]``: for each m those grid values, chosen greedily, that keep most certified sequences."""
        vocab, n_ctx = int(self.terms.error.shape[0]), int(self.terms.weights.shares.shape[-1])
        grid = torch.tensor(_GRID, dtype=torch.float64).unsqueeze(1).expand(-1, vocab)
        cells = self.smallest(grid, cells)
        attention = attention_on_max(self.terms.split, self.terms.weights, cells)
        # [end, anchor, cell]: a cell is kept if each end passes with one of the chosen anchors.
        passing = torch.stack(
            [self.terms.at_ends(self.handling, anchor.unsqueeze(0), cells, attention) < 0 for anchor in grid],
            1,
        )
        weight = _sequences(cells, n_ctx)
        reached = torch.zeros(2, len(cells), dtype=torch.bool)
        chosen = []
        for _ in range(self.handling.anchors):
            kept = (passing | reached.unsqueeze(1)).all(0)
            gain = torch.zeros(len(_GRID), vocab, dtype=torch.float64).index_add_(1, cells.m, kept * weight)
            best = gain.argmax(0)
            reached |= passing.gather(1, best[cells.m].expand(2, 1, -1)).squeeze(1)
            chosen.append(grid.gather(0, best.unsqueeze(0)).squeeze(0))
        return torch.stack(chosen)


def _sequences(cells: GapCells, n_ctx: int) -> Tensor:
    """How many sequences each cell holds, in float64."""
    ways = torch.tensor([math.comb(n_ctx - 1, n) for n in range(n_ctx)], dtype=torch.float64)
    return ways[cells.n] * (cells.below + 1).double() ** cells.n


def find_gaps(
    model: Model, handling: AttentionHandling, terms: Terms[Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Anchors ``[J, V]`` and gaps ``[V, V, K]``; with no terms, gaps that claim nothing."""
    vocab, n_ctx = model.vocab, model.n_ctx
    anchors = torch.zeros(handling.anchors, vocab, dtype=torch.float64)
    gaps = torch.full((vocab, vocab, n_ctx), vocab, dtype=torch.int64)
    if terms is not None:
        bisection, cells = Bisection(terms, handling), smallest_cells(vocab, n_ctx)
        if handling.anchors:
            anchors = bisection.anchors(cells)
        found = bisection.smallest(anchors, cells)
        gaps[found.q, found.m, found.n] = found.m - found.below
    return anchors, gaps
