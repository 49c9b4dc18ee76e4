"""The exact oracle against a plain forward pass in ball arithmetic, and the zoo's known facts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import flint
import pytest
from flint import arb, arb_mat
from torch import Tensor

from certkit.exact import Truth, truth_of
from certkit.testing.models import Kind, Sizes, tiny_weights
from certkit.testing.zoo import Specimen, zoo


def _mat(tensor: Tensor) -> arb_mat:
    rows = tensor.double().tolist()
    return arb_mat([[arb(value) for value in row] for row in rows])


def forward(weights: Mapping[str, Tensor], sequence: tuple[int, ...]) -> list[arb]:
    """Logits by the model's definition: no folded tables, softmax by division."""
    w = {name: _mat(tensor) for name, tensor in weights.items()}
    width, heads = w["W_E"].ncols(), w["W_Q"].ncols()
    residual = arb_mat(
        [[w["W_E"][t, j] + w["W_pos"][p, j] for j in range(width)] for p, t in enumerate(sequence)]
    )
    scores = (residual * w["W_Q"]) * (residual * w["W_K"]).transpose() * (1 / arb(heads).sqrt())
    last = len(sequence) - 1
    exps = [scores[last, p].exp() for p in range(len(sequence))]
    attention = arb_mat([[e / sum(exps, arb(0)) for e in exps]])
    head = attention * residual * w["W_V"] * w["W_O"]
    final = arb_mat([[residual[last, j] + head[0, j] for j in range(width)]]) * w["W_U"]
    return [final[0, x] for x in range(final.ncols())]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("sizes", [Sizes(3, 3), Sizes(2, 4, 3, 2), Sizes(4, 1)])
def test_truth_is_the_forward_pass(kind: Kind, sizes: Sizes) -> None:
    weights = tiny_weights(kind, sizes, seed=5)
    truth = Truth(weights)
    with flint.ctx.workprec(4000):
        for sequence in truth.sequences():
            logits, m = forward(weights, sequence), max(sequence)
            for x in range(sizes.vocab):
                if x != m:
                    margin = logits[x] - logits[m]
                    expected = 1 if margin > 0 else -1 if margin < 0 else 0
                    assert truth.sign(sequence, x) == expected, (sequence, x, margin)


def test_ties_are_recognised_and_wrong() -> None:
    weights = tiny_weights(Kind.INTEGER, Sizes(3, 3), seed=0)
    weights["W_U"][:, 2] = weights["W_U"][:, 1]
    truth = Truth(weights)
    assert all(truth.sign(s, 1) == 0 for s in truth.sequences() if max(s) == 2)
    assert all(s in truth.failing for s in truth.sequences() if max(s) >= 1)


def _named(name: str) -> Specimen:
    return next(specimen for specimen in zoo() if specimen.name == name)


def test_zoo_is_sorted_small_and_named_once() -> None:
    sizes = [specimen.sequences for specimen in zoo()]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 8**4
    assert len({specimen.name for specimen in zoo()}) == len(zoo())


@pytest.mark.parametrize(
    ("name", "correct"),
    [
        ("one-token", 1),
        ("constant-v5-k3", 0),
        ("saturated-v5-k3", 125),
        ("equal-columns-v3-k2", 1),
        ("zero-attention-v3-k2", 3),
    ],
)
def test_zoo_facts(name: str, correct: int) -> None:
    """Counts one can do by hand: all tie, all right, only 0…0 right, only t…t right."""
    assert _named(name).truth.correct_count == correct


def test_one_ulp_decides() -> None:
    """Neighbouring weights give different accuracies: no float prover can tell them apart."""
    below, above = (_named(f"edge-of-attention{s}-v6-k4").truth.correct_count for s in ("-1", "+1"))
    assert below != above
    assert (
        _named("equal-columns-v6-k4").truth.correct_count
        < _named("one-ulp-columns-v6-k4").truth.correct_count
    )


def test_truth_is_remembered() -> None:
    weights = tiny_weights(Kind.SHARP, Sizes(3, 2), seed=1)
    assert truth_of(weights) is truth_of({name: tensor.clone() for name, tensor in weights.items()})


def test_every_sequence_is_decided() -> None:
    truth = Truth(tiny_weights(Kind.SKILLED, Sizes(3, 3), seed=2))
    assert list(truth.sequences()) == list(product(range(3), repeat=3))
    assert truth.accuracy * truth.total == truth.correct_count
