"""What once was certified wrongly is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofs.model import Model
from proofs.strategy import strategies
from tests.separable.classes import ClassTruth, check_certified
from tests.separable.regressions import distant_powers, overflowing_attention

MODELS = (overflowing_attention, distant_powers)


@pytest.mark.parametrize("made", MODELS, ids=lambda made: made.__name__)
def test_no_strategy_certifies_it_wrongly(made: Callable[[], Model]) -> None:
    model = made()
    truth = ClassTruth(model)
    assert truth.fails
    chosen = [strategy for strategy in strategies() if strategy.semantics == "real"]
    assert len(chosen) > 100
    for strategy in chosen:
        check_certified(strategy.verify(model, strategy.search(model)), truth)
