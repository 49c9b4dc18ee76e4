"""Proofs of random tasks on random tiny models against the truth, which renames nothing."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certkit import audit
from certkit.certificate import Certificate, SetContent
from certkit.listing import content_records
from certkit.task import Task
from proofs.model import Model
from proofs.proving import prove, prove_many, reverify
from proofs.task import renamed
from tests.support.certs import saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.tasks.support import failing, random_task, solving, tasks

STRATEGIES = ("brute-force", "cubic", "separable-exact", "separable-tail", "separable-count")


def listed(certificate: Certificate) -> list[tuple[int, ...]]:
    """Every certified sequence, in tokens, from the lines that `show --content` prints."""
    claim, found = certificate.claim, []
    for line in map(dict, content_records(certificate.content, certificate.claim.task)):
        others = claim.k - 1
        if "positions" in line:
            members = product(*line["positions"])
            found += [(*s, line["q"]) for s in members if not line["contains_max"] or line["m"] in s]
        else:
            slots = product((*line["allowed"], line["m"]), repeat=others)
            found += [(*s, line["q"]) for s in slots if sum(t != line["m"] for t in s) == line["n"]]
    return found


def check(model: Model, task: Task, names: tuple[str, ...], folder: Path) -> None:
    wrong, path = failing(model, task), saved(model, folder)
    for certificate in prove_many(model, names, task=task):
        where = f"{certificate.strategy} for {task!r}"
        claim = certificate.claim
        assert (claim.task, claim.model_sha256) == (task, model.sha256)
        assert claim.correct_at_least <= claim.total - len(wrong), where
        if claim.correct_at_most is not None:
            assert claim.total - len(wrong) <= claim.correct_at_most, where
        if certificate.strategy == "brute-force" and claim.correct_at_most is not None:
            assert claim.correct_at_least == claim.total - len(wrong)
        if all(isinstance(entry, SetContent) for entry in certificate.content.entries):
            sequences = listed(certificate)
            assert len(sequences) == len(set(sequences)) == claim.correct_at_least, where
            assert not wrong.intersection(sequences), where
        certificate.save(folder / "x.cert")
        assert Certificate.load(folder / "x.cert") == certificate
        verdict = audit(str(folder / "x.cert"), path)
        assert (verdict.verdict, verdict.audited_correct) == ("verified", claim.correct_at_least), verdict
        stated = None if task.is_max_of_k else {"order": task.order, "labels": task.labels}
        assert verdict.task == stated


@given(st.sampled_from(Kind), st.integers(0, 2**20), st.data(), st.booleans())
@settings(max_examples=8)
@example(Kind.TWIN, 3, None, True)
def test_every_bound_holds_and_is_audited(
    tmp_path_factory: pytest.TempPathFactory, kind: Kind, seed: int, data: st.DataObject | None, solve: bool
) -> None:
    sizes = Sizes(2 + seed % 3, 1 + seed % 3)
    task = random_task(sizes.vocab, seed) if data is None else data.draw(tasks(sizes.vocab))
    model = tiny_model(kind, sizes, seed)
    check(solving(model, task) if solve else model, task, STRATEGIES, tmp_path_factory.getbasetemp())


@pytest.mark.extended
@given(st.sampled_from(Kind), st.integers(0, 2**20), st.data(), st.booleans())
def test_every_bound_holds_and_is_audited_at_length(
    tmp_path_factory: pytest.TempPathFactory, kind: Kind, seed: int, data: st.DataObject, solve: bool
) -> None:
    sizes = Sizes(1 + seed % 5, 1 + seed % 4)
    task, model = data.draw(tasks(sizes.vocab)), tiny_model(kind, sizes, seed)
    check(solving(model, task) if solve else model, task, STRATEGIES, tmp_path_factory.getbasetemp())


def test_every_strategy_proves_every_task(tmp_path: Path) -> None:
    """All registered strategies, on a model that is good at a random task."""
    task = random_task(4, 5)
    check(solving(tiny_model(Kind.SKILLED, Sizes(4, 3), 2), task), task, ("all",), tmp_path)


def test_proofs_are_those_of_the_renamed_model() -> None:
    task = random_task(5, 2)
    model = tiny_model(Kind.SKILLED, Sizes(5, 3), 2)
    for name in ("cubic", "separable-tail"):
        certificate = prove(model, name, task=task)
        assert certificate.content == prove(renamed(model, task), name).content
        assert reverify(model, certificate).certified == certificate.content
    assert prove(model, "cubic", task=Task.max_of_k(5)).claim == prove(model, "cubic").claim


@pytest.mark.parametrize("seed", range(3))
def test_executions_in_float32(seed: int, tmp_path: Path) -> None:
    """A sequence certified for every execution, with room for rounding both ways, is right exactly too."""
    task = random_task(4, seed)
    model = solving(tiny_model(Kind.SKILLED, Sizes(4, 3), seed), task)
    executed = prove(model, "brute-force", "float32", task)
    assert 0 < executed.claim.correct_at_least <= executed.claim.total - len(failing(model, task))
    executed.save(tmp_path / "x.cert")
    assert audit(str(tmp_path / "x.cert"), saved(model, tmp_path)).verdict == "verified"
