"""Sweeps of other tasks: jobs, results and reports of two tasks on the same models are never mixed."""

from __future__ import annotations

import json
import sqlite3
from itertools import product
from pathlib import Path

import attrs
import pytest

from certkit import audit
from certkit.cli.main import main
from certkit.display import float_down
from certkit.task import Task
from proofs import load_model, prove
from proofs.report import make_report, read_study, write_report
from proofs.report.study import ResultRow
from proofs.strategy import select
from proofs.sweep import (
    Ledger,
    LedgerError,
    Limits,
    Local,
    ModelFile,
    Outcome,
    Status,
    Sweep,
    SweepError,
    SweepProgress,
    open_results,
    run_sweep,
)
from proofs.sweep.audits import AuditPlan, audit_results
from proofs.sweep.cluster import run_task
from proofs.sweep.jobs import Job, job_from_json, outcome_from_json, to_json
from proofs.task import renamed
from proofs.training import Recipe, train_into
from tests.support.certs import oracle_of

NAMES = ["brute-force", "cubic"]
ODD = Task(order=(2, 0, 4, 1, 3), labels=(4, 3, 1, 0, 2))
TASKS = {"max-of-k": Task.max_of_k, "min-of-k": Task.min_of_k, ODD.key: lambda vocab: ODD}


def swept(models: list[Path], folder: Path, key: str) -> list[SweepProgress]:
    seen: list[SweepProgress] = []
    plan = Sweep(models, select(NAMES), folder, Local(1), task=TASKS[key])
    assert run_sweep(plan, seen.append) == []
    return seen


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models that name the smallest of three tokens below 5, more or less."""
    recipe = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=200, batch=32, task=Task.min_of_k(5))
    return list(train_into(tmp_path_factory.mktemp("models"), recipe, range(2)).values())


@pytest.fixture(scope="module")
def results(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tasks swept into one folder, one after the other."""
    folder = tmp_path_factory.mktemp("results")
    for key in TASKS:
        last = swept(models, folder, key)[-1]
        assert (last.before, last.done, last.total) == (0, 6, 6)
    return folder


def test_every_result_is_about_its_own_task(results: Path, models: list[Path], tmp_path: Path) -> None:
    ledger, store = open_results(results)
    with ledger:
        rows, facts = ledger.rows("results"), ledger.rows("facts")
    assert sorted({row["task"] for row in rows}) == sorted(TASKS)
    assert (len(rows), len(facts)) == (12, 6)
    by_digest = {load_model(path).sha256: (path, load_model(path)) for path in models}
    for row in rows:
        path, model = by_digest[row["sha256"]]
        task = TASKS[row["task"]](5)
        file = tmp_path / "one.cert"
        file.write_bytes(store.read(row["certificate"]))
        verdict = audit(file, path)
        alone = prove(model, row["strategy"], task=task)
        assert (verdict.verdict, verdict.audited_correct) == ("verified", int(row["correct"]))
        assert int(row["correct"]) == alone.claim.correct_at_least
        stated = json.loads(file.read_bytes())["statement"]
        assert (stated["task"], stated["model"]) == (task.as_json(), model.sha256)
    for fact in facts:
        _, model = by_digest[fact["sha256"]]
        task, oracle = TASKS[fact["task"]](5), oracle_of(model)
        right = sum(oracle.correct(s, task.answer(s)) for s in product(range(5), repeat=3))
        assert (int(fact["correct"]), int(fact["total"])) == (right, 125)


@pytest.mark.usefixtures("no_process")
def test_resuming_one_task_does_nothing_twice_and_leaves_the_others(
    results: Path, models: list[Path]
) -> None:
    before = open_results(results)[1].digests()
    for key in TASKS:
        assert [(p.before, p.done) for p in swept(models, results, key)] == [(6, 0)]
    assert open_results(results)[1].digests() == before


def test_the_audit_of_a_sweep_verifies_every_task(results: Path) -> None:
    ledger, store = open_results(results)
    with ledger:
        summary = audit_results(ledger, store, AuditPlan(), lambda *_: None)
    assert summary.certificates == len(summary.audited) == 12
    assert summary.not_verified == []


