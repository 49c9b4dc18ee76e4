"""No certified cell contains a misclassified sequence, whatever the witness: against exact enumeration."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
import torch

from certkit.exact import truth_of
from certkit.testing.check import check_certified
from certkit.testing.models import Kind, Sizes, tiny_weights
from certkit.testing.zoo import zoo
from proofs.subcubic import SubCubic
from proofs.subcubic.family import certainly_negative
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK, all_cells, first_failure, model_of, witnesses

_SIZES = (Sizes(4, 3), Sizes(5, 2), Sizes(3, 4, 3, 2), Sizes(2, 3, 2, 1), Sizes(4, 3, 6, 5))


def check_all_gaps(strategies: tuple[SubCubic, ...], kind: Kind, sizes: Sizes, seed: int) -> int:
    """Every cell at every gap, for each strategy and witness; returns how many cells were certified."""
    weights = tiny_weights(kind, sizes, seed)
    model, first = model_of(weights), first_failure(truth_of(weights))
    cells, generator = all_cells(model), torch.Generator().manual_seed(seed)
    fails = cells.below >= first[cells.q, cells.m, cells.n]
    certified = 0
    with Workspace(model):
        for strategy in strategies:
            for name, witness in witnesses(strategy, model, generator):
                proved = certainly_negative(strategy.margin(model, witness, cells))
                wrong = proved & fails
                assert not bool(wrong.any()), (
                    f"{strategy.name} with a {name} witness certifies a failing cell on {kind} {sizes} "
                    f"seed {seed}: q, m, n, below = "
                    f"{[t[wrong][0].item() for t in (cells.q, cells.m, cells.n, cells.below)]}"
                )
                certified += int(proved.sum())
    return certified


@pytest.mark.parametrize("kind", list(Kind))
def test_no_failing_cell_is_certified(kind: Kind) -> None:
    seed = list(Kind).index(kind)
    sizes = (_SIZES[seed % len(_SIZES)], _SIZES[(seed + 3) % len(_SIZES)])
    certified = sum(
        check_all_gaps(QUICK[(seed + 5 * i) % 10 :: 10], kind, size, 1000 * seed + i)
        for i, size in enumerate(sizes)
    )
    assert certified > 0 or kind in {Kind.GAUSSIAN, Kind.INTEGER, Kind.SUBNORMAL}


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(200))
def test_no_failing_cell_is_certified_long(seed: int) -> None:
    kinds = list(Kind)
    check_all_gaps(QUICK, kinds[seed % len(kinds)], _SIZES[seed % len(_SIZES)], 7919 * seed + 1)


def test_the_zoo_is_never_overclaimed() -> None:
    """Every specimen with strategies in turn, so that all hundred come up."""
    turn = cycle(QUICK)
    for specimen in (specimen for specimen in zoo() if specimen.sequences <= 256):
        model = model_of(specimen.weights)
        with Workspace(model):
            for strategy in islice(turn, 5):
                content = strategy.verify(model, strategy.search(model))
                broken = next(check_certified(content, specimen.truth), None)
                assert broken is None, f"{strategy.name} on {specimen.name}: {broken}"
