"""Names, classes, unexplained dimensions and costs of the hundred."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import attrs
import pytest
import torch

from proofs.model import Model
from proofs.proving import run_verify
from proofs.strategy import ComplexityClass, Family
from proofs.subcubic import STRATEGIES, SubCubic
from proofs.workspace import Workspace
from tests.subcubic.support import QUICK


def random_model(vocab: int, n_ctx: int, width: int, seed: int = 0) -> Model:
    g = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g) * 0.5

    return Model(
        W_E=matrix(vocab, width),
        W_pos=matrix(n_ctx, width),
        W_Q=matrix(width, width),
        W_K=matrix(width, width),
        W_V=matrix(width, width),
        W_O=matrix(width, width),
        W_U=matrix(width, vocab),
    )


def named(part: str) -> SubCubic:
    (found,) = [strategy for strategy in QUICK if strategy.name == part]
    return found


def quadratic_part(strategy: SubCubic, width: int) -> float:
    """The coefficient of V² in the operations of a verification that claims every cell at gap 1."""

    def flops(vocab: int) -> int:
        model = random_model(vocab, 3, width)
        witness = attrs.evolve(strategy.search(model), gaps=torch.ones(vocab, vocab, 3, dtype=torch.int64))
        return run_verify(strategy, model, witness, Workspace(model)).spent.flops

    return (flops(36) - 2 * flops(24) + flops(12)) / (2 * 12**2)


def test_there_are_a_hundred_names() -> None:
    names = [strategy.name for strategy in STRATEGIES]
    assert len(set(names)) == 100
    assert all(strategy.family is Family.PUBLISHED for strategy in STRATEGIES)


@pytest.mark.shared
def test_names_are_the_published_ones(reference_dir: Path) -> None:
    published = json.loads((reference_dir / "k4-v64-a.json").read_text())["subcubic"]
    assert {strategy.name for strategy in STRATEGIES} == set(published)


def test_complexity_classes() -> None:
    classes = Counter(strategy.complexity_class for strategy in STRATEGIES)
    assert classes == {
        ComplexityClass.QUADRATIC: 18,
        ComplexityClass.LOW_RANK: 30,
        ComplexityClass.SUB_CUBIC: 52,
    }


@pytest.mark.parametrize(
    ("path", "error", "expected"),
    [
        ("global-max-diff-exact", "exact-EQKE+max-diff-exact", 64 * 64 + 64 + 2 + 64 * 64),
        ("max-diff-exact", "svd", 64 * 64 + 64 + 128 + 128),
        ("mean-query+max-diff", "max-diff-exact", 64 * 64 + 64 + 64 + 64 * 32 + 2 + 256),
        ("svd-query+max-diff", "max-diff", 64 * 64 + 64 + 64 + 64 * 32 + 2 + 128 + 64),
        ("max-diff", "mean+max-diff-subproduct", 64 * 64 + 64 + 64 * 32 + 2 + 128 + 64 + 64),
        ("max-diff", "max-diff-subproduct-recursive", 64 * 64 + 64 + 64 * 32 + 2 + 128 + 64),
        ("max-diff", "mean-recursive+max-diff-subproduct-recursive", 64 * 64 + 64 + 64 * 32 + 2 + 256),
    ],
)
def test_unexplained_dimension(path: str, error: str, expected: int) -> None:
    model = random_model(64, 4, 32)
    for strategy in STRATEGIES:
        if (strategy.path.name, strategy.error.name) == (path, error):
            assert strategy.unexplained_dimension(model) == expected


def test_cost_is_that_of_the_class() -> None:
    """EVOU takes 2d operations for each of its V² entries. The quadratic class adds nothing that grows with
    d; exact scores and an exact direct path add 2d each."""
    handling = "--attn-drop-average-query-per-output-logit-reasoning--attn-err-"
    recursive = named(f"EUPU-mean-query+max-diff{handling}max-diff-subproduct-recursive")
    exact = named(f"EUPU-max-diff-exact{handling}exact-EQKE+max-diff-exact")
    growth = [(quadratic_part(s, 40) - quadratic_part(s, 10)) / 30 for s in (recursive, exact)]
    assert growth == pytest.approx([2, 6], abs=0.1)


def test_low_rank_members_never_ask_for_the_exact_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Model) -> None:
        raise AssertionError("a low-rank strategy multiplied out a V×V table")

    model = random_model(6, 3, 4)
    cheap = [s for s in QUICK if s.complexity_class is not ComplexityClass.SUB_CUBIC]
    witnesses = [(strategy, strategy.search(model)) for strategy in cheap[::3]]
    monkeypatch.setattr("proofs.paths.eqke", refuse)
    monkeypatch.setattr("proofs.paths.eupu", refuse)
    for strategy, witness in witnesses:
        strategy.verify(model, witness)


def test_sharing_changes_no_result_and_no_cost() -> None:
    model = random_model(5, 3, 4)
    chosen = QUICK[3::9]
    witnesses = [strategy.search(model) for strategy in chosen]
    together = Workspace(model)
    for strategy, witness in zip(chosen, witnesses, strict=True):
        shared, alone = (
            run_verify(strategy, model, witness, workspace) for workspace in (together, Workspace(model))
        )
        assert (shared.certified, shared.spent) == (alone.certified, alone.spent), strategy.name
