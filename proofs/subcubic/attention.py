"""How much attention the max tokens of a cell get: the two endpoints α_lo and α_hi.

The scores split as ``EQKE = Ã + R`` where R varies by at most ρ(q) within row q. In a sequence of the cell
``(q, m, n)`` with gap g every token k other than m is at most ``m − g``, so its score falls short of m's by

    EQKE[q,m] − EQKE[q,k]  ∈  [ Ã[q,m] − max_{k ≤ m−g} Ã[q,k] − ρ(q),  Ã[q,m] − min_{k ≤ m−g} Ã[q,k] + ρ(q) ]
                           =: [ Δ_lo, Δ_hi ].

Let A be the sum of ``exp(EQKP[q,p])`` over the slots that hold m, B that over the others. The others weigh at
most ``B·e^{−Δ_lo}`` and at least ``B·e^{−Δ_hi}`` relative to ``e^{EQKE[q,m]}``, so the attention on m lies
between

    α_lo = 1 / (1 + max(B/A)·e^{−Δ_lo})        α_hi = 1 / (1 + min(B/A)·e^{−Δ_hi}),

with the extremes of B/A over the placements of the n slots (`proofs.subcubic.tables.PositionWeights`).
"""

from __future__ import annotations

from typing import Generic

import attrs
from torch import Tensor

import certkit
from certkit.interval import Interval
from proofs.subcubic.cells import GapCells
from proofs.subcubic.tables import N, PositionWeights


@attrs.frozen(eq=False)
class ScoreSplit(Generic[N]):
    """``EQKE = Ã + R``, with what the attention bound reads of Ã and R.

    Attributes:
        approx: Ã, ``[V, V]`` (query, key token).
        reach: ``[2, V, V]`` (end, query, j): ``max_{k ≤ j} Ã[q,k] + ρ(q)`` and ``min_{k ≤ j} Ã[q,k] − ρ(q)``.
    """

    approx: N
    reach: N

    def floats(self: ScoreSplit[Interval]) -> ScoreSplit[Tensor]:
        """Midpoints, for the search."""
        return ScoreSplit(self.approx.mid(), self.reach.mid())


def score_split(approx: Interval, row_range: Interval) -> ScoreSplit[Interval]:
    """The split for ``ρ(q) = row_range [V]``, at least ``R[q,i] − R[q,j]`` for all i and j."""
    either_way = row_range.unsqueeze(-1)
    return ScoreSplit(approx, certkit.stack([approx.cummax(-1) + either_way, approx.cummin(-1) - either_way]))


def attention_on_max(split: ScoreSplit[N], weights: PositionWeights[N], cells: GapCells) -> N:
    """α_lo and α_hi of each cell, ``[2, C]``; the attention of every sequence lies between them.

    The interval results enclose the exact ends. Unbounded scores give α in [0, 1], never NaN.
    """
    q, m, n, below = cells.q, cells.m, cells.n, cells.below
    excess = split.reach[:, q, below] - split.approx[q, m]
    others = weights.shares[:, q, cells.query_is_below, n] * excess.exp()
    return (others + 1.0).reciprocal()
