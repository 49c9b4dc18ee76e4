"""Hostile witnesses for the family, and a fast check of all its cells against the exact truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import torch
from torch import Tensor

from certkit.exact import Truth
from proofs.model import Model
from proofs.subcubic import STRATEGIES, SubCubic, SubCubicWitness
from proofs.subcubic.cells import GapCells, gap_cells
from proofs.subcubic.errors import LowRank
from proofs.subcubic.polish import Polish

_SCALES = (0.0, 1e-300, 1e-3, 1.0, 30.0, 1e6, 1e8)


def _quick(strategy: SubCubic) -> SubCubic:
    error = strategy.error
    return (
        attrs.evolve(strategy, error=attrs.evolve(error, polish=Polish()))
        if isinstance(error, LowRank)
        else strategy
    )


QUICK = tuple(map(_quick, STRATEGIES))
"""The family without the slow part of its search; verification is the same."""


def model_of(weights: Mapping[str, Tensor]) -> Model:
    return Model.from_tensors(dict(weights))


def all_cells(model: Model) -> GapCells:
    """Every non-empty cell at every gap."""
    shape = (model.vocab, model.vocab, model.n_ctx)
    parts = [gap_cells(torch.full(shape, gap)) for gap in range(1, model.vocab + 1)]
    columns = ([getattr(part, name) for part in parts] for name in ("q", "m", "n", "below"))
    return GapCells(*map(torch.cat, columns))


def first_failure(truth: Truth) -> Tensor:
    """``[V, V, K]`` (q, m, n): the least j such that some failing sequence of the class has all tokens
    other than m at most j; V where nothing fails. A cell with ``below ≥ j`` must never be certified."""
    found = torch.full((truth.vocab, truth.vocab, truth.k), truth.vocab)
    for sequence in truth.failing:
        *others, q = sequence
        m = max(sequence)
        n = sum(token != m for token in others)
        highest = max((token for token in sequence if token != m), default=-1)
        found[q, m, n] = min(int(found[q, m, n]), highest)
    return found


def random_witness(strategy: SubCubic, model: Model, generator: torch.Generator) -> SubCubicWitness:
    """A witness from anywhere: directions and anchors of any size, zeros and single tokens among them."""

    def vector(shape: tuple[int, ...]) -> Tensor:
        scale = _SCALES[int(torch.randint(len(_SCALES), (), generator=generator))]
        values = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        if torch.rand((), generator=generator) < 0.3:
            values = values * (torch.rand(shape, generator=generator) < 0.3)
        return values

    gaps = torch.randint(1, model.vocab + 1, (model.vocab, model.vocab, model.n_ctx), generator=generator)
    return SubCubicWitness(
        direct=tuple(vector(shape) for shape in strategy.path.shapes(model)),
        directions=tuple(vector(shape) for shape in strategy.error.shapes(model)),
        anchors=vector((strategy.handling.anchors, model.vocab)),
        gaps=gaps,
    )


def near_witness(
    strategy: SubCubic, model: Model, witness: SubCubicWitness, generator: torch.Generator
) -> SubCubicWitness:
    """The searched witness, slightly off, with anchors anywhere in and around [0, 1]: bounds stay tight."""

    def nudged(vector: Tensor) -> Tensor:
        size = 10.0 ** float(-6 * torch.rand((), generator=generator))
        return vector * (1 + size * torch.randn(vector.shape, generator=generator, dtype=torch.float64))

    return SubCubicWitness(
        direct=tuple(map(nudged, witness.direct)),
        directions=tuple(map(nudged, witness.directions)),
        anchors=torch.rand(witness.anchors.shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2,
        gaps=torch.ones_like(witness.gaps),
    )


def witnesses(
    strategy: SubCubic, model: Model, generator: torch.Generator
) -> Iterator[tuple[str, SubCubicWitness]]:
    """One of each kind."""
    searched = strategy.search(model)
    yield "searched", searched
    yield "near", near_witness(strategy, model, searched, generator)
    yield "random", random_witness(strategy, model, generator)
