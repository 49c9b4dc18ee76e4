"""``separable-exact`` and ``separable-tail`` against exhaustive exact enumeration, adversarial witnesses
included.
"""

from __future__ import annotations

import math

import attrs
import pytest
import torch

from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable import numerator
from proofs.separable import tail as tail_module
from proofs.separable.alive import alive_terms
from proofs.separable.counted import scale_up
from proofs.separable.exact import LIMIT, SeparableExact, failing_sequences
from proofs.separable.multipliers import multipliers
from proofs.separable.tail import SeparableTail, TailWitness
from proofs.strategy import StrategyError
from proofs.witness import NoWitness, WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

EXACT, TAIL = SeparableExact(), SeparableTail()
SEEDS = range(40)
ROBUST = (Kind.SKILLED, Kind.TWIN)


@pytest.mark.parametrize("seed", SEEDS)
def test_tiny_models(seed: int) -> None:
    model = some_model(seed)
    truth = ClassTruth(model)
    check_certified(EXACT.verify(model, NoWitness()), truth)
    found = TAIL.search(model)
    check_certified(TAIL.verify(model, found), truth)
    generator = torch.Generator().manual_seed(seed)
    for power in (-3.0, 0.0, 3.0):
        factor = torch.exp(power * torch.randn(found.q.shape, generator=generator, dtype=torch.float64))
        check_certified(TAIL.verify(model, attrs.evolve(found, multiplier=found.multiplier * factor)), truth)
    check_certified(TAIL.verify(model, attrs.evolve(found, multiplier=0 * found.multiplier)), truth)


@pytest.mark.extended
@pytest.mark.parametrize("block", range(20))
def test_many_tiny_models(block: int) -> None:
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        test_tiny_models(seed)


@pytest.mark.parametrize("seed", range(40))
def test_exact_is_exact_away_from_ties(seed: int) -> None:
    model = some_model(seed, kinds=(Kind.SKILLED,))
    certified = EXACT.verify(model, NoWitness())
    correct = ClassTruth(model).correct
    assert certified.two_sided
    assert certified.correct_at_least == certified.correct_at_most == correct


def test_one_token_or_one_position() -> None:
    for sizes in (Sizes(1, 3), Sizes(4, 1), Sizes(2, 1)):
        model = tiny_model(Kind.SKILLED, sizes, 3)
        truth = ClassTruth(model)
        exact = EXACT.verify(model, NoWitness())
        check_certified(exact, truth)
        assert exact.correct_at_least == truth.correct
        check_certified(TAIL.verify(model, TAIL.search(model)), truth)
    assert EXACT.verify(tiny_model(Kind.GAUSSIAN, Sizes(1, 4), 0), NoWitness()).correct_at_least == 1


def test_a_tie_is_wrong() -> None:
    model = Model(
        W_E=torch.zeros(3, 2),
        W_pos=torch.zeros(2, 2),
        W_Q=torch.zeros(2, 2),
        W_K=torch.zeros(2, 2),
        W_V=torch.zeros(2, 2),
        W_O=torch.zeros(2, 2),
        W_U=torch.zeros(2, 3),
    )
    certified = EXACT.verify(model, NoWitness())
    assert certified.correct_at_least == 0
    assert TAIL.verify(model, TAIL.search(model)).correct_at_least == 0


