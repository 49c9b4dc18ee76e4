"""The attention handling: from the attention interval to a bound on every wrong logit.

In a cell with attention α on the max tokens, for all x ≠ m,

    logit[x] − logit[m]  ≤  L_m(x) + α R_m(x) + (1−α) W + e(q)
    L_m(x) = c[x] − c[m] + max_p (PVOU[p,x] − PVOU[p,m]),

with W the largest row range of EVOU over the tokens the cell admits. The maximum of the right side over x is
*convex* in α, so on ``[α_lo, α_hi]`` it is largest at an end, and both ends are evaluated. (Choosing one end
by comparing ``max_x R_m`` with W is unsound: the maximising x changes along the interval.)

The maximum over x would cost V for each of the V²K cells. A member of this module avoids
that by a fixed *anchor* ᾱ:

    max_x [L_m(x) + α R_m(x)]  ≤  max_x [L_m(x) + ᾱ R_m(x)] + max(δ·max_x R_m, δ·min_x R_m),        δ = α − ᾱ.

For negative δ it is ``δ·min_x R_m`` that is the larger; the published code uses ``δ·max_x R_m`` for every δ,
which is unsound. Any finite ᾱ is sound, and so is the least of the bounds of several.
"""

from __future__ import annotations

import abc
from typing import ClassVar

import attrs
from torch import Tensor

from proofs.subcubic.tables import N, OutputTables


class AttentionHandling(abc.ABC):
    """A choice for the attention handling."""

    name: ClassVar[str]
    """The part of the strategy name after ``attn-``."""

    summary: ClassVar[str]
    """A few words for the description of a strategy."""

    anchors: ClassVar[int]
    """How many anchors for each m the witness holds."""

    @abc.abstractmethod
    def wrong_logit(self, tables: OutputTables[N], constant: N, anchors: N, attention: N, m: Tensor) -> N:
        """A bound on ``max_{x≠m} [L_m(x) + α R_m(x)]``, ``[E, C]``.

        Args:
            tables: what attended tokens add.
            constant: ``L_m(x)``, ``[V, V−1]``.
            anchors: ᾱ, ``[J, V]`` (for each maximum m).
            attention: α in [0, 1], ``[E, C]``.
            m: the maximum of each cell, ``[C]``.
        """


@attrs.frozen
class MeanQueryDiff(AttentionHandling):
    """Anchors near the attention that occurs; the maximum over x is taken at the anchors."""

    name = "mean-query+diff"
    summary = "wrong logits at anchored attention"
    anchors = 3

    def wrong_logit(self, tables: OutputTables[N], constant: N, anchors: N, attention: N, m: Tensor) -> N:
        """See the module; the least over the anchors."""
        levels = (constant + anchors.unsqueeze(-1) * tables.slope).amax(-1)
        delta = attention - anchors[:, m].unsqueeze(1)
        tilt = (delta * tables.slope_max[m]).maximum(delta * tables.slope_min[m])
        return (levels[:, m].unsqueeze(1) + tilt).amin(0)


@attrs.frozen
class DropAverage(AttentionHandling):
    """ᾱ = 0: the maxima over x of the constant part and of the slope apart; α ≥ 0, so ``δ = α ≥ 0``."""

    name = "drop-average-query-per-output-logit-reasoning"
    summary = "wrong logits with attention taken apart"
    anchors = 0

    def wrong_logit(self, tables: OutputTables[N], constant: N, anchors: N, attention: N, m: Tensor) -> N:
        """``max_x L_m(x) + α·max_x R_m(x)``."""
        return constant.amax(-1)[m] + attention * tables.slope_max[m]


HANDLINGS: tuple[AttentionHandling, ...] = (DropAverage(), MeanQueryDiff())
