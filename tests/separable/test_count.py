"""``separable-count`` against exhaustive exact enumeration, adversarial bins included."""

from __future__ import annotations

import itertools
import math

import attrs
import pytest
import torch

from proofs.model import Model
from proofs.separable import count as count_module
from proofs.separable.count import Binned, CountWitness, SeparableCount
from proofs.separable.tally import Bins, tally
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

COUNT = SeparableCount()


def all_counted(model: Model) -> CountWitness:
    """The search's witness with bins for every pair that may fail."""
    found = COUNT.search(model)
    tails = found.tails
    width = torch.full_like(tails.multiplier, 0.01)
    return CountWitness(tails.q, tails.m, tails.x, width, 0.1 * width, tails)


@pytest.mark.parametrize("seed", range(30))
def test_tiny_models(seed: int) -> None:
    model = some_model(seed)
    truth = ClassTruth(model)
    check_certified(COUNT.verify(model, COUNT.search(model)), truth)
    witness = all_counted(model)
    generator = torch.Generator().manual_seed(seed)
    for spread in (0.0, 2.0, 6.0):
        noise = torch.randn(2, len(witness.q), generator=generator, dtype=torch.float64)
        width = witness.width * torch.exp(spread * noise[0])
        wild = attrs.evolve(witness, width=width, offset=width * noise[1] * spread)
        certified = COUNT.verify(model, wild)
        assert certified.two_sided
        check_certified(certified, truth)


@pytest.mark.extended
@pytest.mark.parametrize("block", range(20))
def test_many_tiny_models(block: int) -> None:
    for seed in range(3000 + 50 * block, 3050 + 50 * block):
        test_tiny_models(seed)


def test_the_enclosure_closes_as_bins_get_finer() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth = ClassTruth(model)
    witness = all_counted(model)
    gaps = []
    for width in (1.0, 1e-2, 1e-4):
        fine = attrs.evolve(witness, width=torch.full_like(witness.width, width), offset=0 * witness.offset)
        certified = COUNT.verify(model, fine)
        check_certified(certified, truth)
        gaps.append(certified.correct_at_most - certified.correct_at_least)
    assert gaps == sorted(gaps, reverse=True)


@pytest.mark.parametrize("name", ["width", "offset"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_bins_are_refused(name: str, value: float) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = all_counted(model)
    bad = getattr(witness, name).clone()
    bad[0] = value
    if name == "offset" and value <= 0:
        check_certified(COUNT.verify(model, attrs.evolve(witness, offset=bad)), ClassTruth(model))
        return
    with pytest.raises(WitnessError, match=name):
        COUNT.verify(model, attrs.evolve(witness, **{name: bad}))


def test_witness_survives_paper() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = all_counted(model)
    again = witness_from_json(witness_to_json(witness), CountWitness)
    assert COUNT.verify(model, again) == COUNT.verify(model, witness)


def test_bins_too_fine_for_an_auditor_are_not_used() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = all_counted(model)
    for width in (1e-12, 1e-300):
        fine = attrs.evolve(witness, width=torch.full_like(witness.width, width), offset=0 * witness.offset)
        certified = COUNT.verify(model, fine)
        assert not any(hasattr(entry, "counts") for entry in certified.entries)
        check_certified(certified, ClassTruth(model))


@pytest.mark.parametrize("seed", range(20))
def test_tally_against_enumeration(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    positions, vocab, rows = 1 + seed % 4, 1 + seed % 5, 6
    deficit = torch.randint(0, 9, (rows, positions, vocab), generator=generator)
    m = torch.randint(vocab, (rows,), generator=generator)
    deficit = torch.where(torch.arange(vocab) > m[:, None, None], 1000, deficit)
    bins = Bins(deficit, torch.randint(-2, 15, (rows,), generator=generator), m, m % 2 == 1)
    down, up = tally(bins)
    for r in range(rows):
        expected = 0
        for tokens in itertools.product(range(int(m[r]) + 1), repeat=positions):
            total = sum(int(deficit[r, p, t]) for p, t in enumerate(tokens))
            expected += total <= bins.room[r] and (not bins.must_hold[r] or int(m[r]) in tokens)
        assert down[r] <= expected <= up[r]
        assert math.ceil(down[r]) == math.floor(up[r]) == expected


def mutated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ask for one bin too many or too few, in the upper or in the lower count."""
    honest = getattr(count_module, name)
    step = 1 if name == "binned_up" else -1

    def mutant(*arguments: object) -> Binned:
        binned = honest(*arguments)
        return attrs.evolve(binned, least=binned.least + step)

    monkeypatch.setattr(count_module, name, mutant)


@pytest.mark.parametrize("name", ["binned_up", "binned_down"])
def test_a_bin_the_wrong_way_is_seen_to_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutated(monkeypatch, name)
    for seed in range(40):
        model = tiny_model(Kind.SKILLED, Sizes(4, 3), seed)
        witness = all_counted(model)
        coarse = attrs.evolve(witness, width=50 * witness.width, offset=0 * witness.offset)
        try:
            check_certified(COUNT.verify(model, coarse), ClassTruth(model))
        except AssertionError:
            return
    pytest.fail("the mutant was not caught")
