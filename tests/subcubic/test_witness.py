"""Witnesses: what is refused and how it is said, what is stored, degenerate sizes."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
import torch

from certkit.exact import truth_of
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.subcubic import SubCubicWitness
from proofs.subcubic.family import LARGEST
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK, model_of, random_witness

STRATEGY = next(
    s for s in QUICK if s.name == "EUPU-svd-query+max-diff--attn-mean-query+diff--attn-err-max-diff"
)
MODEL = model_of(tiny_weights(Kind.SKILLED, Sizes(4, 3), 1))
NAN, HUGE = float("nan"), 2 * LARGEST


@pytest.fixture(scope="module")
def good() -> SubCubicWitness:
    return STRATEGY.search(MODEL)


Change = Callable[[SubCubicWitness], SubCubicWitness]


def gaps_with(value: int) -> Change:
    def change(witness: SubCubicWitness) -> SubCubicWitness:
        gaps = witness.gaps.clone()
        gaps[1, 2, 0] = value
        return attrs.evolve(witness, gaps=gaps)

    return change


BAD: list[tuple[str, Change]] = [
    (r"gaps\[1, 2, 0\] is 0; it must be between 1 and 4", gaps_with(0)),
    (r"gaps\[1, 2, 0\] is -1; it must be between 1 and 4", gaps_with(-1)),
    (r"gaps\[1, 2, 0\] is 5; it must be between 1 and 4", gaps_with(5)),
    (r"gaps is torch.int32", lambda w: attrs.evolve(w, gaps=w.gaps.int())),
    (r"gaps is torch.bool", lambda w: attrs.evolve(w, gaps=w.gaps > 0)),
    (r"gaps is torch.float64", lambda w: attrs.evolve(w, gaps=w.gaps.double())),
    (r"gaps is .* shape \[4, 4, 2\]", lambda w: attrs.evolve(w, gaps=w.gaps[..., :2])),
    (r"anchors is .* shape \[2, 4\]", lambda w: attrs.evolve(w, anchors=w.anchors[:2])),
    (
        r"anchors\[0, 0\] is nan; every value must be finite",
        lambda w: attrs.evolve(w, anchors=w.anchors * NAN),
    ),
    (r"anchors\[0, 0\] is .*; it must be between", lambda w: attrs.evolve(w, anchors=w.anchors * 0 + HUGE)),
    (r"direct holds 0 tensors; it must hold 1", lambda w: attrs.evolve(w, direct=())),
    (r"direct\[0\]\[0\] is inf", lambda w: attrs.evolve(w, direct=(torch.full((4,), torch.inf).double(),))),
    (r"direct\[0\] is .* shape \[1, 4\]", lambda w: attrs.evolve(w, direct=(w.direct[0][None],))),
    (r"directions holds 1 tensors; it must hold 2", lambda w: attrs.evolve(w, directions=w.directions[:1])),
    (
        r"directions\[1\] is torch.float32",
        lambda w: attrs.evolve(w, directions=(w.directions[0], w.directions[1].float())),
    ),
    (
        r"directions\[0\]\[0\] is -8589934592.0; it must be between",
        lambda w: attrs.evolve(w, directions=(torch.full((4,), -HUGE).double(), w.directions[1])),
    ),
]


@pytest.mark.parametrize(("message", "change"), BAD, ids=[message for message, _ in BAD])
def test_bad_witnesses_are_refused(message: str, change: Change, good: SubCubicWitness) -> None:
    with pytest.raises(WitnessError, match=message):
        STRATEGY.verify(MODEL, change(good))


def test_a_witness_survives_the_file() -> None:
    for strategy in QUICK[::13]:
        witness = strategy.search(MODEL)
        back = witness_from_json(witness_to_json(witness), strategy.witness_type)
        assert strategy.verify(MODEL, back) == strategy.verify(MODEL, witness)


def test_the_largest_reals_are_verified_without_overflow() -> None:
    """The limit on reals is what keeps products in range, whatever the weights."""
    weights = {
        name: tensor * 0 + 2.0**126 for name, tensor in tiny_weights(Kind.SKILLED, Sizes(3, 2), 0).items()
    }
    model = model_of(weights)
    for strategy in QUICK[9::20] + QUICK[2::20] + QUICK[5::20]:
        witness = random_witness(strategy, model, torch.Generator().manual_seed(1))
        full = attrs.evolve(
            witness,
            direct=tuple(torch.full_like(v, LARGEST) for v in witness.direct),
            directions=tuple(torch.full_like(v, -LARGEST) for v in witness.directions),
            anchors=torch.full_like(witness.anchors, LARGEST),
            gaps=torch.ones_like(witness.gaps),
        )
        assert strategy.verify(model, full).correct_at_least == 0


@pytest.mark.parametrize("sizes", [Sizes(1, 1), Sizes(1, 3), Sizes(3, 1), Sizes(2, 1), Sizes(2, 2, 1, 1)])
def test_degenerate_sizes(sizes: Sizes) -> None:
    weights = tiny_weights(Kind.SKILLED, sizes, 3)
    model, truth = model_of(weights), truth_of(weights)
    for strategy in QUICK[:: 1 if sizes.vocab == 1 or sizes.n_ctx == 1 else 3]:
        with Workspace(model):
            certified = strategy.verify(model, strategy.search(model))
        assert certified.correct_at_least <= truth.correct_count
        if sizes.vocab == 1:
            assert certified.correct_at_least == 1
        if sizes.n_ctx == 1 and strategy.path.exact:
            assert certified.correct_at_least == truth.correct_count


def test_gaps_that_claim_nothing_certify_only_the_equal_sequences(good: SubCubicWitness) -> None:
    nothing = attrs.evolve(good, gaps=torch.full_like(good.gaps, MODEL.vocab))
    for entry in STRATEGY.verify(MODEL, nothing).entries:
        assert entry.q == entry.m
        assert entry.correct_at_least(MODEL.n_ctx) == 1
