"""The audit of one certificate against one model, in three steps: read, check what is countable, decide.

What only some certificates need (other rows than tails, other tasks, binary32) is in files of its own, which
are imported where such a certificate turns up. So nothing in them can matter to any other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from multiprocessing import Pool
from typing import Any, NamedTuple

from certkit.kernel.counting import check_disjoint, count_sets, need, read_parts
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Statement, read_certificate
from certkit.kernel.sets import PRECISIONS, SetRule, never_fails
from certkit.kernel.tails import Kind, check_row, check_tail, count_rows, tail_bounds
from certkit.kernel.verdict import Finding, Verdict, kernel_sha256
from certkit.kernel.weights import read_weights


class Outcome(NamedTuple):
    """What deciding one class gave: what it proves correct, the precision needed, or the finding."""

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
    bits = PRECISIONS[0]
    drawn = finding = task = None
    try:
        statement, entries = read_certificate(certificate, _further_entry)
        weights = read_weights(model)
        if weights.sha256 != statement.model:
            where = f"the certificate is about another model, {statement.model[:64]!a}"
            raise Finding("refuted", "model", where)
        if (statement.task, statement.semantics) == ("max-of-k", "real"):
            subject = Model(weights)
        else:
            from certkit.kernel.further import read_subject

            only_sets = all(entry.kind == "sets" for entry in entries)
            subject, task = read_subject(weights, statement, only_sets)
        total = subject.vocab**subject.k
        check_claim(statement, entries, subject)
        chosen = list(entries)
        if sample is not None:
            drawn = min(sample, len(entries)), len(entries)
            chosen = random.SystemRandom().sample(chosen, drawn[0])
        for outcome in _decide_all(subject, chosen, statement.correct_at_most is not None, jobs):
            correct, bits = correct + outcome.correct, max(bits, outcome.bits)
            finding = outcome.finding or finding
            if finding is not None and finding.verdict == "refuted":
                break
    except Finding as end:
        finding = end
    except RecursionError:
        finding = Finding("refused", "json", "the certificate or the model's header is nested too deeply")
    except MemoryError:
        finding = Finding("undecided", "memory", "this machine has not the memory that the audit takes")
    spent = round(time.monotonic() - start, 3)
    if finding is None and drawn is not None:
        whole = f"all would take about {spent * drawn[1] / max(1, drawn[0]):.0f} seconds"
        finding = Finding("sampled", "all", f"this is no verification; {whole}")
    finding = finding or Finding("verified", "all", "")
    answer, example = (finding.verdict, finding.rule, finding.where), finding.counterexample
    if task is not None and example is not None:
        example = tuple(task["order"][rank] for rank in example)
    return Verdict(*answer, correct, total, drawn, bits, spent, example, kernel_sha256(), task)


def check_claim(statement: Statement, entries: tuple[Entry, ...], model: Model) -> None:
    """Raise a `Finding` unless the content is well formed and adds up to exactly the claim."""
    if (statement.k, statement.vocab) != (model.k, model.vocab):
        raise Finding("refuted", "statement", f"the model has k={model.k} and vocab={model.vocab}")
    for one, two in pairwise(entries):
        if (one.q, one.m) >= (two.q, two.m):
            raise Finding("refuted", "order", f"q={two.q} m={two.m} after {(one.q, one.m)}")
    found = [account(entry, model.k, model.vocab) for entry in entries]
    for entry in entries:
        check_disjoint(entry, model.k)
    correct, failing, total = sum(n for n, _ in found), sum(n for _, n in found), model.vocab**model.k
    sums = {"total": total, "correct_at_least": correct, "correct_at_most": total - failing}
    for name, value in sums.items():
        claimed = getattr(statement, name)
        if claimed is not None and claimed != value:
            raise Finding("refuted", "claim", f"{name} is {claimed}, the content adds up to {value}")


def account(entry: Entry, k: int, vocab: int) -> tuple[int, int]:
    """Return how many sequences of a class the content certifies correct, and how many it says fail.

    Raise a `Finding` unless it is well formed.
    """
    need(0 <= entry.q <= entry.m < vocab and (k > 1 or entry.q == entry.m), entry, "no such class")
    return count_sets(entry, k) if entry.kind == "sets" else count_rows(entry, _kind(entry), k, vocab)


def decide(model: Model, entry: Entry, confirm: bool) -> Outcome:
    """Decide the content of one class."""
    bits = PRECISIONS[0]
    try:
        certified, _ = account(entry, model.k, model.vocab)
        if entry.kind == "sets":
            sets = SetRule(model, entry, read_parts(entry, model.k), confirm)
            return Outcome(certified, sets.check(), None)
        for row in entry.rows:
            bits = max(bits, check_row(model, entry, _kind(entry), row))
        if entry.kind != "pool":  # which is about all tokens
            named = {entry.m}.union(*(row.outputs for row in entry.rows))
            others = [x for x in range(model.vocab) if x not in named]
            bits = max([bits, *(never_fails(model, entry, x) for x in others)])
    except Finding as finding:
        return Outcome(0, bits, finding)
    return Outcome(certified, bits, None)


def _kind(entry: Entry) -> Kind:
    if entry.kind == "tails":
        return Kind(check_tail, tail_bounds)
    from certkit.kernel.further import KINDS

    return KINDS[entry.kind]


def _further_entry(value: Any, name: str) -> Entry:
    from certkit.kernel.further import read_entry

    return read_entry(value, name)


def _decide_all(model: Model, entries: list[Entry], confirm: bool, jobs: int) -> Iterator[Outcome]:
    decide_one = partial(decide, model, confirm=confirm)
    if jobs == 1:
        yield from map(decide_one, entries)
        return
    with Pool(jobs) as pool:  # in few large pieces, because the model goes with each of them
        yield from pool.imap_unordered(decide_one, entries, chunksize=1 + len(entries) // (8 * jobs))
