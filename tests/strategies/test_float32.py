"""Claims about execution in binary32: no execution contradicts them, and they are nearly as strong."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import CertifiedSet, SetContent
from certkit.executing import executors, is_correct
from certkit.interval import Interval
from proofs import execution
from proofs.execution import tables
from proofs.model import Model, load_model
from proofs.proving import prove
from proofs.strategy import Semantics, StrategyError, find
from proofs.weights import ScaledWeights
from proofs.witness import NoWitness
from tests.support.drawn import tiny_models
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.sampling import sample_members
from tests.support.truth import Truth, members

NAMES = ["brute-force", "cubic"]


def _certified(model: Model, name: str) -> CertifiedSet:
    strategy = find(name, Semantics.FLOAT32)
    return strategy.verify(model, strategy.search(model))


def _check(model: Model, seed: int) -> int:
    """Every certified sequence is right in every execution; returns how many there are."""
    found = 0
    for name in NAMES:
        try:
            certified = _certified(model, name)
        except StrategyError:
            continue
        sequences = [
            s for e in certified.entries if isinstance(e, SetContent) for s in members(e, model.n_ctx)
        ]
        if sequences:
            tokens = np.array(sequences)
            for executor in executors(seed):
                right = is_correct(executor.logits(model.tensors(), tokens), tokens)
                assert right.all(), f"{name}: {tokens[~right][0]} fails with {executor}"
        found += len(sequences)
    return found


@given(tiny_models(), st.integers(0, 1000))
def test_no_execution_contradicts_a_claim(model: Model, seed: int) -> None:
    with np.errstate(all="ignore"):
        _check(model, seed)


@pytest.mark.extended
@pytest.mark.parametrize("kind", Kind)
def test_no_execution_contradicts_a_claim_on_many_models(kind: Kind) -> None:
    with np.errstate(all="ignore"):
        for seed in range(150):
            _check(
                tiny_model(kind, Sizes(2 + seed % 5, 1 + seed % 4, 1 + seed % 8, 1 + seed % 5), seed), seed
            )


def test_margins_within_rounding_are_not_claimed() -> None:
    """Output columns one unit in the last place apart: right in the reals, not in every execution."""
    sequences = fewer = 0
    for seed in range(20):
        model = tiny_model(Kind.NEAR_TWIN, Sizes(4, 3), seed)
        real = find("brute-force").verify(model, NoWitness()).correct_at_least
        executed = _certified(model, "brute-force").correct_at_least
        assert executed <= real
        sequences, fewer = sequences + real, fewer + (executed < real)
    assert sequences > 0
    assert fewer > 0


@given(tiny_models(), st.integers(0, 1000))
def test_scores_stay_within_their_bound(model: Model, seed: int) -> None:
    """Half of the bound would do: the other half is slack for other derivations."""
    truth, paths = Truth(model), tables(model, Semantics.REAL).paths
    score = paths.EQKE[:, :, None] + paths.EQKP[:, None, :]
    try:
        error = execution._score_error(model).hi / 2
    except StrategyError:
        return
    tokens = np.array(list(truth.sequences()))
    where = (torch.from_numpy(tokens[:, -1:]), torch.from_numpy(tokens), torch.arange(model.n_ctx))
    w = {name: tensor.numpy() for name, tensor in model.tensors().items()}
    with np.errstate(all="ignore"):
        for executor in executors(seed)[::5]:
            computed = torch.from_numpy(executor._scores(w, w["W_E"][tokens] + w["W_pos"])).double()
            assert bool((computed >= score.lo[where] - error[where]).all())
            assert bool((computed <= score.hi[where] + error[where]).all())


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.HUGE])
@pytest.mark.parametrize("seed", range(3))
def test_exponentials_stay_within_the_weights(kind: Kind, seed: int) -> None:
    """Up to a factor common to a sequence, computed exponentials lie within half of the widening."""
    model = tiny_model(kind, Sizes(4, 3, 8, 4), seed)
    tokens = np.array(list(Truth(model).sequences()))
    where = (torch.from_numpy(tokens[:, -1:]), torch.from_numpy(tokens), torch.arange(3))
    real, executed = (
        tables(model, semantics).weights[where] for semantics in (Semantics.REAL, Semantics.FLOAT32)
    )
    half = (executed.significand.hi / real.significand.lo).sqrt()
    scaled = ScaledWeights(real.significand * Interval.hull(1 / half, half), real.exponent)
    weights = scaled.over(real.exponent.amax(1, keepdim=True))
    w = {name: tensor.numpy() for name, tensor in model.tensors().items()}
    for executor in executors(seed):
        scores = executor._scores(w, w["W_E"][tokens] + w["W_pos"])
        computed = torch.from_numpy(executor._exp(scores - scores.max(1, keepdims=True))).double()
        normal = (computed >= 2.0**-125) & (weights.lo > 0)
        least = torch.where(normal, computed / weights.hi, 0.0).amax(1)
        most = torch.where(normal, computed / weights.lo, torch.inf).amin(1)
        assert bool((least <= most).all()), executor


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.HUGE])
@pytest.mark.parametrize("seed", range(3))
def test_logits_stay_within_their_bound(kind: Kind, seed: int) -> None:
    """Computed logits are mixtures, by the computed exponentials, of numbers from the tables' middle half."""
    model = tiny_model(kind, Sizes(4, 3, 8, 4), seed)
    real, executed = (tables(model, semantics).paths for semantics in (Semantics.REAL, Semantics.FLOAT32))
    tokens = np.array(list(Truth(model).sequences()))
    key, query = torch.from_numpy(tokens), torch.from_numpy(tokens[:, -1:])
    w = {name: tensor.numpy() for name, tensor in model.tensors().items()}

    def half(name: str) -> Interval:
        middle, wide = getattr(real, name), getattr(executed, name).wid() / 4
        return middle + Interval.hull(-wide, wide)

    values = half("EVOU")[key] + half("PVOU") + half("EUPU")[query]
    closest = 0.0
    for executor in executors(seed):
        scores = executor._scores(w, w["W_E"][tokens] + w["W_pos"])
        exponentials = Interval.exact(torch.from_numpy(executor._exp(scores - scores.max(1, keepdims=True))))
        share = exponentials / exponentials.sum(1, keepdim=True)
        bound = (share[:, :, None] * values).sum(1)
        computed = torch.from_numpy(executor.logits(model.tensors(), tokens)).double()
        assert bool(((computed >= bound.lo) & (computed <= bound.hi)).all()), executor
        reached = (computed - (bound.lo + bound.hi) / 2).abs() / (bound.hi - bound.lo)
        closest = max(closest, float(reached.max()))
    assert closest > 0.002, "a bound a thousand times too wide tests nothing"


