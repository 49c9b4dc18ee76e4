"""Tasks as values: what they refuse, what they answer, how they are spelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import Claim
from certkit.task import Task, TaskError
from proofs.task import parse_task, renamed, restated, targets
from proofs.training import Recipe, TrainingError
from tests.support.models import Kind, Sizes, tiny_model
from tests.tasks.support import definition, random_task, solving, tasks

BAD: dict[str, tuple[Any, Any, str]] = {
    "twice": ((0, 1, 1), (0, 1, 2), "order[2] = 1 is there twice"),
    "missing": ((0, 1, 3), (0, 1, 2), "order[2] = 3; with 3 tokens they are 0 to 2"),
    "negative": ((0, 1, 2), (0, -1, 2), "labels[1] = -1"),
    "a bool": ((0, True), (0, 1), "order[1] is a bool"),
    "a float": ((0, 1), (0.0, 1), "labels[0] is a float"),
    "a tensor": (torch.tensor([0, 1]), (0, 1), "tensor.tolist()"),
    "a string": ("01", (0, 1), "not a list of tokens"),
    "a dict": ({0: 1, 1: 0}, (0, 1), "not a list of tokens"),
    "a number": (2, (0, 1), "not a list of tokens"),
    "None": (None, (0, 1), "not a list of tokens"),
    "empty": ((), (), "empty"),
    "lengths": ((0, 1), (0, 1, 2), "order has 2 tokens and labels 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_task_is_refused(name: str) -> None:
    order, labels, message = BAD[name]
    with pytest.raises(TaskError) as caught:
        Task(order, labels)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data(), st.integers(1, 6))
def test_the_answer_is_the_label_of_the_last_token(data: st.DataObject, vocab: int) -> None:
    task = data.draw(tasks(vocab))
    sequences = data.draw(st.lists(st.tuples(*[st.integers(0, vocab - 1)] * 3), min_size=1, max_size=20))
    answers = [definition(task, sequence) for sequence in sequences]
    assert [task.answer(sequence) for sequence in sequences] == answers
    assert targets(torch.tensor(sequences), task).tolist() == answers
    assert sorted(task.logits) == sorted(task.ranks) == list(range(vocab))
    assert task.tokens(task.ranks[token] for token in range(vocab)) == tuple(range(vocab))


@given(st.data(), st.integers(1, 6))
def test_a_task_is_spelled_once(data: st.DataObject, vocab: int) -> None:
    task, other = data.draw(tasks(vocab)), data.draw(tasks(vocab))
    assert Task.from_json(json.loads(json.dumps(task.as_json())), vocab) == task
    assert (task.as_json() == other.as_json()) == (task == other) == (task.name == other.name)
    assert isinstance(task.as_json(), str) == task.is_max_of_k == (task.name == "max-of-k")


def test_names() -> None:
    assert Task.named("max-of-k", 3) == Task((0, 1, 2), (0, 1, 2))
    assert Task.named("min-of-k", 3) == Task((2, 1, 0), (0, 1, 2))
    assert [Task.min_of_k(v).name for v in (1, 2, 5)] == ["max-of-k", "min-of-k", "min-of-k"]
    with pytest.raises(TaskError, match="median-of-k"):
        Task.named("median-of-k", 3)
    words = [Task.max_of_k(3), Task.relabelled((1, 2, 0)), Task.min_of_k(3), Task((1, 0, 2), (0, 1, 2))]
    assert [task.in_words() for task in words] == [
        "the largest token",
        "the label of the largest token",
        "the smallest token",
        "the last token in the order",
    ]
    assert eval(repr(words[3]), {"Task": Task}) == words[3]
    assert eval(repr(words[2]), {"Task": Task}) == words[2]


BAD_SPELLINGS: dict[str, Any] = {
    "unknown name": "sum-of-k",
    "a name that is spelled out": "min-of-k",
    "identity spelled out": {"order": [0, 1, 2], "labels": [0, 1, 2]},
    "another size": {"order": [1, 0], "labels": [0, 1]},
    "no labels": {"order": [2, 1, 0]},
    "one field more": {"order": [2, 1, 0], "labels": [0, 1, 2], "name": "x"},
    "a string": {"order": "210", "labels": [0, 1, 2]},
    "null": None,
    "a list": [[2, 1, 0], [0, 1, 2]],
    "a bool": {"order": [2, True, 0], "labels": [0, 1, 2]},
    "nested": {"order": [[2], 1, 0], "labels": [0, 1, 2]},
}


@pytest.mark.parametrize("name", BAD_SPELLINGS)
def test_no_other_spelling_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError):
        Task.from_json(BAD_SPELLINGS[name], 3)
    path = tmp_path / "task.json"
    path.write_text(json.dumps(BAD_SPELLINGS[name]))
    with pytest.raises(TaskError) as caught:
        parse_task(str(path), 3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_from_a_file(tmp_path: Path) -> None:
    task = random_task(5, 1)
    path = tmp_path / "task.json"
    path.write_text(json.dumps(task.as_json()))
    assert parse_task(str(path), 5) == task
    for text in (b"{", b"\xff", b"[" * 100_000):
        path.write_bytes(text)
        with pytest.raises(TaskError, match="not JSON"):
            parse_task(str(path), 5)
    with pytest.raises(TaskError, match="neither max-of-k nor min-of-k nor a file"):
        parse_task(str(tmp_path / "absent.json"), 5)


@given(st.data())
def test_renaming_moves_numbers_and_changes_none(data: st.DataObject) -> None:
    model = tiny_model(Kind.GAUSSIAN, Sizes(5, 2), data.draw(st.integers(0, 99)))
    task = data.draw(tasks(5))
    other = renamed(model, task)
    for rank in range(5):
        assert torch.equal(other.W_E[rank], model.W_E[task.order[rank]])
        assert torch.equal(other.W_U[:, rank], model.W_U[:, task.labels[task.order[rank]]])
    for name in ("W_pos", "W_Q", "W_K", "W_V", "W_O"):
        assert torch.equal(other.tensors()[name], model.tensors()[name])
    assert renamed(solving(model, task), task) == model


def test_sizes_must_agree() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(5, 2), 1)
    for make in (
        lambda: renamed(model, Task.min_of_k(4)),
        lambda: Recipe(n_ctx=2, vocab=5, task=Task.min_of_k(4)),
        lambda: Claim(2, 5, "0" * 64, 0, task=Task.min_of_k(4)),
    ):
        with pytest.raises(TaskError, match=r"4 tokens and the model 5"):
            make()
    with pytest.raises(TrainingError, match="vocab = 0"):
        Recipe(n_ctx=2, vocab=0)


def test_a_claim_takes_a_task_and_nothing_else() -> None:
    name: Any = "min-of-k"
    with pytest.raises(TypeError, match=r"Task.min_of_k\(5\)"):
        Claim(2, 5, "0" * 64, 0, task=name)


def test_only_its_own_certificate_is_restated() -> None:
    from proofs.proving import prove

    model, task = tiny_model(Kind.SKILLED, Sizes(4, 2), 1), Task.min_of_k(4)
    with pytest.raises(TaskError, match="can be restated"):
        restated(prove(model, "cubic"), model, task)
    with pytest.raises(TaskError, match="can be restated"):
        restated(prove(model, "cubic", task=task), model, task)
