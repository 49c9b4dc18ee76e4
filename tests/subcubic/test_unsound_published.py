"""The published mean+diff step, on the model that shows it to be unsound.

The published code bounds the deviation from the mean attention by ``δ·max_x R_m`` whatever the sign of δ.
For δ < 0 that is a lower bound, not an upper one. The published form lives here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from certkit.exact import truth_of
from proofs.model import load_model
from proofs.subcubic import STRATEGIES, SubCubicWitness
from proofs.subcubic.attention import attention_on_max
from proofs.subcubic.cells import GapCells, gap_cells
from tests.subcubic.support import QUICK

NAME = "EUPU-mean-query+max-diff--attn-mean-query+diff--attn-err-exact-EQKE+max-diff-exact"


@pytest.mark.shared
def test_published_form_certifies_a_failing_cell_and_ours_does_not(reference_dir: Path) -> None:
    model = load_model(reference_dir / "unsound_mean_diff.safetensors")
    strategy = next(s for s in STRATEGIES if s.name == NAME)
    gaps = torch.full((6, 6, 4), 2)
    terms = strategy.terms(model, (), ()).floats()
    # The published mean is over the queries with the same number of tokens other than m, the query included.
    cells = gap_cells(gaps)
    attention = attention_on_max(terms.split, terms.weights, cells)[0]
    same = (cells.m == 2) & (cells.n + cells.query_is_below == 2)
    mean = attention[same].mean()
    here = (cells.q == 2) & (cells.m == 2) & (cells.n == 2)

    def bound(published: bool) -> Tensor:
        delta = attention[here] - mean
        tilt = delta * (terms.tables.slope_max[2] if published or delta > 0 else terms.tables.slope_min[2])
        at_mean = (terms.constant[2] + mean * terms.tables.slope[2]).max()
        return at_mean + tilt + (1 - attention[here]) * terms.tables.spread[0] + terms.error[2]

    assert -3.36 < float(bound(published=True)) < -3.34
    assert 55.1 < float(bound(published=False)) < 55.3

    cell = GapCells(*(torch.tensor([value]) for value in (2, 2, 2, 0)))
    witness = SubCubicWitness((), (), torch.full((3, 6), float(mean), dtype=torch.float64), gaps)
    margin = strategy.margin(model, witness, cell)
    assert 55.1 < float(margin.lo) <= float(margin.hi) < 55.3

    truth = truth_of(model.tensors())
    assert truth.correct_count == 485
    assert {(0, 0, 2, 2), (0, 2, 0, 2), (2, 0, 0, 2)} <= set(truth.failing)


@pytest.mark.shared
def test_no_strategy_claims_more_than_the_truth_there(reference_dir: Path) -> None:
    model = load_model(reference_dir / "unsound_mean_diff.safetensors")
    for strategy in QUICK[::11]:
        assert strategy.verify(model, strategy.search(model)).correct_at_least <= 485