@given(tiny_models())
def test_tables_contain_those_of_the_reals(model: Model) -> None:
    try:
        executed = tables(model, Semantics.FLOAT32)
    except StrategyError:
        return
    real = tables(model, Semantics.REAL)
    for name in ("EVOU", "PVOU", "EUPU"):
        assert bool(getattr(real.paths, name).subset(getattr(executed.paths, name)).all())
    assert bool(real.weights.significand.subset(executed.weights.significand).all())
    assert torch.equal(real.weights.exponent, executed.weights.exponent)


def test_weights_that_could_overflow_are_refused() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 0)
    for name in ("W_E", "W_Q", "W_V", "W_U"):
        loud = Model(**{**model.tensors(), name: model.tensors()[name] * 2.0**100})
        with pytest.raises(StrategyError, match="prove the model under semantics 'real'"):
            tables(loud, Semantics.FLOAT32)


def test_the_claim_names_its_semantics() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 0)
    for name in NAMES:
        assert prove(model, name, "float32").claim.semantics == "float32"
        assert prove(model, name).claim.semantics == "real"


def _forward(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    """The model in torch, float32 throughout, as the definition reads."""
    rows = model.W_E[tokens] + model.W_pos
    scores = (rows @ model.W_K) @ (rows[:, -1] @ model.W_Q)[:, :, None] / model.d_head**0.5
    mixed = (scores[:, :, 0].softmax(1)[:, None] @ (rows @ model.W_V))[:, 0] @ model.W_O
    return (rows[:, -1] + mixed) @ model.W_U


def _misclassified(model: Model, tokens: torch.Tensor, batch: int) -> int:
    wrong = 0
    for part in tokens.split(batch):
        logits, largest = _forward(model, part), part.amax(1, keepdim=True)
        at_max = logits.gather(1, largest)[:, 0]
        wrong += int((~(at_max > logits.scatter(1, largest, -torch.inf).amax(1))).sum())
    return wrong


@functools.cache
def _reference(folder: Path, name: str, semantics: str) -> CertifiedSet:
    return prove(load_model(folder / "k4-v64-a.safetensors"), name, semantics).content


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_nearly_as_strong_as_in_the_reals(reference_dir: Path, name: str) -> None:
    real, executed = (
        _reference(reference_dir, name, semantics).correct_at_least for semantics in ("real", "float32")
    )
    assert 0.995 * real <= executed <= real


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_sampled_certified_sequences_are_right_in_torch(reference_dir: Path, name: str) -> None:
    _check_sampled(reference_dir, name, 20_000)


@pytest.mark.shared
@pytest.mark.extended
@pytest.mark.parametrize("name", NAMES)
def test_a_million_certified_sequences_are_right_in_torch(reference_dir: Path, name: str) -> None:
    _check_sampled(reference_dir, name, 1_000_000)


def _check_sampled(folder: Path, name: str, count: int) -> None:
    model, content = load_model(folder / "k4-v64-a.safetensors"), _reference(folder, name, "float32")
    tokens = torch.tensor(list(sample_members(content, count, random.Random(7))))
    threads = torch.get_num_threads()
    try:
        for batch, used in ((1, 1), (7, 1), (256, 2), (4096, 1), (count, 2)):
            torch.set_num_threads(used)
            part = tokens[:2000] if batch < 256 else tokens
            assert _misclassified(model, part, batch) == 0, f"batch {batch}, {used} threads"
    finally:
        torch.set_num_threads(threads)
