"""A sweep finishes everything that can be finished, once, whatever happens to it."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from certkit.certificate import Certificate
from proofs import load_model
from proofs.proving import prove
from proofs.strategy import select
from proofs.sweep import (
    Ledger,
    LedgerError,
    Limits,
    Local,
    ModelFile,
    Remote,
    Status,
    Sweep,
    SweepError,
    SweepProgress,
    open_results,
    run_sweep,
)
from proofs.sweep.jobs import Job, job_from_json, outcome_from_json, to_json
from proofs.sweep.store import Store
from proofs.sweep.worker import run

NAMES = ["brute-force", "cubic", "EUPU-max-diff--attn-*--attn-err-svd"]


def small_sweep(models: list[Path], folder: Path, names: list[str] | None = None, **options: object) -> Sweep:
    return Sweep(models, select(names or NAMES), folder, Local(2), **options)


def ignore(progress: SweepProgress) -> None:
    pass


def bounds(folder: Path) -> dict[tuple[str, str], str]:
    """What was proved: correct counts by model and strategy."""
    ledger, _ = open_results(folder)
    with ledger:
        return {
            (r["sha256"], r["strategy"]): r["correct"] for r in ledger.rows("results") if r["certificate"]
        }


def certificates(folder: Path) -> set[str]:
    return open_results(folder)[1].digests()


@pytest.fixture(scope="session")
def finished(tiny_models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep."""
    folder = tmp_path_factory.mktemp("finished")
    seen: list[SweepProgress] = []
    assert run_sweep(small_sweep(tiny_models, folder), seen.append) == []
    assert (seen[0].before, seen[0].total) == (0, 15)
    assert (seen[-1].done, seen[-1].failed) == (15, 0)
    return folder


def test_every_result_is_what_proving_alone_gives(
    finished: Path, tiny_models: list[Path], tmp_path: Path
) -> None:
    ledger, store = open_results(finished)
    with ledger:
        rows, models, facts = (ledger.rows(t) for t in ("results", "models", "facts"))
    assert {m["name"] for m in models} == {p.stem for p in tiny_models}
    by_digest = {load_model(p).sha256: load_model(p) for p in tiny_models}
    assert len(rows) == 12
    for row in rows:
        path = tmp_path / "x.cert"
        path.write_bytes(store.read(row["certificate"]))
        certificate = Certificate.load(path)
        alone = prove(by_digest[row["sha256"]], row["strategy"])
        assert (certificate.claim, certificate.content) == (alone.claim, alone.content)
        assert int(row["correct"]) == alone.claim.correct_at_least
        assert row["flops"] == alone.remarks["cost"]["flops"]
    for fact in facts:
        assert fact["accuracy_lower"] == fact["accuracy_upper"] == int(fact["correct"]) / 125
        brute = [r for r in rows if r["sha256"] == fact["sha256"] and r["strategy"] == "brute-force"]
        assert int(brute[0]["correct"]) <= int(fact["correct"])