def test_the_report_keeps_tasks_apart(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    study = read_study(results)
    assert [str(setting) for setting in study.settings] == [
        "K=3, V=5",
        "K=3, V=5, min-of-k",
        f"K=3, V=5, {ODD.name}",
    ]
    report = make_report(study)
    assert report.suspicious == ()
    tables = {table.name: table for table in (*report.tables, *report.data)}
    assert len(tables["models"].rows) == 6
    for row in tables["models"].rows:  # name, setting, accuracy from, to, σ₁/σ₂, how, best published bound
        (best,) = {r.bound for r in study.results if _is(r, row) and r.strategy == "brute-force"}
        assert row[6] == float_down(best) <= row[3]
    brute = {r[0]: r for r in tables["strategies"].rows if r[1] == "brute-force"}
    assert {row[5] for row in brute.values()} == {2}
    assert brute["K=3, V=5, min-of-k"][8] > brute["K=3, V=5"][6]  # least and mean of the bounds
    names = [figure.name for figure in report.figures]
    assert len(names) == len(set(names)) == 1 + 2 * 3
    tasks = tables["results"].columns.index("task")
    assert {row[tasks] for row in tables["results"].rows} == set(TASKS)
    text = write_report(report, tmp_path).read_text()
    assert f"Certified accuracy of Max-of-K, min-of-k, {ODD.name} models" in text


def _is(result: ResultRow, row: tuple[object, ...]) -> bool:
    return (result.model.name, str(result.model.setting)) == row[:2]


def test_a_job_carries_its_task_wherever_it_goes(models: list[Path]) -> None:
    model = load_model(models[0])
    file = ModelFile(str(models[0]), model.sha256, 3, 5)
    jobs = [Job.proof(file, strategy, ODD) for strategy in select(NAMES)]
    assert [job_from_json(to_json(job)) for job in jobs] == jobs
    keys = {Job.proof(file, select(["cubic"])[0], task).key for task in (None, ODD, Task.min_of_k(5))}
    assert len(keys) == 3
    assert Job.facts(file).key == Job.facts(file, Task.max_of_k(5)).key
    answers = [
        outcome_from_json(text) for text, _ in run_task(models[0].read_bytes(), jobs, Limits(60, 2048))
    ]
    assert [answer.job.key for answer in answers] == [job.key for job in jobs]
    for answer in answers:
        assert answer.proof is not None
        expected = prove(renamed(model, ODD), answer.job.strategy).claim.correct_at_least
        assert int(answer.proof.correct) == expected


def test_a_task_of_other_tokens_stops_the_sweep_before_any_work(models: list[Path], tmp_path: Path) -> None:
    plan = Sweep(models, select(NAMES), tmp_path / "r", Local(1), task=lambda vocab: Task.min_of_k(4))
    with pytest.raises(SweepError, match=r"s0\.safetensors: the task has 4 tokens and the model 5"):
        run_sweep(plan, lambda _: None)
    assert not (tmp_path / "r" / "ledger.sqlite").exists()


def test_on_the_command_line(models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd, folder = tmp_path / "odd.json", tmp_path / "results"
    odd.write_text(json.dumps(ODD.as_json()))
    line = ["sweep", str(models[0]), "--strategy", "cubic", "--out", str(folder)]
    assert main(line) == 0
    note = f"{models[0]} says it was trained for min-of-k: --task min-of-k"
    assert note in capsys.readouterr().err
    assert main([*line, "--task", "min-of-k"]) == 2  # there is a sweep in the folder
    assert main([*line, "--task", "min-of-k", "--resume"]) == 0
    assert "trained for" not in capsys.readouterr().err
    assert main([*line, "--task", str(odd), "--resume"]) == 0
    assert main(["audit-sweep", str(folder)]) == 0
    assert "3 of 3 verified" in capsys.readouterr().out
    odd.write_text(json.dumps(Task.min_of_k(4).as_json()))
    assert main([*line, "--task", str(odd), "--resume"]) == 2
    err = capsys.readouterr().err
    assert "s0.safetensors" in err
    assert "the task has 4 tokens and the model 5" in err
    assert main([*line, "--task", "mean-of-k", "--resume"]) == 2
    assert "'mean-of-k' is neither max-of-k nor min-of-k nor a file" in capsys.readouterr().err


def test_many_models_of_another_task_are_one_remark(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    line = ["sweep", *map(str, models), str(broken), "--strategy", "cubic", "--out", str(tmp_path / "r")]
    assert main(line) == 2  # broken.safetensors is no model
    err = capsys.readouterr().err
    assert err.count("trained for") == 1
    assert f"{models[0]} and 1 more say they were trained for min-of-k: --task min-of-k" in err


SCHEMA_1 = """
CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT, path TEXT, k INTEGER, vocab INTEGER) STRICT;
CREATE TABLE facts (sha256 TEXT PRIMARY KEY, correct TEXT, total TEXT, sampled INTEGER,
    accuracy_lower REAL, accuracy_upper REAL, sigma_1 REAL, sigma_2 REAL) STRICT;
CREATE TABLE results (sha256 TEXT, strategy TEXT, version INTEGER, semantics TEXT, status TEXT, reason TEXT,
    seconds REAL, certificate TEXT, correct TEXT, correct_at_most TEXT, total TEXT, family TEXT,
    complexity_class TEXT, search_us INTEGER, verify_us INTEGER, flops INTEGER, comparisons INTEGER,
    int_ops INTEGER, unexplained_dimension INTEGER,
    PRIMARY KEY (sha256, strategy, version, semantics)) STRICT;
INSERT INTO models VALUES ('a', 'one', '/one.safetensors', 3, 5);
INSERT INTO facts VALUES ('a', '120', '125', 0, 0.96, 0.96, 9.0, 3.0);
INSERT INTO results VALUES ('a', 'cubic', 1, 'real', 'proved', '', 1.5, 'c', '110', NULL, '125', 'published',
    'cubic', 1, 2, 3, 4, 5, 6);
INSERT INTO results (sha256, strategy, version, semantics, status, reason)
    VALUES ('a', 'brute-force', 1, 'real', 'time limit', 'more than 1 s');
PRAGMA user_version = 1;
"""
"""The ledger as it was before tasks, word for word (its table of audits came later)."""

OLD_FILE = ModelFile("/one.safetensors", "a", 3, 5)


def old_ledger(folder: Path) -> Path:
    path = folder / "ledger.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA_1)
    database.close()
    return path


def test_a_ledger_from_before_tasks_is_carried_over(tmp_path: Path) -> None:
    path = old_ledger(tmp_path)
    cubic, brute = Job(OLD_FILE, "cubic", 1, "real"), Job(OLD_FILE, "brute-force", 1, "real")
    other = [attrs.evolve(job, task=Task.min_of_k(5)) for job in (cubic, brute, Job.facts(OLD_FILE))]
    for _ in range(2):  # carried over, then opened as it is
        with Ledger(path) as ledger:
            assert ledger.unfinished([cubic, brute, Job.facts(OLD_FILE), *other]) == other
            assert ledger.unfinished([cubic, brute], retry=True) == [brute]
            assert ledger.certified() == {"c": "/one.safetensors"}
            assert ledger.audits() == []
    with Ledger(path) as ledger:
        before = {row["strategy"]: row for row in ledger.rows("results")}
        assert {row["task"] for row in before.values()} == {"max-of-k"}
        assert (before["cubic"]["correct"], before["cubic"]["unexplained_dimension"]) == ("110", 6)
        assert before["brute-force"]["reason"] == "more than 1 s"
        assert [(row["task"], row["sigma_2"]) for row in ledger.rows("facts")] == [("max-of-k", 3.0)]
        ledger.record(Outcome(other[1], Status.TIME, 9.0, "slow"))
        after = ledger.rows("results")
    assert [row for row in after if row["task"] == "max-of-k"] == [before["brute-force"], before["cubic"]]
    assert [str(row.setting) for row in read_study(tmp_path).models] == ["K=3, V=5", "K=3, V=5, min-of-k"]


def test_a_ledger_that_could_not_be_carried_over_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_ledger(tmp_path)

    def full(ledger: Ledger, table: str) -> dict[str, str]:
        if table == "old_results":
            raise OSError("the disk is full")
        return columns(ledger, table)

    columns = Ledger.columns
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "columns", full)
        with pytest.raises(OSError, match="full"):
            Ledger(path)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == 1
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert tables == {"models", "facts", "results"}
    database.close()
    with Ledger(path) as ledger:
        assert len(ledger.rows("results")) == 2


def test_a_ledger_of_a_later_certkit_is_left_alone(tmp_path: Path) -> None:
    path = old_ledger(tmp_path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 3")
    database.close()
    with pytest.raises(LedgerError, match=r"\(3\); use the certkit that wrote it"):
        Ledger(path)
