"""brute-force against exhaustive enumeration in exact arithmetic."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import attrs
import pytest
import torch
from hypothesis import given

from certkit.certificate import SetContent
from certkit.interval import Interval
from proofs import brute_force
from proofs.brute_force import BruteForce
from proofs.model import Model, load_model
from proofs.paths import path_tables
from proofs.strategy import StrategyError
from proofs.weights import attention_weights
from proofs.witness import NoWitness
from tests.support.drawn import tiny_models
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth, check_certified

STRATEGY = BruteForce()


def check_model(model: Model) -> tuple[int, int]:
    """Certified sequences are right, and the others are listed; returns the certified and the true count."""
    truth = Truth(model)
    certified = STRATEGY.verify(model, NoWitness())
    found = check_certified(certified, truth)
    listed = sum(
        len(box.exceptions) for e in certified.entries if isinstance(e, SetContent) for box in e.boxes
    )
    assert len(found) + listed == model.total
    if certified.two_sided:
        assert certified.correct_at_least == certified.correct_at_most == truth.correct_count
    return len(found), truth.correct_count


@given(tiny_models())
def test_every_certified_sequence_is_right(model: Model) -> None:
    check_model(model)


@pytest.mark.parametrize("kind", [Kind.GAUSSIAN, Kind.SKILLED, Kind.HUGE])
@pytest.mark.parametrize("seed", range(4))
def test_exact_where_there_are_no_ties(kind: Kind, seed: int) -> None:
    found, correct = check_model(tiny_model(kind, Sizes(6, 3), seed))
    assert found == correct


def test_four_positions() -> None:
    found, correct = check_model(tiny_model(Kind.SKILLED, Sizes(6, 4), 11))
    assert found == correct
    assert correct > 0


@pytest.mark.extended
@pytest.mark.parametrize("kind", Kind)
def test_many_models(kind: Kind) -> None:
    for seed in range(200):
        check_model(tiny_model(kind, Sizes(2 + seed % 5, 1 + seed % 4), 1000 + seed))


def test_a_tie_is_not_certified_and_leaves_the_claim_one_sided() -> None:
    """Two equal output columns: no sequence whose maximum is one of them can be right."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 3)
    tied = {name: tensor.clone() for name, tensor in model.tensors().items()}
    tied["W_U"][:, 3] = tied["W_U"][:, 2]
    certified = STRATEGY.verify(Model(**tied), NoWitness())
    for entry in certified.entries:
        if entry.m in (2, 3):
            assert entry.correct_at_least(3) == 0
    assert not certified.two_sided


def test_logits_that_are_all_equal_certify_nothing() -> None:
    """Every difference is exactly 0: a tie, not a win."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 3)
    silent = Model(**{**model.tensors(), "W_U": torch.zeros_like(model.W_U)})
    certified = STRATEGY.verify(silent, NoWitness())
    assert certified.correct_at_least == certified.correct_at_most == 0


def test_what_overflows_is_not_certified() -> None:
    """Where float64 itself overflows, no comparison is decided."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 3)
    paths, weights = path_tables(model), attention_weights(model)
    nowhere = Interval.hull(torch.full((4, 4), -math.inf), torch.full((4, 4), math.inf))
    for name in ("EVOU", "EUPU"):
        for q in range(4):
            broken = attrs.evolve(paths, **{name: nowhere})
            verdicts = brute_force._first_look(brute_force._query_tables(broken, weights, q), 4)
            assert verdicts.wrong.numel() == 0
            assert verdicts.open.tolist() == list(range(16))
            tokens, undecided = brute_force._settle(broken, weights, q, verdicts)
            assert len(tokens) == undecided == 16


def test_differences_that_are_exactly_zero_are_ties() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 3)
    weights, silent = attention_weights(model), Interval.exact(torch.zeros(4, 4))
    paths = attrs.evolve(path_tables(model), EVOU=silent, EUPU=silent, PVOU=silent[:3])
    right, wrong = brute_force._second_look(paths, weights, 1, torch.tensor([[0, 2, 1], [3, 3, 1]]))
    assert not right.any()
    assert wrong.all()


