"""A pool of worker processes with limits: a job that takes too long or crashes harms only itself."""

from __future__ import annotations

import collections
import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeAlias

import attrs

from proofs.sweep.jobs import Job, Limits, Outcome, Status, outcome_from_json, to_json
from proofs.sweep.worker import DISK_EXIT

_STARTING_SECONDS = 120.0
"""A new process may take this long to load its libraries before its first job's clock is believed."""


class Process:
    """A worker process with at most one job under way."""

    def __init__(self, store: Path, limits: Limits) -> None:
        self.limits = limits
        self.job: Job | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._grace = _STARTING_SECONDS
        self._deadline = self._began = 0.0
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.sweep.worker", str(store), str(limits.megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a worker process has no pipes")
        self._input, self.output = self._process.stdin, self._process.stdout

    def start(self, job: Job) -> None:
        """Hand over a job and start its clock."""
        self.job, self._began = job, time.monotonic()
        self._deadline = self._began + self.limits.seconds + self._grace
        with contextlib.suppress(BrokenPipeError):  # a dead process is noticed by its output's end
            self._input.write(to_json(job) + "\n")
            self._input.flush()

    def answer(self) -> Outcome | None:
        """The outcome that became readable, or None where the process ended instead."""
        line = self.output.readline()
        if not line.endswith("\n"):
            return None
        self.job, self._grace = None, 0.0
        return outcome_from_json(line)

    def remaining(self) -> float:
        """Seconds left for the job under way."""
        return self._deadline - time.monotonic()

    def stop(self) -> int:
        """End the process now; returns its exit code."""
        self._process.kill()
        code = self._process.wait()
        for stream in (self._input, self.output, self._errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return code

    def late(self) -> Outcome:
        """Stop a job that is over its time."""
        return self._ended(Status.TIME, f"more than {self.limits.seconds:g} s")

    def fallen(self) -> Outcome:
        """The outcome of a job whose process ended by itself.

        Raises:
            OSError: the process could not write: the sweep cannot go on.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        if code == DISK_EXIT:
            number, _, what = last.partition(" ")
            raise OSError(int(number), f"a worker could not write ({what})")
        signalled = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        memory = "MemoryError" in last or "bad_alloc" in last
        return self._ended(Status.MEMORY if memory else Status.CRASHED, f"{signalled}: {last}"[:500])

    def _ended(self, status: Status, reason: str) -> Outcome:
        if self.job is None:
            raise RuntimeError("an idle worker process has no outcome")
        job, seconds = self.job, time.monotonic() - self._began
        self.stop()
        return Outcome(job, status, seconds, reason)


@attrs.frozen
class Pool:
    """Worker processes over a queue of jobs.

    Attributes:
        store: the folder certificates are written to.
        workers: how many processes.
        limits: what each job may use.
    """

    store: Path
    workers: int
    limits: Limits

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes as they come; every job has exactly one. Closing the iterator ends the processes.

        Raises:
            OSError: the disk is full or the store cannot be written.
        """
        queues = _by_subject(jobs)
        busy: list[Process] = []
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            stack.callback(lambda: [process.stop() for process in busy])
            while queues or busy:
                while queues and len(busy) < self.workers:
                    process = Process(self.store, self.limits)
                    busy.append(process)
                    selector.register(process.output, selectors.EVENT_READ, process)
                    process.start(_next(queues, None))
                wait = max(0.0, min(process.remaining() for process in busy))
                ready = {key.data for key, _ in selector.select(wait)}
                for process in list(busy):
                    if process in ready or process.remaining() <= 0:
                        last = process.job
                        outcome = process.answer() if process in ready else None
                        if outcome is not None and queues:
                            process.start(_next(queues, last))
                        else:
                            busy.remove(process)
                            selector.unregister(process.output)
                        if outcome is None:
                            outcome = process.fallen() if process in ready else process.late()
                        elif process.job is None:
                            process.stop()
                        yield outcome


_Queues: TypeAlias = dict[tuple[str, str], collections.deque[Job]]


def _by_subject(jobs: Iterable[Job]) -> _Queues:
    """The queue of each subject's jobs (its strategies share work, so they stay together)."""
    queues: _Queues = {}
    for job in jobs:
        queues.setdefault(job.subject, collections.deque()).append(job)
    return queues


def _next(queues: _Queues, last: Job | None) -> Job:
    """The next job: of the same subject while there is one, else of the subject with most still to do."""
    if last is not None and last.subject in queues:
        subject = last.subject
    else:
        subject = max(queues, key=lambda one: len(queues[one]))
    job = queues[subject].popleft()
    if not queues[subject]:
        del queues[subject]
    return job