def test_parquet_says_what_the_ledger_says(finished: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    ledger, _ = open_results(finished)
    with ledger:
        for table in ("results", "models", "facts"):
            assert parquet.read_table(finished / f"{table}.parquet").to_pylist() == ledger.rows(table)


@pytest.mark.usefixtures("no_process")
def test_nothing_is_done_twice(finished: Path, tiny_models: list[Path]) -> None:
    before = certificates(finished)
    seen: list[SweepProgress] = []
    assert run_sweep(small_sweep(tiny_models, finished), seen.append) == []
    assert [(p.before, p.done) for p in seen] == [(15, 0)]
    assert certificates(finished) == before


def test_misbehaviour_harms_only_itself(plug_ins: None, tiny_models: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no model")
    models = [bad, tiny_models[0], tmp_path / "absent.safetensors"]
    sweep = small_sweep(models, tmp_path / "results", ["plug-*", "cubic"], limits=Limits(10.0, 2048))
    failures = run_sweep(sweep, ignore)
    ends = {f.job.strategy or Path(f.job.model.path).name: (f.status, f.reason) for f in failures}
    assert {name: status for name, (status, _) in ends.items()} == {
        "bad.safetensors": Status.BAD_MODEL,
        "absent.safetensors": Status.BAD_MODEL,
        "plug-sleeps": Status.TIME,
        "plug-devours": Status.MEMORY,
        "plug-dies": Status.CRASHED,
        "plug-errs": Status.CRASHED,
        "plug-refuses": Status.OUT_OF_REACH,
    }
    assert ends["plug-errs"][1] == "exit code 1: RuntimeError: a mistake of the programmer"
    assert ends["plug-dies"][1].startswith("killed by signal 9")
    assert ends["plug-sleeps"][1] == "more than 10 s"
    proved = {strategy for _, strategy in bounds(tmp_path / "results")}
    assert proved == {"cubic", "plug-naps", "plug-chatters"}
    # what failed stays failed, until a retry is asked for; what is out of reach stays so
    seen: list[SweepProgress] = []
    run_sweep(sweep, seen.append)
    assert seen[-1].done == 0
    quick = attrs.evolve(sweep, retry=True, strategies=select(["plug-errs", "plug-refuses", "plug-naps"]))
    seen.clear()
    run_sweep(quick, seen.append)
    assert [p.last.job.strategy for p in seen if p.last] == ["plug-errs"]


PROGRAM = """
import sys; from pathlib import Path
from proofs.strategy import select; from proofs.sweep import *
models = [Path(p) for p in sys.argv[2:]]
run_sweep(Sweep(models, select({names!r}), Path(sys.argv[1]), Local(1)), lambda p: print(p.done, flush=True))
"""


def start(folder: Path, models: list[Path]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(names=NAMES), str(folder), *map(str, models)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_and_resume(finished: Path, tiny_models: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with start(folder, tiny_models) as sweep:
        assert sweep.stdout is not None
        for line in sweep.stdout:
            if int(line) >= 4:
                break
        os.kill(sweep.pid, signal.SIGKILL)
    kept = len(bounds(folder))
    assert 0 < kept < 12
    seen: list[SweepProgress] = []
    run_sweep(attrs.evolve(small_sweep(tiny_models, folder), place=Local(1)), seen.append)
    assert seen[0].before >= 4
    assert seen[-1].done == 15 - seen[0].before
    assert bounds(folder) == bounds(finished)
    assert certificates(folder) == certificates(finished)


@pytest.mark.extended
def test_ten_kills_at_random_moments(finished: Path, tiny_models: list[Path], tmp_path: Path) -> None:
    folder, draw = tmp_path / "results", random.Random(9)
    for _ in range(10):
        with start(folder, tiny_models) as sweep:
            time.sleep(draw.uniform(2.0, 8.0))
            sweep.kill()
    run_sweep(small_sweep(tiny_models, folder), ignore)
    assert bounds(folder) == bounds(finished)
    assert certificates(folder) == certificates(finished)


@pytest.mark.extended
def test_two_sweeps_in_one_folder(finished: Path, tiny_models: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with start(folder, tiny_models) as one, start(folder, tiny_models[::-1]) as two:
        one.communicate()
        two.communicate()
        assert (one.returncode, two.returncode) == (0, 0)
    assert bounds(folder) == bounds(finished)
    assert certificates(folder) == certificates(finished)


def test_a_store_that_cannot_be_written_stops_the_sweep(tiny_models: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "certificates").write_text("in the way")
    with pytest.raises(OSError, match="a worker could not write") as caught:
        run_sweep(attrs.evolve(small_sweep(tiny_models, folder, ["cubic"]), place=Local(1)), ignore)
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)


def test_a_full_disk_under_the_ledger(tmp_path: Path) -> None:
    model = ModelFile("/" + "x" * 500, "", 4, 64)
    with Ledger(tmp_path / "ledger.sqlite") as small:
        small._db.execute("PRAGMA max_page_count = 12")
        many = (attrs.evolve(model, sha256=f"{number:064}") for number in range(10_000))
        with pytest.raises(OSError, match="full") as caught:
            small.add_models(many)
        assert caught.value.errno == errno.ENOSPC
        assert len(small.rows("models")) > 0


def test_a_disk_that_fills_while_certificates_are_written(tiny_models: list[Path], tmp_path: Path) -> None:
    """A file-size limit stands in for the disk: the sweep stops, keeps what it has, and goes on later."""
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
    command = [
        sys.executable,
        "-c",
        program + PROGRAM.format(names=["cubic"]),
        str(tmp_path),
        str(tiny_models[0]),
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "OSError" in ended.stderr or "sqlite" in ended.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    run_sweep(attrs.evolve(small_sweep(tiny_models[:1], tmp_path, ["cubic"]), place=Local(1)), ignore)
    assert len(bounds(tmp_path)) == 1


def test_a_changed_model_is_noticed(tiny_models: list[Path], tmp_path: Path) -> None:
    job = Job.proof(ModelFile(str(tiny_models[0]), "0" * 64, 3, 5), select(["cubic"])[0])
    outcome = run(job, {}, Store(tmp_path))
    assert outcome.status is Status.BAD_MODEL
    assert "has changed since the sweep began" in outcome.reason
    assert job_from_json(to_json(job)) == job
    assert outcome_from_json(to_json(outcome)) == outcome


def test_bad_requests(tiny_models: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="at least one model"):
        run_sweep(small_sweep([], tmp_path), ignore)
    with pytest.raises(SweepError, match="workers=0"):
        Local(0)
    with pytest.raises(ValueError, match="seconds=0"):
        Limits(0)
    with pytest.raises(ValueError, match="megabytes=1"):
        Limits(1, 1)
    with pytest.raises(SweepError, match="holds no sweep"):
        open_results(tmp_path)
    (tmp_path / "ledger.sqlite").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(LedgerError, match="is not a ledger"):
        run_sweep(small_sweep(tiny_models, tmp_path), ignore)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE things (name TEXT)")
    with pytest.raises(LedgerError, match="no ledger of this version"):
        Ledger(other)


def test_a_cluster_gives_the_same_certificates(
    finished: Path, tiny_models: list[Path], tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster:
        sweep = Sweep(tiny_models, select(NAMES), tmp_path, Remote(cluster.scheduler.address))
        assert run_sweep(sweep, ignore) == []
    assert bounds(tmp_path) == bounds(finished)
    assert certificates(tmp_path) == certificates(finished)


@pytest.mark.extended
def test_a_cluster_whose_worker_is_killed(finished: Path, tiny_models: list[Path], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    options = {"processes": True, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        victims = [worker.pid for worker in cluster.workers.values()]

        def kill_one(progress: SweepProgress) -> None:
            if progress.done == 1:
                os.kill(victims[0], signal.SIGKILL)

        sweep = Sweep(tiny_models, select(NAMES), tmp_path, Remote(cluster.scheduler.address))
        assert run_sweep(sweep, kill_one) == []
    assert bounds(tmp_path) == bounds(finished)
    assert certificates(tmp_path) == certificates(finished)


@pytest.mark.extended
def test_a_scheduler_that_does_not_answer(tiny_models: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    sweep = Sweep(tiny_models, select(["cubic"]), tmp_path, Remote("tcp://127.0.0.1:9"))
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        run_sweep(sweep, ignore)
