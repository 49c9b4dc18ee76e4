"""The whole study: every strategy on every model, on one machine or many, resumable at any moment.

`run_sweep` fills a folder with

* ``ledger.sqlite``, which says what is finished (`proofs.sweep.ledger`);
* ``certificates/``, compressed and named by their content (`proofs.sweep.store`);
* ``results.parquet``, ``facts.parquet`` and ``models.parquet``, exported from the ledger at the end.

A finished job is never done again. A job that fails, or passes its limits of time or memory, is recorded with
the reason and the others go on. `proofs.report` makes tables and figures of such a folder.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

from certkit.atomic import write_atomically
from proofs.model import ModelError, load_model
from proofs.strategy import AnyStrategy
from proofs.sweep.cluster import Cluster
from proofs.sweep.jobs import Audited, Facts, Job, Limits, ModelFile, Outcome, Proof, Status
from proofs.sweep.ledger import Ledger, LedgerError
from proofs.sweep.pool import Pool
from proofs.sweep.store import Store
from proofs.task import Task, TaskError

__all__ = [
    "Audited",
    "Cluster",
    "Facts",
    "Job",
    "Ledger",
    "LedgerError",
    "Limits",
    "Local",
    "ModelFile",
    "Outcome",
    "Proof",
    "Remote",
    "Status",
    "Store",
    "Sweep",
    "SweepError",
    "SweepProgress",
    "export",
    "open_results",
    "run_sweep",
]


class SweepError(ValueError):
    """A sweep that cannot start; the message names the value and the remedy."""


@attrs.frozen
class Local:
    """This machine: so many worker processes."""

    workers: int

    def __attrs_post_init__(self) -> None:
        if self.workers < 1:
            raise SweepError(f"workers={self.workers}: a sweep needs at least 1")


@attrs.frozen
class Remote:
    """A Dask cluster that is already running."""

    scheduler: str


@attrs.frozen
class Sweep:
    """What is to be proved, and where.

    Attributes:
        models: safetensors files.
        strategies: what to prove them with.
        folder: where results go.
        place: this machine or a cluster.
        limits: what each job may use.
        retry: try jobs again that failed, crashed or passed their limits before.
        task: the task of so many tokens, ``Task.max_of_k``, ``Task.min_of_k`` or a function of your own. Jobs
            of another task on the same models are other jobs, so tasks can be swept into one folder in turn.
    """

    models: Sequence[Path]
    strategies: Sequence[AnyStrategy]
    folder: Path
    place: Local | Remote
    limits: Limits = attrs.field(factory=Limits)
    retry: bool = False
    task: Callable[[int], Task] = Task.max_of_k


@attrs.frozen
class SweepProgress:
    """How far a sweep is: jobs of this sweep finished before, finished now, failed now, and all of them."""

    before: int
    done: int
    failed: int
    total: int
    last: Outcome | None


def ledger_path(folder: Path) -> Path:
    """Where the ledger of a results folder is."""
    return folder / "ledger.sqlite"


def open_results(folder: Path) -> tuple[Ledger, Store]:
    """The ledger and certificates of a results folder that is there.

    Raises:
        SweepError: it is not a results folder.
    """
    if not ledger_path(folder).is_file():
        raise SweepError(
            f"{folder} holds no sweep ({ledger_path(folder).name} is missing); run certkit sweep first"
        )
    return Ledger(ledger_path(folder)), Store(folder / "certificates")


def _inspect(path: Path) -> tuple[ModelFile, str]:
    """The model in a file and an empty string, or an empty model and why it is none."""
    try:
        model = load_model(path)
    except ModelError as error:
        return ModelFile(str(path.absolute()), ""), str(error)
    return ModelFile(str(path.absolute()), model.sha256, model.n_ctx, model.vocab), ""


def _task_for(sweep: Sweep, model: ModelFile) -> Task | None:
    """The task for the model's tokens, as jobs name it: none is Max-of-K."""
    try:
        task = sweep.task(model.vocab)
        task.check_vocab(model.vocab)
    except TaskError as error:
        raise SweepError(f"{model.path}: {error}") from error
    return None if task.is_max_of_k else task


def _plan(sweep: Sweep) -> tuple[list[Job], list[Outcome]]:
    """All jobs of the sweep, and an outcome for each model that is none."""
    jobs: dict[tuple[str, str, str, int, str], Job] = {}
    bad = []
    for path in sweep.models:
        model, problem = _inspect(path)
        if problem:
            bad.append(Outcome(Job(model, "", 0, ""), Status.BAD_MODEL, 0.0, problem))
            continue
        task = _task_for(sweep, model)
        own = [Job.facts(model, task), *(Job.proof(model, strategy, task) for strategy in sweep.strategies)]
        jobs |= {job.key: job for job in own if job.key not in jobs}
    return list(jobs.values()), bad


def run_sweep(sweep: Sweep, watch: Callable[[SweepProgress], None]) -> list[Outcome]:
    """Do what is not yet done of ``sweep``; returns the jobs that ended without a proof, now or before.

    Interrupting it, in whatever way, keeps every result that was reported to ``watch``.

    Raises:
        SweepError: no models or no strategies, or a model with other tokens than the task.
        LedgerError: the folder holds something else.
        OSError: the disk is full, the folder cannot be written, or the scheduler does not answer.
        ModuleNotFoundError: pyarrow or distributed is not installed.
    """
    if not sweep.models or not sweep.strategies:
        raise SweepError("a sweep needs at least one model and one strategy")
    importlib.import_module("pyarrow.parquet")  # needed at the end: found missing now, not after the work
    sweep.folder.mkdir(parents=True, exist_ok=True)
    jobs, failures = _plan(sweep)
    store = Store(sweep.folder / "certificates")
    with Ledger(ledger_path(sweep.folder)) as ledger:
        ledger.add_models({job.model for job in jobs})
        todo = ledger.unfinished(jobs, sweep.retry)
        before, total = len(jobs) - len(todo), len(jobs) + len(failures)
        done, failed = 0, len(failures)
        watch(SweepProgress(before, done, failed, total, None))
        for outcome in _runner(sweep, store).run(todo):
            ledger.record(outcome)
            done += 1
            if outcome.status is not Status.PROVED:
                failed += 1
                failures.append(outcome)
            watch(SweepProgress(before, done, failed, total, outcome))
        export(ledger, sweep.folder)
    return failures


def _runner(sweep: Sweep, store: Store) -> Pool | Cluster:
    if isinstance(sweep.place, Local):
        return Pool(store.folder, sweep.place.workers, sweep.limits)
    return Cluster(sweep.place.scheduler, store, sweep.limits)


def export(ledger: Ledger, folder: Path) -> Iterable[Path]:
    """Write the ledger's tables as Parquet files, each complete or not at all; returns their paths."""
    import pyarrow
    from pyarrow import parquet

    types = {"TEXT": pyarrow.string(), "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    paths = []
    for table in ("models", "facts", "results"):
        schema = pyarrow.schema([(name, types[kind]) for name, kind in ledger.columns(table).items()])
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(ledger.rows(table), schema=schema), buffer)
        paths.append(folder / f"{table}.parquet")
        write_atomically(paths[-1], buffer.getvalue())
    return paths
