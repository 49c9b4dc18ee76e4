"""The audit of one certificate against one model, in three steps: read, check what is countable, decide."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool
from typing import NamedTuple

from certkit.kernel.counting import check_entry, contribution
from certkit.kernel.execution import Execution
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Statement, Task, read_certificate
from certkit.kernel.rows import check_row
from certkit.kernel.sets import PRECISIONS, SetRule, never_fails
from certkit.kernel.verdict import Finding, Verdict, kernel_sha256
from certkit.kernel.weights import read_weights, renamed


class Outcome(NamedTuple):
    """What deciding one class gave: the precision needed, or the finding."""

    correct: int
    bits: int
    finding: Finding | None


def audit(certificate: str, model: str, sample: int | None = None, jobs: int = 1) -> Verdict:
    """Decide a certificate against a model; never raises for what the two files may hold.

    Args:
        certificate: path of the certificate.
        model: path of the safetensors file.
        sample: decide only so many classes, drawn at random; such an audit never verifies.
        jobs: processes to use.
    """
    start = time.monotonic()
    correct = total = 0
    bits, drawn = PRECISIONS[0], None
    finding: Finding | None = None
    task: Task | None = None
    try:
        statement, entries = read_certificate(certificate)
        weights = read_weights(model)
        if weights.sha256 != statement.model:
            where = f"the certificate is about another model, {statement.model[:64]!r}"
            raise Finding("refuted", "model", where)
        if statement.task is not None:
            weights, task = renamed(weights, statement.task), statement.task
        subject = Execution(weights) if statement.semantics == "float32" else Model(weights)
        total = subject.vocab**subject.k
        check_claim(statement, entries, subject)
        chosen = list(entries)
        if sample is not None:
            chosen = random.SystemRandom().sample(chosen, min(sample, len(chosen)))
            drawn = len(chosen), len(entries)
        for outcome in _decide_all(subject, chosen, statement.correct_at_most is not None, jobs):
            correct, bits = correct + outcome.correct, max(bits, outcome.bits)
            finding = finding or outcome.finding
            if outcome.finding is not None and outcome.finding.verdict == "refuted":
                finding = outcome.finding
                break
    except Finding as end:
        finding = end
    if finding is None:
        finding = Finding("verified" if drawn is None else "sampled", "all", "")
    answer, example = (finding.verdict, finding.rule, finding.where), finding.counterexample
    if task is not None and example is not None:
        example = tuple(task.order[rank] for rank in example)
    seconds, about = time.monotonic() - start, None if task is None else task._asdict()
    return Verdict(*answer, correct, total, drawn, bits, seconds, example, kernel_sha256(), about)


def check_claim(statement: Statement, entries: tuple[Entry, ...], model: Model) -> None:
    """Raise a `Finding` unless the content is well formed and adds up to exactly the claim."""
    if statement.semantics not in ("real", "float32"):
        raise Finding("refused", "semantics", f"{statement.semantics[:40]!r} is unknown to this auditor")
    if statement.semantics == "float32" and any(entry.kind != "sets" for entry in entries):
        raise Finding("refused", "semantics", "a float32 claim is audited if it has cells and boxes alone")
    if (statement.k, statement.vocab) != (model.k, model.vocab):
        raise Finding("refuted", "statement", f"the model has k={model.k} and vocab={model.vocab}")
    previous = (-1, -1)
    correct = failing = 0
    for entry in entries:
        if (entry.q, entry.m) <= previous:
            raise Finding("refuted", "order", f"q={entry.q} m={entry.m} after {previous}")
        previous = entry.q, entry.m
        check_entry(entry, model.k, model.vocab)
        passing, wrong = contribution(entry, model.k)
        correct, failing = correct + passing, failing + wrong
    total = model.vocab**model.k
    found = {"total": total, "correct_at_least": correct, "correct_at_most": total - failing}
    for name, value in found.items():
        claimed = getattr(statement, name)
        if claimed is not None and claimed != value:
            where = f"{name} is {claimed}, the content adds up to {value}"
            raise Finding("refuted", "claim", where[:300])


def decide(model: Model, entry: Entry, confirm: bool) -> Outcome:
    """Decide the content of one class."""
    bits = PRECISIONS[0]
    try:
        if entry.kind == "sets":
            rule = SetRule(model, entry, confirm)
            rule.check()
            bits = rule.bits
        else:
            for row in entry.rows:
                bits = max(bits, check_row(model, entry, row))
            covered = {entry.m}.union(*((row.x, *row.others) for row in entry.rows))
            for x in set(range(model.vocab)) - covered if entry.kind != "pool" else ():
                bits = max(bits, never_fails(model, entry, x))
    except Finding as finding:
        return Outcome(0, bits, finding)
    return Outcome(contribution(entry, model.k)[0], bits, None)


def _decide_all(model: Model, entries: list[Entry], confirm: bool, jobs: int) -> Iterator[Outcome]:
    decide_one = partial(decide, model, confirm=confirm)
    if jobs == 1:
        yield from map(decide_one, entries)
        return
    with Pool(jobs) as pool:  # in few large pieces, because the model goes with each of them
        yield from pool.imap_unordered(decide_one, entries, chunksize=1 + len(entries) // (8 * jobs))
