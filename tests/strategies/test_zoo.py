"""Trained models: bounds stay below the truth, and no sampled member of a certified set is misclassified."""

from __future__ import annotations

import functools
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import Certificate
from proofs.accuracy import count_correct, sampled_accuracy
from proofs.brute_force import MOST_SEQUENCES
from proofs.model import Model, load_model
from proofs.proving import prove
from tests.support.sampling import sample_members
from tests.support.truth import Truth

ZOO = Path(__file__).resolve().parent.parent / "zoo"
QUICK = ["k4-v64-s0", "k5-v64-s1", "k10-v64-s0", "k20-v64-s1"]
SLOW = ["k4-v64-s1", "k5-v64-s0", "k10-v64-s1", "k20-v64-s0", "k10-v128-s0", "k10-v128-s1"]
NAMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.extended) for name in SLOW)]


@functools.cache
def _model(name: str) -> Model:
    return load_model(ZOO / f"{name}.safetensors")


@functools.cache
def _truth(name: str) -> Truth:
    return Truth(_model(name))


@functools.cache
def _certificate(name: str, strategy: str) -> Certificate:
    return prove(_model(name), strategy)


@functools.cache
def _accuracy_upper(name: str) -> Fraction | float:
    """The accuracy by float64 enumeration for K ≤ 5, else the upper end of a 99.99 % interval."""
    model = _model(name)
    if model.n_ctx <= 5:
        return count_correct(model).accuracy
    return sampled_accuracy(model, samples=200_000).interval[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strategy", ["cubic", "brute-force"])
def test_bounds_stay_below_the_truth(name: str, strategy: str) -> None:
    if strategy == "brute-force" and _model(name).total > MOST_SEQUENCES:
        pytest.skip("too many sequences to decide one by one")
    certificate = _certificate(name, strategy)
    assert Fraction(4, 5) < certificate.bound <= _accuracy_upper(name)
    if strategy == "brute-force":
        assert certificate.bound == certificate.bound_upper == _accuracy_upper(name)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**31))
def test_no_certified_sequence_is_misclassified(name: str, seed: int) -> None:
    strategies = ["cubic", "brute-force"] if _model(name).total <= MOST_SEQUENCES else ["cubic"]
    for strategy in strategies:
        certificate = _certificate(name, strategy)
        for sequence in sample_members(certificate.content, 2, random.Random(seed)):
            assert _truth(name).correct(sequence), f"{strategy} certified {sequence}"
