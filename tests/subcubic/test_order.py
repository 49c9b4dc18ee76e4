"""At equal gaps, anchors and splits, an exact choice certifies at least what an approximate one does."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch

from proofs.model import Model, load_model
from proofs.subcubic import SubCubic, SubCubicWitness
from proofs.subcubic.cells import gap_cells
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK

DROPPED = "drop-average-query-per-output-logit-reasoning"
ANCHORED = "mean-query+diff"


def member(path: str, handling: str, error: str) -> SubCubic:
    (found,) = [s for s in QUICK if s.name == f"EUPU-{path}--attn-{handling}--attn-err-{error}"]
    return found


ERRORS = [
    ("max-diff-exact", "max-diff"),
    ("max-diff-exact", "mean+max-diff"),
    ("max-diff-exact", "svd"),
    ("max-diff-subproduct", "max-diff-subproduct-recursive"),
    ("mean+max-diff-subproduct", "mean+max-diff-subproduct-recursive"),
    ("exact-EQKE+max-diff-exact", "max-diff"),
    ("exact-EQKE+max-diff-exact", "max-diff-subproduct"),
]
"""An attention error and one that is no tighter on the same split (exact scores need none)."""


@pytest.fixture(scope="module")
def model(zoo_paths: list[Path]) -> Model:
    return load_model(next(path for path in zoo_paths if path.name.startswith("k4-v64")))


def certified(strategy: SubCubic, model: Model, witness: SubCubicWitness) -> int:
    mine = attrs.evolve(
        witness,
        direct=witness.direct if strategy.path.shapes(model) else (),
        directions=witness.directions if strategy.error.shapes(model) else (),
        anchors=witness.anchors[: strategy.handling.anchors],
    )
    return strategy.verify(model, mine).correct_at_least


def gaps_of_both(tight: SubCubic, loose: SubCubic, model: Model) -> list[SubCubicWitness]:
    """The looser member's witness with its own gaps, with those of the tighter one, and with 5 everywhere."""
    witness, other = loose.search(model), tight.search(model)
    fives = torch.full_like(witness.gaps, 5)
    return [witness, attrs.evolve(witness, gaps=other.gaps), attrs.evolve(witness, gaps=fives)]


@pytest.mark.parametrize(("exact", "approximate"), ERRORS)
@pytest.mark.parametrize("path", ["max-diff-exact", "mean-query+max-diff"])
def test_tighter_attention_errors_certify_more(path: str, exact: str, approximate: str, model: Model) -> None:
    tight, loose = member(path, ANCHORED, exact), member(path, ANCHORED, approximate)
    with Workspace(model):
        for witness in gaps_of_both(tight, loose, model):
            assert certified(tight, model, witness) >= certified(loose, model, witness)


@pytest.mark.parametrize("handling", [ANCHORED, DROPPED])
def test_a_row_range_certifies_more_than_the_range_of_the_table(handling: str, model: Model) -> None:
    exact = "exact-EQKE+max-diff-exact"
    tight, loose = (member(path, handling, exact) for path in ("max-diff-exact", "global-max-diff-exact"))
    with Workspace(model):
        for witness in gaps_of_both(tight, loose, model):
            assert certified(tight, model, witness) >= certified(loose, model, witness) > 0


def test_an_anchor_at_zero_certifies_what_dropping_it_does_and_more_anchors_more(model: Model) -> None:
    anchored, dropped = (member("max-diff-exact", h, "svd") for h in (ANCHORED, DROPPED))
    with Workspace(model):
        witness = dropped.search(model)
        zeros = torch.zeros(anchored.handling.anchors, model.vocab, dtype=torch.float64)
        at_zero = certified(anchored, model, attrs.evolve(witness, anchors=zeros))
        assert at_zero == certified(dropped, model, witness)
        zeros[0] = anchored.search(model).anchors[0]
        assert certified(anchored, model, attrs.evolve(witness, anchors=zeros)) >= at_zero


def test_a_larger_gap_lowers_the_margin_of_a_cell(model: Model) -> None:
    """What makes the smallest passing gap the best; margins are compared as intervals."""
    for strategy in QUICK[::23]:
        with Workspace(model):
            witness = strategy.search(model)
            cells = gap_cells(torch.full_like(witness.gaps, 9))
            smaller = strategy.margin(model, witness, cells)
            larger = strategy.margin(model, witness, cells.with_below(cells.below + 4))
            assert bool(smaller.possibly_le(larger).all())
