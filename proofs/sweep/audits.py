"""The auditor over the certificates of a sweep: all, or some drawn at random; resumable like the sweep.

Each certificate is decompressed and handed to `certkit.kernel.audit` with the model file that the ledger
names; what the ledger says about bounds plays no part. The verdicts are kept in the ledger under
(certificate, digest of the auditor), so an audit that was interrupted goes on, and a new auditor begins anew.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import attrs

from certkit.kernel import audit, kernel_sha256
from proofs.sweep.jobs import Audited
from proofs.sweep.ledger import Ledger
from proofs.sweep.store import Store

__all__ = ["AuditPlan", "AuditSummary", "audit_results"]


@attrs.frozen
class AuditPlan:
    """Which certificates of a sweep are audited, and with how many processes.

    Attributes:
        sample: so many drawn at random, or all of them.
        seed: of the drawing; the same seed draws the same certificates of the same sweep.
        workers: processes.
        strategies: patterns of `proofs.strategy.select`; certificates of others are not drawn.
    """

    sample: int | None = None
    seed: int = 0
    workers: int = 1
    strategies: Sequence[str] = ("all",)

    def __attrs_post_init__(self) -> None:
        for name in ("sample", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")


@attrs.frozen
class AuditSummary:
    """What became of the audits of a plan.

    Attributes:
        audited: the verdict of each certificate that was drawn, those of earlier runs included.
        certificates: how many there were to draw from.
    """

    audited: Sequence[Audited]
    certificates: int

    @property
    def not_verified(self) -> list[Audited]:
        """Those whose verdict is not ``verified``."""
        return [one for one in self.audited if one.verdict != "verified"]

    @property
    def seconds(self) -> float:
        """Processor seconds of the audits that were drawn."""
        return sum(one.seconds for one in self.audited)

    @property
    def seconds_for_all(self) -> float:
        """What all certificates would take at the mean of those that were drawn, one after another."""
        return self.seconds / len(self.audited) * self.certificates if self.audited else 0.0


def audit_results(
    ledger: Ledger, store: Store, plan: AuditPlan, watch: Callable[[int, int], None]
) -> AuditSummary:
    """Audit certificates of a sweep, those first that no run of this auditor has seen.

    ``watch`` gets how many are done and how many there are. Every verdict is in the ledger before it is told.

    Raises:
        StrategyError: a pattern of the plan names no certificate of the sweep, which has others.
        OSError: a certificate is not in the store, or the ledger cannot be written.
    """
    models = ledger.certified(plan.strategies)
    drawn = sorted(models)
    if plan.sample is not None and plan.sample < len(drawn):
        drawn = sorted(random.Random(plan.seed).sample(drawn, plan.sample))
    done = {one.certificate: one for one in ledger.audits(kernel_sha256())}
    todo = [digest for digest in drawn if digest not in done]
    watch(len(drawn) - len(todo), len(drawn))
    finished = len(drawn) - len(todo)
    for one in _run(store, [(digest, models[digest]) for digest in todo], plan.workers):
        ledger.record_audit(one)
        done[one.certificate] = one
        finished += 1
        watch(finished, len(drawn))
    return AuditSummary([done[digest] for digest in drawn], len(models))


def _run(store: Store, jobs: Sequence[tuple[str, str]], workers: int) -> Iterator[Audited]:
    if not jobs:
        return
    # a fresh interpreter for each worker: threads of this one would not survive a fork
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
        try:
            futures = [pool.submit(_audit_one, store, digest, model) for digest, model in jobs]
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _audit_one(store: Store, digest: str, model: str) -> Audited:
    with tempfile.NamedTemporaryFile(suffix=".cert") as file:
        file.write(store.read(digest))
        file.flush()
        began = time.process_time()
        verdict = audit(file.name, model)
        seconds = time.process_time() - began
    where = f"{verdict.rule}: {verdict.where}" if verdict.where else ""
    return Audited(digest, verdict.kernel_sha256, verdict.verdict, where, seconds)
