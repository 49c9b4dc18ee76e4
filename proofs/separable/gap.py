"""``separable-gap`` and its cheaper versions: tokens in bands by their distance (gap) below the maximum.

Verification bounds the scores (`scores`), the direct path (`direct`) and every token's gain (`bands.gains`),
then bands of tokens (`bands`), and collects what passes. After the path tables it is O(V²K + V² log V).

* ``separable-gap``: the tables EQKE and EUPU themselves (sub-cubic).
* ``separable-gap+low-rank``: neither table; V d² products and splits of rank r (low-rank).
* ``separable-gap+quadratic``: no V d² product on the attention and direct paths (quadratic).

Each of them certifies cells (`cells`: one set of bands for each (q, m, n), O(V²K)); with ``+boxes`` in its
name it splits the classes into boxes (`boxes`), which certifies more for some more work and is meant for
short contexts.
"""

from __future__ import annotations

import enum
import itertools
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit.certificate import CertifiedSet
from certkit.interval import Interval
from proofs.cells import everything
from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable.bands import BandTable, Weights, band_table, gains, weights
from proofs.separable.boxes import certified_boxes
from proofs.separable.cells import certified_cells
from proofs.separable.direct import exact_direct, low_rank_direct
from proofs.separable.scores import low_rank_scores, quadratic_scores
from proofs.separable.splits import float_parts, split_for_direct, split_for_rows, split_of_matrix
from proofs.strategy import AnyStrategy, ComplexityClass, Family, Semantics
from proofs.witness import WitnessError, require_range, require_tensor

__all__ = ["STRATEGIES", "GapWitness", "LowRankGapWitness", "SeparableGap", "SeparableGapLowRank"]


def default_edges(vocab: int) -> Tensor:
    """Distances at which bands begin: 1, 2, 3, 5, 9, 17, … below V."""
    edges = [1, *(2**i + 1 for i in range(vocab.bit_length()))]
    return torch.tensor([edge for edge in edges if edge < max(vocab, 2)], dtype=torch.int64)


def checked_edges(edges: Tensor, vocab: int) -> tuple[int, ...]:
    """The edges as integers.

    Raises:
        WitnessError: not increasing from 1, or beyond the vocabulary.
    """
    size = len(edges) if isinstance(edges, Tensor) and edges.dim() == 1 else 1
    require_tensor("edges", edges, (size,), torch.int64)
    require_range("edges", edges, 1, max(vocab, 1))
    found = tuple(int(edge) for edge in edges)
    if not found or found[0] != 1 or any(a >= b for a, b in itertools.pairwise(found)):
        raise WitnessError(f"witness edges {list(found)} must increase from 1")
    return found


@attrs.frozen(eq=False)
class GapWitness:
    """Where bands begin, ``[J]`` int64 from 1; and a vector ``c [V]`` near every row of EUPU."""

    edges: Tensor
    c: Tensor


@attrs.frozen(eq=False)
class LowRankGapWitness:
    """Where bands begin; split directions of the attention ``[d, r]`` and of the direct path ``[d, s]``;
    centres ``[d]``.
    """

    edges: Tensor
    score_left: Tensor
    score_right: Tensor
    query_centre: Tensor
    key_centre: Tensor
    direct_left: Tensor
    direct_right: Tensor
    point: Tensor
    output_centre: Tensor

    def checked(self, width: int) -> LowRankGapWitness:
        """This witness, if it is one for a model of this width.

        Raises:
            WitnessError: a wrong shape or type, or a number that is not finite.
        """
        for kind in ("score", "direct"):
            left, right = getattr(self, f"{kind}_left"), getattr(self, f"{kind}_right")
            columns = left.shape[1] if isinstance(left, Tensor) and left.dim() == 2 else 0
            require_tensor(f"{kind}_left", left, (width, columns))
            require_tensor(f"{kind}_right", right, (width, columns))
        for name in ("query_centre", "key_centre", "point", "output_centre"):
            require_tensor(name, getattr(self, name), (width,))
        return self


class Content(enum.Enum):
    """What passing bands are collected into."""

    CELLS = "cells"
    BOXES = "boxes"

    @property
    def suffix(self) -> str:
        """What is added to the name of a strategy."""
        return "" if self is Content.CELLS else f"+{self.value}"

    def certified(self, table: BandTable, w: Weights, vocab: int) -> CertifiedSet:
        """The cells or boxes that pass."""
        collect = certified_cells if self is Content.CELLS else certified_boxes
        return collect(table, w, vocab)


