"""Trained models: the reference bounds, and certified cells against sequences the model gets wrong."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import torch
from torch import Tensor

from certkit.certificate import CertifiedSet, SetContent
from proofs.model import Model, load_model
from proofs.strategy import find
from proofs.subcubic import STRATEGIES, SubCubic, SubCubicWitness
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK

ALLOWANCE = 0.002


def highest_certified(certified: CertifiedSet) -> Tensor:
    """``[V, V, K]``: the largest token other than m in a certified cell (q, m, n); −2 without one."""
    found = torch.full((certified.vocab, certified.vocab, certified.k), -2)
    for entry in certified.entries:
        assert isinstance(entry, SetContent)
        for cell in entry.cells:
            found[entry.q, entry.m, cell.n] = cell.allowed[-1] if cell.allowed else max(entry.q, -1)
    return found


def likely_failures(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Of sequences whose maximum has close rivals, those that the model, in float64, gets clearly wrong."""
    k = model.n_ctx
    top = torch.randint(1, model.vocab, (count, 1), generator=generator)
    near = top - torch.randint(0, 6, (count, k), generator=generator)
    anywhere = (torch.rand(count, k, generator=generator) * (top + 1)).long()
    close = torch.rand(count, k, generator=generator) < torch.rand(count, 1, generator=generator)
    tokens = torch.where(close, near.clamp(min=0), anywhere)
    slot = torch.randint(0, k, (count, 1), generator=generator)
    tokens.scatter_(1, slot, top)
    w = {name: tensor.double() for name, tensor in model.tensors().items()}
    rows = w["W_E"][tokens] + w["W_pos"]
    scores = (rows[:, -1:] @ w["W_Q"]) @ (rows @ w["W_K"]).mT / model.d_head**0.5
    mixed = scores.softmax(-1) @ rows @ w["W_V"] @ w["W_O"]
    logits = (rows[:, -1:] + mixed).squeeze(1) @ w["W_U"]
    right = logits.gather(1, top)
    rival = logits.scatter(1, top, float("-inf")).amax(1, keepdim=True)
    return tokens[(rival - right > 1e-6).squeeze(1)]


def assert_none_certified(certified: CertifiedSet, failures: Tensor, name: str) -> None:
    top = failures.amax(1)
    others = failures != top.unsqueeze(1)
    highest = torch.where(others, failures, -1).amax(1)
    admitted = highest_certified(certified)[failures[:, -1], top, others[:, :-1].sum(1)]
    wrong = failures[highest <= admitted]
    assert not len(wrong), f"{name} certifies {wrong[0].tolist()}, which the model gets wrong"


def perturbed(strategy: SubCubic, witness: SubCubicWitness, generator: torch.Generator) -> SubCubicWitness:
    """Directions and anchors off by a few per cent, and smaller gaps, which claim more than was found."""

    def off(vector: Tensor) -> Tensor:
        return vector * (1 + 0.03 * torch.randn(vector.shape, generator=generator, dtype=torch.float64))

    smaller = torch.randint(0, 3, witness.gaps.shape, generator=generator)
    return attrs.evolve(
        witness,
        direct=tuple(map(off, witness.direct)),
        directions=tuple(map(off, witness.directions)),
        anchors=off(witness.anchors),
        gaps=(witness.gaps - smaller).clamp(min=1),
    )


@pytest.mark.parametrize("index", range(4))
def test_no_failing_sequence_of_a_trained_model_is_certified(index: int, zoo_paths: list[Path]) -> None:
    model = load_model([path for path in zoo_paths if "v64" in path.name][2 * index])
    generator = torch.Generator().manual_seed(index)
    failures = likely_failures(model, 60_000, generator)
    assert len(failures) > 20, "the test looks at too few failures to mean anything"
    with Workspace(model):
        for strategy in QUICK[index::8]:
            witness = perturbed(strategy, strategy.search(model), generator)
            assert_none_certified(strategy.verify(model, witness), failures, strategy.name)


@pytest.mark.extended
def test_no_bound_exceeds_the_exact_accuracy(zoo_paths: list[Path]) -> None:
    known = json.loads((zoo_paths[0].parent / "accuracy.json").read_text())
    for path in zoo_paths:
        if "correct" in known[path.name]:
            model = load_model(path)
            with Workspace(model):
                bounds = {s.name: s.verify(model, s.search(model)).correct_at_least for s in STRATEGIES}
            assert max(bounds.values()) <= known[path.name]["correct"], max(bounds, key=lambda n: bounds[n])


@pytest.mark.extended
def test_no_failing_sequence_of_any_trained_model_is_certified(zoo_paths: list[Path]) -> None:
    for path in zoo_paths:
        model = load_model(path)
        generator = torch.Generator().manual_seed(0)
        failures = likely_failures(model, 200_000, generator)
        with Workspace(model):
            for strategy in STRATEGIES:
                searched = strategy.search(model)
                for witness in (searched, perturbed(strategy, searched, generator)):
                    assert_none_certified(strategy.verify(model, witness), failures, strategy.name)


def lost_cells(strategy: SubCubic, model: Model) -> tuple[int, int]:
    """Cells the search asked for that verification did not certify, and how many it asked for."""
    witness = strategy.search(model)
    asked = strategy.verify(model, witness)
    cells = sum(len(entry.cells) for entry in asked.entries if isinstance(entry, SetContent))
    claimed = int((witness.gaps < model.vocab).sum())
    return claimed - cells, claimed


def test_verification_certifies_what_the_search_found(zoo_paths: list[Path]) -> None:
    """Float64 search and interval verification evaluate the same formulas: next to nothing gets lost."""
    model = load_model(next(path for path in zoo_paths if "k4" in path.name))
    with Workspace(model):
        for strategy in QUICK[::17]:
            lost, claimed = lost_cells(strategy, model)
            assert lost <= claimed // 1000, strategy.name


@pytest.mark.shared
def test_at_least_the_published_bounds(reference_dir: Path) -> None:
    """A fifth of the hundred; `benchmarks/published.py` does them all."""
    path = reference_dir / "k4-v64-a.safetensors"
    published = json.loads(path.with_suffix(".json").read_text())
    model, exact = load_model(path), published["exact"]["correct"]
    with Workspace(model):
        for name, row in list(published["subcubic"].items())[::5]:
            strategy = find(name)
            certified = strategy.verify(model, strategy.search(model)).correct_at_least
            assert certified <= exact, name
            assert certified / model.total >= row["bound"] - ALLOWANCE, name
