"""The audit of one certificate against one model, in three steps: read, check what is countable, decide.

What only some audits need (rows, claims from above, other tasks, binary32, samples and several processes) is
in files of its own, which are imported where it turns up. So nothing in them can matter to any other audit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

from certkit.kernel.counting import Entry
from certkit.kernel.model import Model
from certkit.kernel.reader import Statement, read_certificate, refuse, shaped
from certkit.kernel.sets import Sets
from certkit.kernel.verdict import PRECISIONS, Finding, Verdict
from certkit.kernel.weights import read_weights

#: The file with the shape and the rule of each kind of content.
KINDS = {"sets": "sets", "tails": "tails", "pool": "pools", "counts": "bins", "bounds": "bins"}
#: Called after each class with the number of classes decided, and of all.
Progress = Callable[[int, int], None]


class Outcome(NamedTuple):
    """What deciding one class gave: what it proves correct, the precision needed, or the finding."""

    correct: int
    bits: int
    finding: Finding | None


def audit(
    certificate: str, model: str, sample: int | None = None, jobs: int = 1, progress: Progress | None = None
) -> Verdict:
    """Decide a certificate against a model; never raises for what the two files may hold.

    Args:
        certificate: path of the certificate.
        model: path of the safetensors file.
        sample: decide only so many classes, drawn at random; such an audit never verifies.
        jobs: processes to use.
        progress: called after each class with the number of classes decided, and of all.
    """
    start, answer = time.monotonic(), Verdict()
    try:
        end = _decide_all(answer, certificate, model, sample, jobs, progress)
    except Finding as finding:
        end = finding
    except RecursionError:
        end = Finding("refused", "json", "the certificate or the model's header is nested too deeply")
    except MemoryError:
        end = Finding("undecided", "memory", "this machine has not the memory that the audit takes")
    answer.seconds = round(time.monotonic() - start, 3)
    if end.verdict == "sampled" and answer.sampled is not None:
        decided, classes = answer.sampled
        whole = answer.seconds * classes / max(1, decided)
        end.where = f"this is no verification; all would take about {whole:.0f} seconds"
    answer.end(end)
    return answer


def _decide_all(
    answer: Verdict, certificate: str, path: str, sample: int | None, jobs: int, progress: Progress | None
) -> Finding:
    """Return what ends an audit, and write into the answer what is known so far."""
    statement, content = read_certificate(certificate)
    entries = [read_entry(value, f"content[{i}]") for i, value in enumerate(content)]
    del content
    weights = read_weights(path)
    if weights.sha256 != statement.model:
        where = f"the certificate is about the model {statement.model[:64]!a}, not {weights.sha256!r}"
        raise Finding("refuted", "model", where)
    if (statement.task, statement.semantics) == ("max-of-k", "real"):
        model = Model(weights)
    else:
        from certkit.kernel.subjects import read_subject

        model, answer.task = read_subject(weights, statement, entries)
    answer.total = model.vocab**model.k
    claims = check_claim(statement, entries, model)
    if sample is not None:
        from certkit.kernel.work import draw

        claims, answer.sampled = draw(claims, sample)
    decide_one = partial(decide, model, statement.correct_at_most is not None)
    outcomes: Iterable[Outcome] = map(decide_one, claims)
    if jobs > 1:
        from certkit.kernel.work import spread

        outcomes = spread(decide_one, claims, jobs)
    finding = None
    for done, outcome in enumerate(outcomes, 1):
        answer.audited_correct += outcome.correct
        answer.precision_bits = max(answer.precision_bits, outcome.bits)
        finding = outcome.finding or finding
        if finding is not None and finding.verdict == "refuted":
            break
        if progress is not None:
            progress(done, len(claims))
    return finding or Finding("verified" if sample is None else "sampled", "all", "")


def read_entry(value: Any, name: str) -> Entry:
    """Return the content of one class, with its rule."""
    kind = next((kind for kind in KINDS if type(value) is dict and kind in value), None)
    if kind is None:
        refuse("schema", f"{name} must be an object with q, m and one of {', '.join(KINDS)}")
    shape, rule = import_module(f"certkit.kernel.{KINDS[kind]}").RULES[kind]
    entry: Entry = rule(*shaped(value, {"q": int, "m": int, kind: shape}, name).values())
    return entry


def check_claim(statement: Statement, entries: list[Entry], model: Model) -> list[tuple[Entry, int]]:
    """Return each class and how many of its sequences its content certifies.

    Raise a `Finding` unless the content is well formed and adds up to exactly the claim.
    """
    if (statement.k, statement.vocab) != (model.k, model.vocab):
        raise Finding("refuted", "statement", f"the model has k={model.k} and vocab={model.vocab}")
    for one, two in pairwise(entries):
        if (one.q, one.m) >= (two.q, two.m):
            raise Finding("refuted", "order", f"q={two.q} m={two.m} after {(one.q, one.m)}")
    found = [account(entry, model.k, model.vocab) for entry in entries]
    correct, failing, total = sum(n for n, _ in found), sum(n for _, n in found), model.vocab**model.k
    sums = {"total": total, "correct_at_least": correct, "correct_at_most": total - failing}
    for name, value in sums.items():
        claimed = getattr(statement, name)
        if claimed is not None and claimed != value:
            raise Finding("refuted", "claim", f"{name} is {claimed}, the content adds up to {value}")
    return [(entry, certified) for entry, (certified, _) in zip(entries, found, strict=True)]


def account(entry: Entry, k: int, vocab: int) -> tuple[int, int]:
    """Return how many sequences of a class the content certifies correct, and how many it says fail."""
    entry.need(0 <= entry.q <= entry.m < vocab and (k > 1 or entry.q == entry.m), "no such class")
    return entry.count(k, vocab)


def decide(model: Model, upper: bool, claim: tuple[Entry, int]) -> Outcome:
    """Decide the content of one class, its exceptions too if the claim has an upper end."""
    entry, certified = claim
    try:
        bits = entry.check(model)
        if upper and isinstance(entry, Sets):
            from certkit.kernel.exceptions import check_exceptions

            bits = max(bits, check_exceptions(model, entry))
        return Outcome(certified, bits, None)
    except Finding as finding:
        return Outcome(0, PRECISIONS[0], finding)
