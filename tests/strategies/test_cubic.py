"""cubic against exhaustive enumeration, with good, bad and adversarial witnesses."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import SetContent
from proofs import cubic
from proofs.cubic import Cubic, CubicWitness
from proofs.model import Model
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.support.drawn import tiny_models
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth, check_certified

STRATEGY = Cubic()


def _witnesses(model: Model, seed: int) -> list[CubicWitness]:
    """Zero, random at several scales, and vectors built to cancel or to swamp the direct path."""
    generator = torch.Generator().manual_seed(seed)
    direct = (model.W_E + model.W_pos[-1]).double() @ model.W_U.double()
    noise = torch.randn(model.vocab, generator=generator, dtype=torch.float64)
    offsets = [
        torch.zeros(model.vocab, dtype=torch.float64),
        noise * 10 ** torch.randint(-3, 8, (), generator=generator).double(),
        direct.amax(0),
        -direct.mean(0) * 3,
        noise * 1e300,
    ]
    return [CubicWitness(offset) for offset in offsets]


@given(tiny_models())
def test_every_certified_cell_is_right(model: Model) -> None:
    check_certified(STRATEGY.verify(model, STRATEGY.search(model)), Truth(model))


@given(tiny_models(), st.integers(0, 2**31))
def test_sound_for_any_witness(model: Model, seed: int) -> None:
    truth = Truth(model)
    for witness in _witnesses(model, seed)[:: 1 + seed % 2]:
        check_certified(STRATEGY.verify(model, witness), truth)


@pytest.mark.extended
@pytest.mark.parametrize("kind", Kind)
def test_many_models(kind: Kind) -> None:
    for seed in range(200):
        model = tiny_model(kind, Sizes(2 + seed % 5, 1 + seed % 4), 5000 + seed)
        truth = Truth(model)
        for witness in [STRATEGY.search(model), *_witnesses(model, seed)]:
            check_certified(STRATEGY.verify(model, witness), truth)


@pytest.mark.parametrize("seed", range(6))
def test_it_proves_something(seed: int) -> None:
    """On models that are mostly right it certifies more than the sequences with one value."""
    model = tiny_model(Kind.SKILLED, Sizes(6, 3), seed)
    truth = Truth(model)
    certified = STRATEGY.verify(model, STRATEGY.search(model))
    check_certified(certified, truth)
    if truth.correct_count > 150:
        assert certified.correct_at_least > truth.correct_count // 3


def test_logits_that_are_all_equal_certify_nothing() -> None:
    """Every bound is exactly 0: a tie, not a win."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 3)
    silent = Model(**{**model.tensors(), "W_U": torch.zeros_like(model.W_U)})
    for witness in (STRATEGY.search(silent), CubicWitness(torch.zeros(4, dtype=torch.float64))):
        assert STRATEGY.verify(silent, witness).correct_at_least == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_token_passes_on_an_undecided_bound(bad: float) -> None:
    harm = torch.tensor([[[-4.0, -4.0], [-3.0, -3.0], [-2.0, -2.0]]], dtype=torch.float64)
    base = torch.full((1,), -1.0, dtype=torch.float64)
    assert cubic._token_sets(harm, base).all()
    assert not cubic._token_sets(harm, base.abs() * bad).any()
    harm[0, 1, 0] = bad
    assert cubic._token_sets(harm, base)[0].tolist() == [[True, False, True]] * 2


def _worst(harm: list[list[float]], tokens: list[int], n: int) -> Fraction:
    """The largest sum over n positions of one token's harm each, by trying all choices."""
    worst = [max(Fraction(harm[t][p]) for t in tokens) for p in range(len(harm[0]))]
    return max(sum(chosen, Fraction(0)) for chosen in itertools.combinations(worst, n))


@given(st.integers(0, 2**31))
def test_token_sets_pass_with_every_mixture(seed: int) -> None:
    """Also where each token passes on its own, and where the sum is 0 within the last place."""
    generator = torch.Generator().manual_seed(seed)
    tokens, positions = 3, 3
    if seed % 2:
        harm = torch.randint(-3, 6, (4, tokens, positions), generator=generator).double()
        base = -torch.randint(1, 9, (4,), generator=generator).double()
    else:
        harm = torch.rand(256, tokens, positions, generator=generator, dtype=torch.float64)
        base = -harm.amax(1).sum(1)
        steps = torch.randint(-1, 2, base.shape, generator=generator)
        base = (base.view(torch.int64) + steps).view(torch.float64)
    allowed = cubic._token_sets(harm, base)
    for q in range(len(base)):
        for n in range(1, positions + 1):
            chosen = allowed[q, n - 1].nonzero()[:, 0].tolist()
            if chosen:
                assert Fraction(base[q].item()) + _worst(harm[q].tolist(), chosen, n) < 0


def test_n_zero_is_exact() -> None:
    """Every class whose one n = 0 sequence is right has that cell."""
    model = tiny_model(Kind.SKILLED, Sizes(5, 3), 1)
    truth, certified = Truth(model), STRATEGY.verify(model, STRATEGY.search(model))
    proved = {
        (e.q, e.m) for e in certified.entries if isinstance(e, SetContent) and any(c.n == 0 for c in e.cells)
    }
    assert proved == {(q, m) for m in range(5) for q in range(m + 1) if (m, m, q) not in truth.failing}


@pytest.mark.parametrize("sizes", [Sizes(1, 1), Sizes(1, 4), Sizes(5, 1), Sizes(2, 2), Sizes(3, 5)])
def test_edge_sizes(sizes: Sizes) -> None:
    model = tiny_model(Kind.SKILLED, sizes, 2)
    truth = Truth(model)
    certified = STRATEGY.verify(model, STRATEGY.search(model))
    check_certified(certified, truth)
    if sizes.vocab == 1:
        assert certified.correct_at_least == 1
    if sizes.n_ctx == 1:
        assert certified.correct_at_least == truth.correct_count


@pytest.mark.parametrize(
    "offset",
    [
        torch.zeros(4, dtype=torch.float64),
        torch.zeros(5, dtype=torch.float32),
        torch.zeros(5, 1, dtype=torch.float64),
        torch.full((5,), math.nan, dtype=torch.float64),
        torch.tensor([0.0, 0.0, math.inf, 0.0, 0.0], dtype=torch.float64),
    ],
)
def test_bad_witnesses_are_refused(offset: torch.Tensor) -> None:
    with pytest.raises(WitnessError, match="witness offset"):
        STRATEGY.verify(tiny_model(Kind.SKILLED, Sizes(5, 3), 0), CubicWitness(offset))


def test_the_witness_survives_the_certificate() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(5, 3), 0)
    witness = STRATEGY.search(model)
    again = witness_from_json(witness_to_json(witness), CubicWitness)
    assert STRATEGY.verify(model, again) == STRATEGY.verify(model, witness)
