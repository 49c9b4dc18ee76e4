"""The family on really trained models: enclosures hold the accuracy, poor models included."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofs.accuracy import count_correct
from proofs.model import Model, load_model
from proofs.separable.count import SeparableCount
from proofs.separable.exact import SeparableExact
from proofs.separable.gap import STRATEGIES as GAP
from proofs.separable.tail import SeparableTail
from proofs.separable.union import SeparableUnion
from proofs.training import Recipe, train
from proofs.witness import NoWitness


def check_model(model: Model) -> None:
    """The exact count is that of a float64 enumeration; every other strategy is on the right side of it, and
    what it loses is in proportion to what fails.
    """
    exact = SeparableExact().verify(model, NoWitness())
    assert exact.correct_at_least <= count_correct(model).correct <= exact.correct_at_most
    failing, some = exact.total - exact.correct_at_least, exact.total // 500
    for strategy in (SeparableTail(), SeparableCount(), GAP[0]):
        certified = strategy.verify(model, strategy.search(model))
        assert certified.correct_at_least <= exact.correct_at_least
        if certified.two_sided:
            assert certified.correct_at_most >= exact.correct_at_most
            # a sum over outputs counts a sequence as often as it fails
            assert certified.correct_at_most - certified.correct_at_least <= 4 * failing + some
    united = SeparableUnion().verify(model, SeparableUnion().search(model))
    assert united.correct_at_least <= exact.correct_at_least
    assert united.correct_at_most >= exact.correct_at_most
    assert exact.correct_at_least - united.correct_at_least <= failing // 20 + some // 40


def test_a_trained_model_of_the_zoo(zoo_paths: list[Path]) -> None:
    check_model(load_model(next(path for path in zoo_paths if path.name == "k4-v64-s0.safetensors")))


@pytest.mark.extended
@pytest.mark.parametrize("steps", [300, 1000, 3000])
def test_twenty_trained_models(steps: int) -> None:
    """Models stopped early are poor ones."""
    for model in train(Recipe(n_ctx=4, vocab=64, steps=steps), range(100, 120)).values():
        check_model(model)
