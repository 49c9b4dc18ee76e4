"""The margin of a cell is at least every logit difference in it, whatever its sign and whatever the witness.

Stronger than soundness of what is certified: a margin that is too small shows up wherever it is, not only
where it happens to cross 0.
"""

from __future__ import annotations

import functools
from fractions import Fraction

import flint
import pytest
import torch
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from certkit.exact import Truth, truth_of
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.model import Model
from proofs.subcubic import SubCubic
from proofs.subcubic.cells import GapCells
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK, all_cells, model_of, near_witness, random_witness

_BITS = 200


def largest_difference(truth: Truth, sequence: tuple[int, ...]) -> arb:
    """``max_{x≠m} logit[x] − logit[m]`` on one sequence."""
    q, m = sequence[-1], max(sequence)
    weights = [truth.weight(q, token, p, _BITS) for p, token in enumerate(sequence)]
    total = sum(weights, arb(0))
    found: arb | None = None
    for x in range(truth.vocab):
        if x != m:
            slots = enumerate(zip(weights, sequence, strict=True))
            value = sum((w * truth.difference(q, m, t, p, x) for p, (w, t) in slots), arb(0)) / total
            found = value if found is None else found.max(value)
    assert found is not None
    return found


def worst_in_cells(truth: Truth, cells: GapCells) -> list[arb | None]:
    """The largest logit difference in each cell."""
    by_class: dict[tuple[int, int, int], list[tuple[int, arb]]] = {}
    for sequence in truth.sequences():
        *others, q = sequence
        m = max(sequence)
        key = (q, m, sum(token != m for token in others))
        highest = max((token for token in sequence if token != m), default=-1)
        by_class.setdefault(key, []).append((highest, largest_difference(truth, sequence)))
    worst: list[arb | None] = []
    rows = zip(cells.q.tolist(), cells.m.tolist(), cells.n.tolist(), cells.below.tolist(), strict=True)
    for q, m, n, below in rows:
        inside = [value for highest, value in by_class[q, m, n] if highest <= below]
        worst.append(functools.reduce(lambda a, b: a.max(b), inside) if inside else None)
    return worst


def check_margins(strategies: tuple[SubCubic, ...], model: Model, truth: Truth, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cells = all_cells(model)
    with flint.ctx.workprec(_BITS), Workspace(model):
        worst = worst_in_cells(truth, cells)
        for strategy in strategies:
            searched = strategy.search(model)
            for witness in (
                searched,
                near_witness(strategy, model, searched, generator),
                random_witness(strategy, model, generator),
            ):
                upper = strategy.margin(model, witness, cells).hi.tolist()
                for cell, (bound, value) in enumerate(zip(upper, worst, strict=True)):
                    if value is None or bound == float("inf"):
                        continue
                    limit = arb(fmpq(*Fraction(bound).as_integer_ratio()))
                    assert not (value > limit), f"{strategy.name}, cell {cell}: {value} > {bound}"


@settings(max_examples=20)  # each looks at every sequence of a model; the long run is below
@given(st.sampled_from(list(Kind)), st.integers(0, 2**32 - 1))
def test_margins_bound_every_logit_difference(kind: Kind, seed: int) -> None:
    sizes = (Sizes(4, 3), Sizes(5, 2), Sizes(3, 4, 3, 2))[seed % 3]
    weights = tiny_weights(kind, sizes, seed % 997)
    check_margins(QUICK[seed % 25 :: 25], model_of(weights), truth_of(weights), seed)


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(100))
def test_margins_bound_every_logit_difference_long(seed: int) -> None:
    weights = tiny_weights(list(Kind)[seed % len(Kind)], Sizes(4, 3), seed)
    check_margins(QUICK, model_of(weights), truth_of(weights), seed)
