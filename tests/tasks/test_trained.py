"""Trained models of other tasks: training, proofs, audits, attacks and explanations by the public API."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from certkit import audit, combine, differences
from certkit.certificate import Certificate, Estimate, full_content
from certkit.cli.main import main
from certkit.combining import MismatchError
from proofs import Model, Recipe, Task, load_model, prove, renamed, train, train_into
from proofs.accuracy import count_correct, sampled_accuracy
from proofs.attack import attack
from proofs.explain import ExplainError, Judgement, explain, least_certified_class
from proofs.model import load_notes
from tests.conftest import ZOO
from tests.support.certs import certificate as by_hand
from tests.tasks.support import failing

MODELS = {
    "min-of-k": Task.min_of_k(8),
    "order-and-labels": Task(order=(2, 0, 3, 1, 6, 4, 7, 5), labels=(1, 2, 3, 0, 5, 6, 7, 4)),
}


@pytest.fixture(params=MODELS, scope="module")
def trained(request: pytest.FixtureRequest) -> tuple[Path, Model, Task]:
    """A trained model of 8 tokens and 3 positions that gets one sequence wrong, and its task."""
    path = ZOO / "tasks" / f"{request.param}.safetensors"
    return path, load_model(path), MODELS[request.param]


def test_bounds_and_audits(trained: tuple[Path, Model, Task], tmp_path: Path) -> None:
    path, model, task = trained
    wrong = failing(model, task)
    assert len(wrong) == 1
    certificates = [prove(model, name, task=task) for name in ("brute-force", "cubic", "separable-tail")]
    exact = certificates[0].claim
    assert (exact.correct_at_least, exact.correct_at_most, exact.total) == (511, 511, 512)
    for certificate in [*certificates, combine(certificates)]:
        assert 450 < certificate.claim.correct_at_least <= 511
        certificate.save(tmp_path / "x.cert")
        assert audit(str(tmp_path / "x.cert"), str(path)).verdict == "verified"
    with pytest.raises(MismatchError, match="task"):
        combine([certificates[0], prove(model, "cubic")])


def test_accuracies(trained: tuple[Path, Model, Task]) -> None:
    _, model, task = trained
    assert count_correct(renamed(model, task)).correct == 511
    estimate = sampled_accuracy(renamed(model, task), samples=20_000)
    assert isinstance(estimate, Estimate)
    low, high = estimate.interval
    assert low < 511 / 512 < high
    assert count_correct(model).correct < 100


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_an_attack_names_tokens(trained: tuple[Path, Model, Task], semantics: str) -> None:
    """The whole of every class claimed: the one sequence that is wrong is found."""
    _, model, task = trained
    whole = [full_content(q, m, 3) for q in range(8) for m in range(q, 8)]
    overclaims = by_hand(model, whole, semantics=semantics)
    overclaims = attrs.evolve(overclaims, claim=attrs.evolve(overclaims.claim, task=task))
    found = attack(model, overclaims, 1000).counterexample
    assert found is not None
    assert {found.sequence} == failing(model, task)
    assert found.right == task.answer(found.sequence) != found.x
    honest = prove(model, "brute-force", task=task)
    assert attack(model, honest, 1000).counterexample is None


def test_an_explanation_names_tokens(trained: tuple[Path, Model, Task]) -> None:
    _, model, task = trained
    ((*_, q),) = failing(model, task)
    certificate = prove(model, "brute-force", task=task)
    assert least_certified_class(certificate)[0] == q
    found = explain(model, certificate, *least_certified_class(certificate))
    calls = [group.closest for group in found.groups if group.closest is not None]
    wrong = [call for call in calls if call.judgement is Judgement.WRONG]
    assert {call.sequence for call in wrong} == failing(model, task)
    assert found.answer == task.answer(wrong[0].sequence) == task.labels[found.m]
    assert found.certified == found.sequences - 1
    first, last = task.order[0], task.order[-1]
    assert explain(model, certificate, first, last).sequences == 8**2 - 7**2
    for bad in ((last, first), (8, 8), (-1, 0)):
        with pytest.raises(ExplainError, match="no such class"):
            explain(model, certificate, *bad)


def test_differences_name_tokens(trained: tuple[Path, Model, Task]) -> None:
    _, model, task = trained
    exact = prove(model, "brute-force", task=task)
    nothing = by_hand(model, [])
    nothing = attrs.evolve(nothing, claim=attrs.evolve(nothing.claim, task=task))
    found = differences(nothing, exact)
    assert sum(d.gain for d in found) == 511
    for d in found:  # the order of the task, not that of the numbers
        assert task.ranks[d.q] <= task.ranks[d.m]
        assert d.sequences == (2 * task.ranks[d.m] + 1 if d.q != d.m else (task.ranks[d.m] + 1) ** 2)


def test_training_learns_the_task_and_keeps_its_name(tmp_path: Path) -> None:
    recipe = Recipe(
        n_ctx=2, vocab=4, d_model=8, d_head=4, steps=150, learning_rate=1e-2, task=Task.min_of_k(4)
    )
    paths = train_into(tmp_path, recipe, [3])
    assert paths == {3: tmp_path / "k2-v4-min-of-k-s3.safetensors"}
    assert load_notes(paths[3])["task"] == "min-of-k"
    model = load_model(paths[3])
    assert count_correct(renamed(model, recipe.task)).correct == 16
    assert train_into(tmp_path, recipe, [3]) == paths  # kept, not trained again
    other = attrs.evolve(recipe, task=Task.relabelled((1, 0, 3, 2)))
    assert other.stem(0) == f"k2-v4-{other.task.name}-s0"
    assert json.loads(other.as_json())["task"] == other.task.as_json()
    assert "task" not in json.loads(attrs.evolve(recipe, task=Task.max_of_k(4)).as_json())


def test_tasks_share_their_start() -> None:
    """Max-of-K after relabelling is not the same model: the answers it learns from differ."""
    recipes = [Recipe(n_ctx=2, vocab=3, steps=1, task=task) for task in (Task.max_of_k(3), Task.min_of_k(3))]
    first, second = (train(recipe, [0])[0] for recipe in recipes)
    assert first.sha256 != second.sha256


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ZOO / "tasks" / "min-of-k.safetensors")
    out = str(tmp_path / "certs")
    prove_it = ["prove", path, "--strategy", "cubic", "--out", out]
    assert main(prove_it) == 0
    assert "says it was trained for min-of-k: --task min-of-k" in capsys.readouterr().err
    assert main([*prove_it, "--task", "min-of-k", "--json"]) == 0
    told = capsys.readouterr()
    assert "trained for" not in told.err
    record = json.loads(told.out)
    assert record["task"] == Task.min_of_k(8).as_json()
    certificate = record["path"]
    assert certificate.endswith("min-of-k--cubic--min-of-k.cert")
    assert Certificate.load(certificate).claim.task == Task.min_of_k(8)
    assert main(["show", certificate]) == 0
    assert "gives the smallest token of at least" in capsys.readouterr().out
    assert main(["audit", certificate, path]) == 0
    assert main(["attack", certificate, path, "--tries", "100"]) == 0
    assert main(["explain", certificate, path]) == 0
    assert "minimum" in capsys.readouterr().out
    assert main([*prove_it, "--task", "median-of-k"]) == 2
    assert "neither max-of-k nor min-of-k nor a file" in capsys.readouterr().err


def test_commands_with_a_task_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "order-and-labels"
    path, task = str(ZOO / "tasks" / f"{name}.safetensors"), tmp_path / "task.json"
    task.write_text(json.dumps(MODELS[name].as_json()))
    out = str(tmp_path / "certs")
    assert main(["prove", path, "--strategy", "cubic", "--out", out, "--task", str(task)]) == 0
    (certificate,) = Path(out).iterdir()
    capsys.readouterr()
    assert main(["show", str(certificate)]) == 0
    words = capsys.readouterr().out
    assert "gives the label of the last token in the order of at least" in words
    assert "The order: 2 0 3 1 6 4 7 5" in words
    assert "The labels: 1 2 3 0 5 6 7 4" in words
    assert main(["train", "--k", "2", "--vocab", "7", "--task", str(task), "--out", out]) == 2
    assert "8 tokens and the model 7" in capsys.readouterr().err