@attrs.frozen
class SeparableGap:
    """The strategies ``separable-gap`` and ``separable-gap+boxes``; see the module."""

    content: Content = Content.CELLS
    version: int = 1
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.SUB_CUBIC
    semantics: Semantics = Semantics.REAL
    witness_type: type[GapWitness] = GapWitness

    @property
    def name(self) -> str:
        """``separable-gap``, with ``+boxes`` where that is the content."""
        return f"separable-gap{self.content.suffix}"

    @property
    def description(self) -> str:
        """One line."""
        return f"bands of tokens below the maximum, from the path tables: {self.content.value}"

    def search(self, model: Model) -> GapWitness:
        """Bands that double, and the mean row of EUPU."""
        table = path_tables(model).EUPU
        return GapWitness(default_edges(model.vocab), (0.5 * (table.lo + table.hi)).mean(0))

    def verify(self, model: Model, witness: GapWitness) -> CertifiedSet:
        """Boxes of every class.

        Raises:
            WitnessError: edges that do not increase from 1, or a vector of the wrong shape or not finite.
        """
        edges = checked_edges(witness.edges, model.vocab)
        c = require_tensor("c", witness.c, (model.vocab,))
        if model.vocab == 1:
            return everything(model)
        paths = path_tables(model)
        w = weights(paths.EQKE, paths.EQKP)
        slots, query = gains(paths.EVOU, paths.PVOU, Interval.exact(c))
        table = band_table(w, slots, query, exact_direct(paths.EUPU, c), edges)
        return self.content.certified(table, w, model.vocab)

    def unexplained_dimension(self, model: Model) -> int:
        """EVOU, PVOU, EQKE, EQKP and EUPU as they are."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


class Attention(enum.Enum):
    """How the scores are bounded."""

    LOW_RANK = "low-rank"
    QUADRATIC = "quadratic"


_CLASS: Final = {Attention.LOW_RANK: ComplexityClass.LOW_RANK, Attention.QUADRATIC: ComplexityClass.QUADRATIC}
_RANKS: Final = {Attention.LOW_RANK: (10, 10), Attention.QUADRATIC: (8, 0)}
"""Ranks of the splits of the scores and of the direct path: what beats the published bounds at less than
their work.
"""


@attrs.frozen
class SeparableGapLowRank:
    """``separable-gap+low-rank`` and ``separable-gap+quadratic``, cells or boxes; see the module."""

    attention: Attention
    content: Content = Content.CELLS
    version: int = 1
    family: Family = Family.SEPARABLE
    semantics: Semantics = Semantics.REAL
    witness_type: type[LowRankGapWitness] = LowRankGapWitness

    @property
    def name(self) -> str:
        """``separable-gap+``, how the scores are bounded, and ``+boxes`` where that is the content."""
        return f"separable-gap+{self.attention.value}{self.content.suffix}"

    @property
    def complexity_class(self) -> ComplexityClass:
        """That of the score bound."""
        return _CLASS[self.attention]

    @property
    def description(self) -> str:
        """One line."""
        return f"bands of tokens, {self.attention.value} attention and direct path: {self.content.value}"

    def search(self, model: Model) -> LowRankGapWitness:
        """Bands that double; directions from singular vectors; means as centres."""
        parts = float_parts(model)
        rank, direct_rank = _RANKS[self.attention]
        split = split_of_matrix if self.attention is Attention.QUADRATIC else split_for_rows
        score_left, score_right = split(parts, rank)
        direct_left, direct_right = split_for_direct(parts, direct_rank)
        return LowRankGapWitness(
            default_edges(model.vocab),
            score_left,
            score_right,
            parts.at_query.mean(0),
            parts.at_key.mean(0),
            direct_left,
            direct_right,
            parts.at_query.mean(0),
            parts.w_u.mean(1),
        )

    def verify(self, model: Model, witness: LowRankGapWitness) -> CertifiedSet:
        """Boxes of every class.

        Raises:
            WitnessError: a value of the wrong shape or type, not finite, or edges that do not increase from
            1.
        """
        edges = checked_edges(witness.edges, model.vocab)
        witness.checked(model.d_model)
        if model.vocab == 1:
            return everything(model)
        w = weights(*self._scores(model, witness))
        w_e, w_pos, w_u = (Interval.exact(x) for x in (model.W_E, model.W_pos, model.W_U))
        values = Interval.exact(model.W_V) @ (Interval.exact(model.W_O) @ w_u)
        point = Interval.exact(witness.point)
        slots, query = gains(w_e @ values, w_pos @ values, point @ w_u)
        split = (witness.direct_left, witness.direct_right)
        direct = low_rank_direct(w_e + w_pos[-1] - point, w_u, witness.output_centre, split)
        return self.content.certified(band_table(w, slots, query, direct, edges), w, model.vocab)

    def _scores(self, model: Model, witness: LowRankGapWitness) -> tuple[Interval, Interval]:
        split = (witness.score_left, witness.score_right)
        if self.attention is Attention.LOW_RANK:
            return low_rank_scores(model, split, witness.key_centre)
        return quadratic_scores(model, split, witness.query_centre, witness.key_centre)

    def unexplained_dimension(self, model: Model) -> int:
        """EVOU and PVOU as they are; norms of rows and columns; the parts of the splits."""
        v, k = model.vocab, model.n_ctx
        rank, direct_rank = _RANKS[self.attention]
        return v * v + 2 * k * v + 2 * v * (rank + direct_rank) + 4 * v


STRATEGIES: Final[tuple[AnyStrategy, ...]] = (
    *(SeparableGap(content) for content in Content),
    *(SeparableGapLowRank(attention, content) for attention in Attention for content in Content),
)
