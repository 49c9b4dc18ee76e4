"""The same jobs on a Dask cluster: each task runs some jobs of one model in a worker process of its own.

Nothing is assumed to be shared with the cluster's machines but the installed package: models travel to them
as bytes, certificates come back as bytes, and the sweep writes both its store and its ledger itself. A task
whose machine dies is run again elsewhere by Dask; results that come twice are one result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from proofs.sweep.jobs import Job, Limits, Outcome, Status, outcome_from_json, to_json
from proofs.sweep.pool import Pool
from proofs.sweep.store import Store

_JOBS_PER_TASK: Final = 32
"""Small enough for results to come steadily, large enough for strategies of a model to share their work."""


def run_task(model: bytes, jobs: list[Job], limits: Limits) -> list[tuple[str, bytes]]:
    """Run jobs of one model, on the machine this is called on: outcomes as JSON, certificates as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(model)
        here = [attrs.evolve(job, model=attrs.evolve(job.model, path=str(path))) for job in jobs]
        store = Store(Path(folder) / "certificates")
        answers = []
        for outcome in Pool(store.folder, 1, limits).run(here):
            proof = outcome.proof
            data = store.path(proof.certificate).read_bytes() if proof is not None else b""
            answers.append((to_json(outcome), data))
        return answers


@attrs.frozen
class Cluster:
    """A Dask cluster that is already running.

    Attributes:
        address: of its scheduler, ``tcp://host:port``.
        store: where certificates are kept, on this machine.
        limits: what each job may use.
    """

    address: str
    store: Store
    limits: Limits

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes as they come; every job has exactly one.

        Raises:
            OSError: the scheduler does not answer, or the store cannot be written.
        """
        import distributed

        connect: Callable[..., Any] = distributed.Client
        as_completed: Callable[..., Iterable[Any]] = distributed.as_completed
        with connect(self.address, timeout="20s", set_as_default=False) as client:
            tasks = {}
            for jobs_of_task in _tasks(jobs):
                model = Path(jobs_of_task[0].model.path).read_bytes()
                tasks[client.submit(run_task, model, jobs_of_task, self.limits, pure=False)] = jobs_of_task
            for future in as_completed(list(tasks), loop=client.loop):
                yield from self._outcomes(future, tasks.pop(future))
                future.release()

    def _outcomes(self, future: Any, task: list[Job]) -> Iterator[Outcome]:
        """The outcomes of a finished task: its answers, or a crash for each of its jobs."""
        if future.status != "finished":
            reason = f"{type(future.exception()).__name__}: {future.exception()}"[:500]
            yield from (Outcome(job, Status.CRASHED, 0.0, reason) for job in task)
            return
        originals = {job.key: job for job in task}
        for text, certificate in future.result():
            outcome = outcome_from_json(text)
            if outcome.proof is not None:
                self.store.add_compressed(outcome.proof.certificate, certificate)
            yield attrs.evolve(outcome, job=originals[outcome.job.key])


def _tasks(jobs: Iterable[Job]) -> list[list[Job]]:
    by_subject: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        by_subject.setdefault(job.subject, []).append(job)
    return [
        own[i : i + _JOBS_PER_TASK] for own in by_subject.values() for i in range(0, len(own), _JOBS_PER_TASK)
    ]
