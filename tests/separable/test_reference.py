"""The separable family on the reference models: the numbers the project promises."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from certkit import cost
from proofs.model import load_model
from proofs.separable import gap
from proofs.separable.count import SeparableCount
from proofs.separable.exact import SeparableExact
from proofs.separable.tail import SeparableTail
from proofs.witness import NoWitness

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


@pytest.mark.parametrize(
    ("name", "least"),
    [("separable-gap", 0.997), ("separable-gap+low-rank", 0.96), ("separable-gap+quadratic", 0.89)],
)
def test_cheap_classes_beat_the_published_bounds(reference_dir: Path, name: str, least: float) -> None:
    model = load_model(reference_dir / "k4-v64-a.safetensors")
    (strategy,) = [found for found in gap.STRATEGIES if found.name == name]
    certified = strategy.verify(model, strategy.search(model))
    assert least <= certified.correct_at_least / certified.total <= 16_772_048 / 16_777_216


def test_the_enclosure_is_narrow(reference_dir: Path) -> None:
    model = load_model(reference_dir / "k5-v64-a.safetensors")
    certified = SeparableCount().verify(model, SeparableCount().search(model))
    exact = 1_073_282_933  # separable-exact, both ends
    assert certified.correct_at_least <= exact <= certified.correct_at_most
    assert certified.correct_at_most - certified.correct_at_least < Fraction(1, 1000) * certified.total
