"""One worker process: ``python -m proofs.sweep.worker STORE MEGABYTES`` reads jobs and writes outcomes.

Jobs come one per line on standard input, outcomes go one per line to standard output, in the same order.
What can be foreseen (a model that is none, a strategy out of its reach, memory) becomes an outcome. Anything
else ends the process with a traceback on standard error, and its parent records a crash: there is no way for
an unforeseen error to look like a result. When standard input ends, because the parent is done or dead, so
does the worker.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Final

import attrs
import torch

from certkit.certificate import Certificate
from proofs.model import Model, ModelError, load_model
from proofs.proving import prove_with
from proofs.strategy import AnyStrategy, StrategyError, find
from proofs.sweep.facts import measure
from proofs.sweep.jobs import Job, Outcome, Proof, Status, job_from_json, to_json
from proofs.sweep.store import Store
from proofs.task import Task, renamed, restated
from proofs.workspace import Workspace

DISK_EXIT: Final = 74
"""Exit code of a worker that could not write its certificate (EX_IOERR); the sweep stops."""
_OUT_OF_MEMORY: Final = ("can't allocate memory", "not enough memory", "out of memory")


@attrs.frozen
class _Loaded:
    """A model, a task, the model renamed for it (`proofs.task`), and the work that strategies share."""

    model: Model
    task: Task
    subject: Model
    searching: Workspace
    verifying: Workspace

    @classmethod
    def of(cls, job: Job) -> _Loaded:
        model = load_model(job.model.path)
        if model.sha256 != job.model.sha256:
            raise ModelError(f"{job.model.path}: the file has changed since the sweep began; start it again")
        task = Task.max_of_k(model.vocab) if job.task is None else job.task
        subject = renamed(model, task)
        return cls(model, task, subject, Workspace(subject), Workspace(subject))


def summary(certificate: Certificate, strategy: AnyStrategy, digest: str) -> Proof:
    """The numbers of a certificate that the ledger keeps."""
    claim, remarks = certificate.claim, certificate.remarks
    cost, times = remarks["cost"], remarks["time_us"]
    if not isinstance(cost, dict) or not isinstance(times, dict):
        raise TypeError(f"remarks of {certificate.strategy} lack cost or time_us")
    return Proof(
        certificate=digest,
        correct=str(claim.correct_at_least),
        correct_at_most=None if claim.correct_at_most is None else str(claim.correct_at_most),
        total=str(claim.total),
        family=str(strategy.family),
        complexity_class=str(strategy.complexity_class),
        search_us=times["search"],
        verify_us=times["verify"],
        flops=cost["flops"],
        comparisons=cost["comparisons"],
        int_ops=cost["int_ops"],
        unexplained_dimension=cost["unexplained_dimension"],
    )


def _prove(job: Job, loaded: _Loaded, store: Store) -> Proof:
    strategy = find(job.strategy, job.semantics)
    if strategy.version != job.version:
        raise StrategyError(f"{job.strategy} is version {strategy.version} here, {job.version} was asked for")
    proof = prove_with(strategy, loaded.subject, loaded.searching, loaded.verifying)
    certificate = restated(proof, loaded.model, loaded.task)
    return summary(certificate, strategy, store.add(certificate))


def _is_memory(error: RuntimeError) -> bool:
    return any(sign in str(error) for sign in _OUT_OF_MEMORY)


def run(job: Job, loaded: dict[tuple[str, str], _Loaded], store: Store) -> Outcome:
    """Do one job; ``loaded`` keeps the last subject between jobs."""
    started = time.perf_counter()

    def ended(status: Status, reason: str = "") -> Outcome:
        return Outcome(job, status, time.perf_counter() - started, reason.split("\n")[0][:500])

    try:
        if job.subject not in loaded:
            loaded.clear()
            loaded[job.subject] = _Loaded.of(job)
        here = loaded[job.subject]
        if job.strategy == "":
            return attrs.evolve(ended(Status.PROVED), facts=measure(here.subject))
        proof = _prove(job, here, store)
        return attrs.evolve(ended(Status.PROVED), proof=proof)
    except ModelError as error:
        return ended(Status.BAD_MODEL, str(error))
    except StrategyError as error:
        return ended(Status.OUT_OF_REACH, str(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_memory(error):
            raise
        loaded.clear()
        return ended(Status.MEMORY, str(error) or "out of memory")


def main(arguments: list[str]) -> int:
    """Serve jobs until standard input ends."""
    store, megabytes = Store(Path(arguments[0])), int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, resource.RLIM_INFINITY))
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing but answers may reach the parent's pipe
    loaded: dict[tuple[str, str], _Loaded] = {}
    for line in sys.stdin:
        try:
            outcome = run(job_from_json(line), loaded, store)
        except OSError as error:
            number = error.errno or errno.EIO
            print(f"{number} {os.strerror(number)}: {error.filename or store.folder}", file=sys.stderr)
            return DISK_EXIT
        answers.write(to_json(outcome) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
