"""The auditor and the task a certificate states: only what is true of that task is verified."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings

from certkit import audit
from certkit.certificate import Certificate, SetContent, full_content
from certkit.fileformat import CertificateError, encode
from certkit.kernel import Verdict
from certkit.kernel.__main__ import main
from certkit.kernel.weights import read_weights
from certkit.task import Task
from proofs.model import Model, load_model, save_model
from proofs.proving import prove
from tests.conftest import ZOO
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.tasks.support import failing, random_task, solving, tasks
from tests.tasks.test_task import BAD_SPELLINGS

TASK = random_task(4, 3)
BEFORE = Path(__file__).with_name("before-tasks.cert")


@functools.cache
def good_model() -> Model:
    """A model that is good, but not perfect, at `TASK`."""
    return solving(tiny_model(Kind.SKILLED, Sizes(4, 3), 1), TASK)


@functools.cache
def good_certificate() -> Certificate:
    return prove(good_model(), "brute-force", task=TASK)


def judge(stated: Any, folder: Path, edit: Certificate | None = None) -> Verdict:
    """Audit a certificate with another task in its statement, sealed again."""
    edited = document(good_certificate() if edit is None else edit)
    edited["statement"]["task"] = stated
    return audit(write(edited, folder), saved(good_model(), folder))


def test_the_control(tmp_path: Path) -> None:
    assert 0 < len(failing(good_model(), TASK)) < 40
    verdict = judge(TASK.as_json(), tmp_path)
    assert (verdict.verdict, verdict.task) == ("verified", {"order": TASK.order, "labels": TASK.labels})


@given(tasks(4))
@settings(max_examples=40)
def test_another_task_is_refuted_unless_it_is_true(
    tmp_path_factory: pytest.TempPathFactory, other: Task
) -> None:
    """The certified sequences are named by rank, so under another task they are other sequences."""
    verdict = judge(other.as_json(), tmp_path_factory.getbasetemp())
    wrong, claim = failing(good_model(), other), good_certificate().claim
    if verdict.verdict == "verified":
        assert claim.correct_at_least <= claim.total - len(wrong)
    if claim.correct_at_least > claim.total - len(wrong):
        assert verdict.verdict == "refuted"
    if verdict.counterexample is not None:
        assert verdict.counterexample in wrong


def test_a_claim_about_the_wrong_task_is_refuted_with_a_sequence(tmp_path: Path) -> None:
    verdict = judge("max-of-k", tmp_path)
    assert (verdict.verdict, verdict.task) == ("refuted", None)
    assert verdict.counterexample in failing(good_model(), Task.max_of_k(4))
    shifted = Task(TASK.order, TASK.labels[1:] + TASK.labels[:1])
    verdict = judge(shifted.as_json(), tmp_path)
    assert verdict.verdict == "refuted"
    assert verdict.counterexample in failing(good_model(), shifted)


@pytest.mark.parametrize("name", BAD_SPELLINGS)
def test_both_readers_refuse_what_is_no_task(name: str, tmp_path: Path) -> None:
    stated = BAD_SPELLINGS[name]
    if isinstance(stated, dict) and name != "another size":  # the table is about three tokens
        lists = [key for key, value in stated.items() if isinstance(value, list)]
        stated = stated | {key: [*stated[key], 3] for key in lists}
    verdict = judge(stated, tmp_path)
    assert (verdict.verdict, verdict.exit_code, verdict.task) == ("refused", 2, None)
    assert verdict.rule in ("task", "schema")
    with pytest.raises(CertificateError) as caught:
        Certificate.load(tmp_path / "x.cert")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "stated",
    [
        {"order": [0, 1, 2, 2], "labels": [0, 1, 2, 3]},
        {"order": [3, 2, 1, 4], "labels": [0, 1, 2, 3]},
        {"order": [3, 2, 1, -1], "labels": [0, 1, 2, 3]},
        {"order": [3, 2, 1, 0], "labels": [0, 1, 1, 3]},
        {"order": [3, 2, 1, 0], "labels": [0, 1, 2]},
        {"order": [3, 2, 1, 0, 4], "labels": [0, 1, 2, 3, 4]},
        {"order": [], "labels": []},
        {"order": [0, 1, 2, 3], "labels": [0, 1, 2, 3]},
    ],
    ids=str,
)
def test_both_readers_refuse_what_is_no_permutation(stated: Any, tmp_path: Path) -> None:
    verdict = judge(stated, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "task"), verdict
    with pytest.raises(CertificateError):
        Certificate.load(tmp_path / "x.cert")


def test_a_wider_unembedding_is_not_narrowed_by_the_task(tmp_path: Path) -> None:
    """Renaming picks columns; a model with a logit too many must be refused, not have it dropped."""
    tensors = good_model().tensors()
    tensors["W_U"] = torch.cat([tensors["W_U"], torch.full((tensors["W_U"].shape[0], 1), 9.0)], 1)
    path = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(tensors, path)
    edited = document(good_certificate())
    edited["statement"]["model"] = read_weights(str(path)).sha256
    verdict = audit(write(edited, tmp_path), str(path))
    assert (verdict.verdict, verdict.rule) == ("refused", "task")


def test_one_sequence_too_many_is_refuted(tmp_path: Path) -> None:
    """Whole classes claimed: the counterexample is a sequence of tokens, and wrong for the task."""
    wrong, ranks = failing(good_model(), TASK), TASK.ranks
    entries = []
    for q in range(4):
        for m in range(q, 4):
            mine = [tuple(ranks[t] for t in s) for s in wrong]
            bad = sorted(s[:-1] for s in mine if (s[-1], max(s)) == (q, m))
            entries.append(full_content(q, m, 3, tuple(bad)))
    for number, entry in enumerate(entries):
        if entry.boxes[0].exceptions:
            whole = SetContent(entry.q, entry.m, boxes=full_content(entry.q, entry.m, 3).boxes)
            claims_more = certificate(good_model(), [*entries[:number], whole, *entries[number + 1 :]])
            verdict = judge(TASK.as_json(), tmp_path, claims_more)
            assert (verdict.verdict, verdict.rule) == ("refuted", "box")
            assert verdict.counterexample in wrong


def test_the_command_names_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good_certificate().save(tmp_path / "x.cert")
    argv = [str(tmp_path / "x.cert"), saved(good_model(), tmp_path)]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "s VERIFIED"
    assert f"task            {{'order': {tuple(TASK.order)}, 'labels': {tuple(TASK.labels)}}}" in lines
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == TASK.as_json()


def test_certificates_from_before_there_were_tasks_are_unchanged(tmp_path: Path) -> None:
    """`before-tasks.cert` was written by the last version that knew Max-of-K alone."""
    model = load_model(ZOO / "tasks" / "min-of-k.safetensors")
    old = BEFORE.read_bytes()
    assert encode(Certificate.load(BEFORE)) == old
    save_model(model, tmp_path / "m.safetensors")
    verdict = audit(str(BEFORE), str(tmp_path / "m.safetensors"))
    assert (verdict.verdict, verdict.task) == ("verified", None)
    again = document(prove(model, "cubic"))
    assert again["digest"] == json.loads(old)["digest"]