@pytest.mark.parametrize("kind", Kind)
def test_both_looks_alone_reach_the_same_verdicts(kind: Kind) -> None:
    """Neither contradicts the other, and neither contradicts the truth."""
    model = tiny_model(kind, Sizes(5, 3), 5)
    truth, paths, weights = Truth(model), path_tables(model), attention_weights(model)
    for q in range(5):
        first = brute_force._first_look(brute_force._query_tables(paths, weights, q), 5)
        others = brute_force._tokens_of(torch.arange(25), 5, 2)
        right, wrong = brute_force._second_look(
            paths, weights, q, torch.cat([others, torch.full((25, 1), q)], 1)
        )
        for i, tokens in enumerate(others.tolist()):
            correct = truth.correct((*tokens, q))
            assert not (right[i] and not correct)
            assert not (wrong[i] and correct)
            assert not (i in first.wrong.tolist() and correct)
            assert correct or i in [*first.wrong.tolist(), *first.open.tolist()]


@pytest.mark.parametrize("block", [1, 2**18])
def test_float_sums_stay_within_their_error(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Tables of points: all of the error is that of adding four floats."""
    monkeypatch.setattr(brute_force, "_BLOCK", block)
    generator = torch.Generator().manual_seed(1)
    points = [torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (3, 3, 3, 1)]
    rows, errors = zip(*(brute_force._centre(Interval.exact(table), 4) for table in points), strict=True)
    exact = [[list(map(Fraction, row)) for row in table.tolist()] for table in points]
    blocks = list(brute_force._blocks(brute_force._QueryTables(0, rows, errors), 3))
    computed, error = (torch.cat([part[i] for part in blocks]).tolist() for i in (0, 1))
    rounded = 0
    for number, tokens in enumerate(itertools.product(range(3), repeat=3)):
        for x in range(3):
            true = sum((exact[p][t][x] for p, t in enumerate((*tokens, 0))), Fraction(0))
            assert abs(Fraction(computed[number][x]) - true) <= Fraction(error[number])
            rounded += computed[number][x] != true
    assert rounded > 20


@pytest.mark.parametrize("sizes", [Sizes(1, 1), Sizes(1, 4), Sizes(5, 1), Sizes(2, 2), Sizes(9, 2)])
def test_edge_sizes(sizes: Sizes) -> None:
    found, correct = check_model(tiny_model(Kind.SKILLED, sizes, 2))
    assert found == correct
    assert sizes.vocab > 1 or found == 1


def test_blocks_of_every_shape_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 4), 7)
    whole = STRATEGY.verify(model, NoWitness())
    for block in (1, 70, 300):
        monkeypatch.setattr(brute_force, "_BLOCK", block)
        assert STRATEGY.verify(model, NoWitness()) == whole


def test_too_many_sequences_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 0)
    monkeypatch.setattr(brute_force, "MOST_SEQUENCES", 63)
    with pytest.raises(StrategyError, match=r"all 4\^3 = 64 sequences, more than 63; use 'cubic'"):
        STRATEGY.search(model)
    with pytest.raises(StrategyError):
        STRATEGY.verify(model, NoWitness())


def test_too_many_exceptions_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brute_force, "MOST_EXCEPTIONS", 3)
    with pytest.raises(StrategyError, match="use 'cubic' for a model this poor"):
        STRATEGY.verify(tiny_model(Kind.GAUSSIAN, Sizes(4, 3), 0), NoWitness())


@pytest.mark.shared
def test_the_unsound_example(reference_dir: object) -> None:
    certified = STRATEGY.verify(load_model(f"{reference_dir}/unsound_mean_diff.safetensors"), NoWitness())
    assert (certified.correct_at_least, certified.correct_at_most, certified.total) == (485, 485, 1296)
    assert certified.two_sided