def failing_model() -> tuple[Model, ClassTruth]:
    """A tiny model in which some sequences fail, but not most."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth = ClassTruth(model)
    assert 0 < 64 - truth.correct < 40
    return model, truth


@pytest.mark.parametrize("value", [-1e-300, -1.0, math.nan, math.inf, -math.inf])
def test_bad_multipliers_are_refused(value: float) -> None:
    model, _ = failing_model()
    witness = TAIL.search(model)
    bad = witness.multiplier.clone()
    bad[-1] = value
    with pytest.raises(WitnessError, match="multiplier"):
        TAIL.verify(model, attrs.evolve(witness, multiplier=bad))


def test_bad_triples_are_refused() -> None:
    model, _ = failing_model()
    witness = TAIL.search(model)
    for change in (
        {"x": witness.x + 4},
        {"m": -witness.m - 1},
        {"q": witness.q.flip(0), "m": witness.m.flip(0), "x": witness.x.flip(0)},
        {"q": 0 * witness.q, "m": 0 * witness.m, "x": 0 * witness.x},
        {"multiplier": witness.multiplier[1:]},
        {"multiplier": witness.multiplier.float()},
        {"q": witness.q[None], "m": witness.m[None], "x": witness.x[None]},
    ):
        with pytest.raises(WitnessError):
            TAIL.verify(model, attrs.evolve(witness, **change))


def test_a_missing_multiplier_costs_its_class() -> None:
    model, truth = failing_model()
    witness = TAIL.search(model)
    less = TailWitness(*(column[1:] for column in (witness.q, witness.m, witness.x, witness.multiplier)))
    certified = TAIL.verify(model, less)
    check_certified(certified, truth)
    assert (int(witness.q[0]), int(witness.m[0])) not in {(e.q, e.m) for e in certified.entries}


def test_witness_survives_paper() -> None:
    model, _ = failing_model()
    witness = TAIL.search(model)
    again = witness_from_json(witness_to_json(witness), TailWitness)
    assert TAIL.verify(model, again) == TAIL.verify(model, witness)


def test_negative_multipliers_would_be_unsound() -> None:
    """What `TailWitness.checked` refuses is really false: with λ < 0 the bound falls below the truth."""
    model, truth = failing_model()
    unsound = 0
    for query, blocks in alive_terms(path_tables(model)):
        q = query.q
        for terms in blocks:
            bounds = tail_module.failing_upper(terms, -multipliers(terms, q) * 3, q)
            for m, x, bound in zip(terms.m.tolist(), terms.x.tolist(), bounds.tolist(), strict=True):
                unsound += bound < len(truth.fails[q, m][x])
    assert unsound > 0


def test_scale_up_takes_the_end_of_the_weight_that_the_sign_asks_for() -> None:
    lower, upper = torch.tensor([0.5, 0.5, 0.5, 0.0]).double(), torch.tensor([2.0, 2.0, 2.0, 0.0]).double()
    value = torch.tensor([3.0, -3.0, -torch.inf, -torch.inf]).double()
    assert scale_up(lower, upper, value).tolist() == [6.0, -1.5, -torch.inf, -torch.inf]


@pytest.mark.parametrize("part", ["query", "positions"])
def test_a_dropped_part_is_seen_to_fail(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the query's own term out, or the position weights, certifies misclassified sequences."""
    honest = numerator.terms_of

    def mutant(paths, query, m, x, sign=1):
        if part == "positions":
            one = torch.ones_like(query.position_lower)
            return honest(paths, attrs.evolve(query, position_lower=one, position_upper=one), m, x, sign)
        terms = honest(paths, query, m, x, sign)
        return attrs.evolve(terms, query_upper=terms.query_upper - terms.query_upper.abs())

    monkeypatch.setattr("proofs.separable.alive.terms_of", mutant)
    caught = 0
    for seed in range(40):
        model = some_model(seed, kinds=ROBUST)
        try:
            check_certified(EXACT.verify(model, NoWitness()), ClassTruth(model))
        except AssertionError:
            caught += 1
    assert caught > 0


def test_the_condition_on_m_matters() -> None:
    """With q < m the classes hold an m; the listed failures are exactly those that do."""
    model, truth = failing_model()
    for query, blocks in alive_terms(path_tables(model)):
        q = query.q
        for terms in blocks:
            row, tokens, gone = failing_sequences(terms, q)
            assert not gone.any()
            for r, (m, x) in enumerate(zip(terms.m.tolist(), terms.x.tolist(), strict=True)):
                assert set(map(tuple, tokens[row == r].tolist())) == truth.fails[q, m][x]
            few, _, over = failing_sequences(terms, q, limit=0)
            assert len(few) == 0
            assert over.tolist() == [
                bool(truth.fails[q, m][x]) for m, x in zip(terms.m.tolist(), terms.x.tolist(), strict=True)
            ]


def test_out_of_reach_names_another_strategy() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(6, 20), 0)
    with pytest.raises(StrategyError, match="separable-tail"):
        EXACT.search(model)
    with pytest.raises(StrategyError, match="separable-tail"):
        EXACT.verify(model, NoWitness())
    assert LIMIT > 0
