"""Shared work is done once and charged to each proof in full."""

from __future__ import annotations

import time

import pytest
import torch

from certkit import cost
from proofs.model import Model
from proofs.workspace import Workspace, active, shared
from tests.support.models import Kind, Sizes, tiny_model


@pytest.fixture
def model() -> Model:
    return tiny_model(Kind.SKILLED, Sizes(3, 2), 0)


class Work:
    """Two results, the second of which uses the first; each run is recorded."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.runs: list[str] = []

    def base(self) -> str:
        def compute() -> str:
            self.runs.append("base")
            cost.record(flops=100, comparisons=10, int_ops=1)
            return "base"

        return shared(self.model, ("test", "base"), compute)

    def derived(self) -> str:
        def compute() -> str:
            self.runs.append("derived")
            cost.record(flops=7)
            self.base()
            cost.record(flops=20)
            self.base()
            return "derived"

        return shared(self.model, ("test", "derived"), compute)


def _verified(workspace: Workspace, *steps: object) -> tuple[int, int, int]:
    with workspace, workspace.verification(), cost.counting() as spent:
        for step in steps:
            assert callable(step)
            step()
    return spent.flops, spent.comparisons, spent.int_ops


def test_one_proof_pays_once(model: Model) -> None:
    work = Work(model)
    assert _verified(Workspace(model), work.base, work.base) == (100, 10, 1)
    assert work.runs == ["base"]


def test_each_proof_pays_in_full_whatever_came_before(model: Model) -> None:
    alone = {
        "base": _verified(Workspace(model), Work(model).base),
        "derived": _verified(Workspace(model), Work(model).derived),
    }
    assert alone == {"base": (100, 10, 1), "derived": (127, 10, 1)}
    for order in (["base", "derived"], ["derived", "base"], ["derived", "derived", "base", "base"]):
        work, workspace = Work(model), Workspace(model)
        for name in order:
            assert _verified(workspace, getattr(work, name)) == alone[name]
        assert sorted(work.runs) == ["base", "derived"]


@pytest.mark.parametrize("order", ["base derived", "derived base"])
def test_a_result_and_what_it_used_are_each_paid_once(model: Model, order: str) -> None:
    work, workspace = Work(model), Workspace(model)
    steps = [getattr(work, name) for name in order.split()]
    assert _verified(workspace, *steps) == (127, 10, 1)
    assert _verified(workspace, *steps) == (127, 10, 1)


def test_borrowed_seconds_are_those_of_the_first_run(model: Model) -> None:
    workspace = Workspace(model)

    def slow() -> str:
        return shared(model, ("test", "slow"), lambda: time.sleep(0.05) or "done")

    with workspace, workspace.verification() as borrowed:
        slow()
        assert borrowed() == 0.0
    with workspace, workspace.verification() as borrowed:
        slow()
        slow()
        assert 0.05 <= borrowed() < 0.1


def test_a_failed_computation_is_not_kept(model: Model) -> None:
    def fail() -> None:
        raise RuntimeError("first try")

    with Workspace(model):
        with pytest.raises(RuntimeError):
            shared(model, ("test", "flaky"), fail)
        assert shared(model, ("test", "flaky"), lambda: 3) == 3


def test_without_a_workspace_nothing_is_kept(model: Model) -> None:
    work = Work(model)
    work.base()
    work.base()
    assert work.runs == ["base", "base"]


def test_a_workspace_is_for_one_model(model: Model) -> None:
    other = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    same = Model(**{name: tensor.clone() for name, tensor in model.tensors().items()})
    with Workspace(model) as workspace:
        assert active(other) is None
        assert active(same) is workspace
        shared(model, ("test", "word"), lambda: "model")
        assert shared(other, ("test", "word"), lambda: "other") == "other"
        assert shared(same, ("test", "word"), lambda: "same") == "model"
    assert active(model) is None
    assert torch.is_tensor(model.W_E)
