"""The hundred sub-cubic strategies: every direct path × attention handling × attention error.

A member certifies the cell (q, m, n) with its gap if, at both ends α of the cell's attention interval,

    max_{x≠m} [c[x] − c[m] + max_p (PVOU[p,x] − PVOU[p,m]) + α R_m(x)]  +  (1−α) W(m, gap)  +  e(q)  <  0,

the first maximum bounded as the attention handling says, c and e(q) from the direct path, α from the
attention error. The sequence m … m of each m is decided on its own. `docs/explanation/subcubic.md` has the
proofs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit.certificate import CertifiedSet
from certkit.interval import Interval
from proofs.model import Model
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.subcubic.cells import GapCells, certified_set, check_gaps, gap_cells
from proofs.subcubic.direct import DIRECT_PATHS, DirectPath, direct_bound
from proofs.subcubic.errors import (
    ATTENTION_ERRORS,
    AttentionError,
    Work,
    attention_split,
    proposed_directions,
)
from proofs.subcubic.handling import HANDLINGS, AttentionHandling
from proofs.subcubic.search import Terms, find_gaps
from proofs.subcubic.tables import alone_on_max, output_tables, position_weights
from proofs.witness import WitnessError, require_range, require_tensor


@attrs.frozen(eq=False)
class SubCubicWitness:
    """What a search hands to verification; sound whatever the values are (reals up to `LARGEST`).

    Attributes:
        direct: vectors of the direct path.
        directions: directions removed from the score table.
        anchors: ᾱ, ``[J, V]``: J values for each maximum m.
        gaps: ``[V, V, K]`` (q, m, n), each in 1 … V; a gap of V claims nothing.
    """

    direct: tuple[Tensor, ...]
    directions: tuple[Tensor, ...]
    anchors: Tensor
    gaps: Tensor


_AT_ONCE: Final = 1 << 17
"""Cells evaluated in one go; bounds the memory."""

LARGEST: Final = 2.0**32
"""Reals of a witness are at most this large in magnitude. A direction enters a product twice, a product
has at most two directions and four weights below 2**128 each, so nothing leaves the range of float64."""


def _check_reals(name: str, values: Tensor, shape: Sequence[int]) -> None:
    require_range(name, require_tensor(name, values, shape), -LARGEST, LARGEST)


def _check_vectors(name: str, vectors: tuple[Tensor, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
    if len(vectors) != len(shapes):
        raise WitnessError(f"witness {name} holds {len(vectors)} tensors; it must hold {len(shapes)}")
    for index, (vector, shape) in enumerate(zip(vectors, shapes, strict=True)):
        _check_reals(f"{name}[{index}]", vector, shape)


def certainly_negative(margin: Interval) -> Tensor:
    """Where ``margin`` is proved negative. Unbounded, undecided and empty are not proved."""
    return (margin.hi < 0) & (margin.lo <= margin.hi)


@attrs.frozen
class SubCubic:
    """One member of the family.

    >>> SUB_CUBIC[0].name
    'EUPU-global-max-diff-exact--attn-drop-average-query-per-output-logit-reasoning--attn-err-exact-EQKE+max-diff-exact'
    """

    path: DirectPath
    handling: AttentionHandling
    error: AttentionError
    version: int = 1
    family: Family = Family.PUBLISHED
    semantics: Semantics = Semantics.REAL
    witness_type: type[SubCubicWitness] = SubCubicWitness

    @property
    def name(self) -> str:
        """The published name."""
        return f"EUPU-{self.path.name}--attn-{self.handling.name}--attn-err-{self.error.name}"

    @property
    def complexity_class(self) -> ComplexityClass:
        """Of the attention and direct paths; every member also multiplies out EVOU (V²d)."""
        if self.path.exact or self.error.work is Work.EXACT:
            return ComplexityClass.SUB_CUBIC
        return ComplexityClass.QUADRATIC if self.error.work is Work.VECTORS else ComplexityClass.LOW_RANK

    @property
    def description(self) -> str:
        """One line."""
        return f"{self.path.summary}; {self.handling.summary}; {self.error.summary}"

    def unexplained_dimension(self, model: Model) -> int:
        """``V²`` (EVOU) ``+ V`` (PVOU) and what the direct path and the attention error leave."""
        rest = self.path.unexplained_dimension(model) + self.error.unexplained_dimension(model)
        return model.vocab**2 + model.vocab + rest

    def search(self, model: Model) -> SubCubicWitness:
        """Directions from singular vectors, then the best anchors and gaps for them. Untrusted."""
        direct, directions = self.path.propose(model), proposed_directions(model, self.error)
        has_cells = model.vocab > 1 and model.n_ctx > 1
        terms = self.terms(model, direct, directions).floats() if has_cells else None
        anchors, gaps = find_gaps(model, self.handling, terms)
        return SubCubicWitness(direct, directions, anchors, gaps)

    def verify(self, model: Model, witness: SubCubicWitness) -> CertifiedSet:
        """The cells of the witness's gaps whose margin is proved negative, and the sequences m … m.

        Raises:
            WitnessError: a tensor of the wrong shape or dtype, a real that is not finite or above `LARGEST`
                in magnitude, a gap outside 1 … V.
        """
        self.check_witness(model, witness)
        cells = gap_cells(witness.gaps)
        if len(cells):
            parts = cells.parts(_AT_ONCE)
            proved = [certainly_negative(self.margin(model, witness, part)) for part in parts]
            cells = cells.select(torch.cat(proved))
        # For V = 1 there is no wrong token, and `all` over an empty row is true.
        bound = direct_bound(model, self.path, witness.direct)
        alone = certainly_negative(alone_on_max(model) + bound.alone).all(-1)
        return certified_set(cells, alone, model.vocab, model.n_ctx)

    def check_witness(self, model: Model, witness: SubCubicWitness) -> None:
        """Refuse what `verify` must not read.

        Raises:
            WitnessError: see `verify`.
        """
        _check_vectors("direct", witness.direct, self.path.shapes(model))
        _check_vectors("directions", witness.directions, self.error.shapes(model))
        _check_reals("anchors", witness.anchors, [self.handling.anchors, model.vocab])
        check_gaps(witness.gaps, model.vocab, model.n_ctx)

    def margin(self, model: Model, witness: SubCubicWitness, cells: GapCells) -> Interval:
        """For each cell a bound on ``logit[x] − logit[m]`` over all its sequences and all x ≠ m, ``[C]``.

        Negative upper ends prove their cells. The gaps of the witness are not read; ``cells`` has its own.
        """
        terms = self.terms(model, witness.direct, witness.directions)
        return terms.margin(self.handling, Interval.exact(witness.anchors), cells)

    def terms(
        self, model: Model, direct: tuple[Tensor, ...], directions: tuple[Tensor, ...]
    ) -> Terms[Interval]:
        """What margins are computed from, for these witness vectors. Two tokens or more."""
        tables, bound = output_tables(model), direct_bound(model, self.path, direct)
        return Terms(
            tables=tables,
            weights=position_weights(model),
            split=attention_split(model, self.error, directions),
            constant=tables.position if bound.offset is None else tables.position + bound.offset,
            error=bound.error,
        )


SUB_CUBIC: tuple[SubCubic, ...] = tuple(
    SubCubic(path, handling, error)
    for path in DIRECT_PATHS
    for handling in HANDLINGS
    for error in ATTENTION_ERRORS
)
