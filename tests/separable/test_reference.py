"""The separable family on the reference models: the numbers the project promises."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from certkit import cost
from proofs.model import Model, load_model
from proofs.proving import Verified, run_search, run_verify
from proofs.separable.count import SeparableCount
from proofs.separable.exact import SeparableExact
from proofs.separable.tail import SeparableTail
from proofs.strategy import find
from proofs.witness import NoWitness
from proofs.workspace import Workspace

pytestmark = pytest.mark.shared


def test_exact_equals_brute_force_at_a_fiftieth_of_the_work(reference_dir: Path) -> None:
    model = load_model(reference_dir / "k4-v64-a.safetensors")
    published = json.loads((reference_dir / "k4-v64-a.json").read_text())["exact"]
    with cost.counting() as spent:
        certified = SeparableExact().verify(model, NoWitness())
    assert certified.correct_at_least == certified.correct_at_most == published["correct"]
    assert certified.two_sided
    additions_of_brute_force = 64**4 * 64 * 4
    assert 50 * (spent.flops + spent.comparisons + spent.int_ops) <= additions_of_brute_force


def test_tails_are_near_exact(reference_dir: Path) -> None:
    model = load_model(reference_dir / "k4-v64-a.safetensors")
    certified = SeparableTail().verify(model, SeparableTail().search(model))
    assert Fraction(16_771_000, 16_777_216) < Fraction(certified.correct_at_least, certified.total)
    assert certified.correct_at_least <= 16_772_048


RIVALS = {
    "separable-gap+boxes": (0.997, "EUPU-max-diff-exact--attn-mean-query+diff--attn-err-max-diff-exact"),
    "separable-gap+low-rank": (
        0.94,
        "EUPU-mean-query+max-diff--attn-mean-query+diff--attn-err-max-diff-subproduct",
    ),
    "separable-gap+quadratic": (
        0.88,
        "EUPU-mean-query+max-diff--attn-mean-query+diff--attn-err-mean+max-diff-subproduct-recursive",
    ),
    "separable-exact": (0.9996, "cubic"),
}
"""Ours, what it must certify, and the published strategy that certifies most in the same complexity class."""


def verified(name: str, model: Model) -> Verified:
    strategy = find(name)
    witness = run_search(strategy, model, Workspace(model)).witness
    return run_verify(strategy, model, witness, Workspace(model))


@pytest.mark.parametrize("name", RIVALS)
def test_each_class_is_beaten_at_no_more_work(reference_dir: Path, name: str) -> None:
    model = load_model(reference_dir / "k4-v64-a.safetensors")
    least, rival = RIVALS[name]
    ours, theirs = verified(name, model), verified(rival, model)
    published = json.loads((reference_dir / "k4-v64-a.json").read_text())
    bound = published["cubic" if rival == "cubic" else "subcubic"]
    bound = (bound if rival == "cubic" else bound[rival])["bound"]
    accuracy = Fraction(ours.certified.correct_at_least, ours.certified.total)
    assert max(least, bound) < accuracy <= Fraction(16_772_048, 16_777_216)
    assert ours.certified.correct_at_least > theirs.certified.correct_at_least
    assert ours.spent.flops <= theirs.spent.flops
    assert all_operations(ours) <= all_operations(theirs)


def all_operations(verified: Verified) -> int:
    return verified.spent.flops + verified.spent.comparisons + verified.spent.int_ops


def test_the_enclosure_is_narrow(reference_dir: Path) -> None:
    model = load_model(reference_dir / "k5-v64-a.safetensors")
    certified = SeparableCount().verify(model, SeparableCount().search(model))
    exact = 1_073_282_933  # separable-exact, both ends
    assert certified.correct_at_least <= exact <= certified.correct_at_most
    assert certified.correct_at_most - certified.correct_at_least < Fraction(1, 1000) * certified.total


@pytest.mark.extended
@pytest.mark.parametrize("name", ["k10-v64-a", "k20-v64-a"])
def test_long_contexts_are_near_the_sampled_accuracy(reference_dir: Path, name: str) -> None:
    model = load_model(reference_dir / f"{name}.safetensors")
    sampled = json.loads((reference_dir / "sampled-accuracy.json").read_text())[name]
    accuracy = Fraction(sampled["sampled_correct"], sampled["sampled"])
    certified = SeparableCount().verify(model, SeparableCount().search(model))
    low = Fraction(certified.correct_at_least, certified.total)
    high = Fraction(certified.correct_at_most, certified.total)
    assert accuracy - Fraction(1, 1000) <= low <= accuracy <= high <= low + Fraction(2, 1000)
