"""The audit of one certificate against one model, in three steps: read, check what is countable, decide.

What only some audits need (rows, claims from above, other tasks, binary32, samples and several processes) is
in files of its own, which are imported where it turns up. So nothing in them can matter to any other audit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from certkit.kernel.counting import check_disjoint, need
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Statement, read_certificate
from certkit.kernel.sets import PRECISIONS, Sets
from certkit.kernel.verdict import Finding, Verdict, kernel_sha256
from certkit.kernel.weights import read_weights

if TYPE_CHECKING:
    from certkit.kernel.tails import Kind


class Outcome(NamedTuple):
    """What deciding one class gave: what it proves correct, the precision needed, or the finding."""

    correct: int
    bits: int
    finding: Finding | None


def audit(
    certificate: str, model: str, sample: int | None = None, jobs: int = 1, progress: TextIO | None = None
) -> Verdict:
    """Decide a certificate against a model; never raises for what the two files may hold.

    Args:
        certificate: path of the certificate.
        model: path of the safetensors file.
        sample: decide only so many classes, drawn at random; such an audit never verifies.
        jobs: processes to use.
        progress: where to write, every minute, how many classes are decided.
    """
    start = told = time.monotonic()
    correct = total = 0
    bits = PRECISIONS[0]
    drawn = finding = task = None
    try:
        statement, entries = read_certificate(certificate, _beyond)
        weights = read_weights(model)
        if weights.sha256 != statement.model:
            where = f"the certificate is about the model {statement.model[:64]!a}, not {weights.sha256!r}"
            raise Finding("refuted", "model", where)
        if (statement.task, statement.semantics) == ("max-of-k", "real"):
            subject = Model(weights)
        else:
            from certkit.kernel.subjects import read_subject

            only_sets = all(entry.kind == "sets" for entry in entries)
            subject, task = read_subject(weights, statement, only_sets)
        total = subject.vocab**subject.k
        check_claim(statement, entries, subject)
        if sample is not None:
            from certkit.kernel.work import draw

            entries, drawn = draw(entries, sample)
        decide_one = partial(decide, subject, upper=statement.correct_at_most is not None)
        outcomes: Iterable[Outcome] = map(decide_one, entries)
        if jobs > 1:
            from certkit.kernel.work import spread

            outcomes = spread(decide_one, entries, jobs)
        for done, outcome in enumerate(outcomes, 1):
            correct, bits = correct + outcome.correct, max(bits, outcome.bits)
            finding = outcome.finding or finding
            if finding is not None and finding.verdict == "refuted":
                break
            if progress is not None and time.monotonic() - told > 60:
                told = time.monotonic()
                with suppress(OSError):
                    print(f"c {done} of {len(entries)} classes", file=progress, flush=True)
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
    return _rule(entry).count(entry, k, vocab)


def decide(model: Model, entry: Entry, upper: bool) -> Outcome:
    """Decide the content of one class, its exceptions too if the claim has an upper end."""
    try:
        certified, _ = account(entry, model.k, model.vocab)
        bits = _rule(entry).check(model, entry)
        if upper and entry.kind == "sets":
            from certkit.kernel.exceptions import check_exceptions

            bits = max(bits, check_exceptions(model, entry))
        return Outcome(certified, bits, None)
    except Finding as finding:
        return Outcome(0, PRECISIONS[0], finding)


def _rule(entry: Entry) -> Sets | Kind:
    if entry.kind == "sets":
        return Sets()
    if entry.kind == "tails":
        from certkit.kernel.tails import TAILS

        return TAILS
    from certkit.kernel.kinds import KINDS

    return KINDS[entry.kind]


def _beyond(value: Any, name: str) -> Entry:
    from certkit.kernel.kinds import read_entry

    return read_entry(value, name)
