"""Why a class (q, m) is certified in full, in part or not at all: its closest calls, one for each n.

A *closest call* is found by a float search and then judged on its own: for the sequence it names, the
difference of logits is enclosed by interval arithmetic. "Correct" and "wrong" are therefore proved for that
sequence; that no other sequence of the class comes closer is only what the search says. It is exhaustive
up to rounding: for one x and n the sum ``Σ_p f_p(t_p)`` is largest when the n positions with the largest
``max_{t<m} f_p(t) − f_p(m)`` hold their best token and the others m.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from certkit.certificate import Certificate
from certkit.content import Box, Content, SetContent, class_size
from certkit.interval import Interval
from certkit.runs import run_has, run_size
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.task import Task, as_max_of_k


class ExplainError(ValueError):
    """There is no such class, or the certificate is about another model."""


class Judgement(enum.StrEnum):
    """What is proved about one sequence."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@attrs.frozen
class ClosestCall:
    """The sequence of a group that comes closest to a wrong answer, or is furthest beyond it.

    Attributes:
        sequence: its tokens, query last.
        x: the wrong token with the largest logit there, by the search.
        excess_lower: a lower bound of ``logit[x] − logit[m]``: the model is wrong if it is not negative.
        excess_upper: an upper bound of it: the model is right, as far as x goes, if it is negative.
        shares: each position's part of that difference (midpoints), then the direct path's.
        judgement: what the enclosure proves.
    """

    sequence: tuple[int, ...]
    x: int
    excess_lower: float
    excess_upper: float
    shares: tuple[float, ...]
    judgement: Judgement


@attrs.frozen
class Group:
    """The sequences of a class with exactly n non-query positions that do not hold m.

    `certified` is None where the certificate's content does not tell sequences apart by n: only sets do.
    """

    n: int
    sequences: int
    certified: int | None
    closest: ClosestCall | None


@attrs.frozen
class Explanation:
    """A class, what the certificate proves about it, and its groups by n.

    `q` is the query, `m` the token that comes last in the order of the task (its maximum, for Max-of-K), and
    `answer` the right logit, the label of m (m itself, for Max-of-K).
    """

    q: int
    m: int
    answer: int
    sequences: int
    certified: int
    groups: tuple[Group, ...]


def group_sizes(q: int, m: int, k: int) -> list[int]:
    """Return the number of sequences of the class for each n.

    >>> group_sizes(2, 2, 3), group_sizes(0, 2, 3)
    ([1, 4, 4], [1, 4])
    """
    most = k - 1 if q == m else k - 2
    return [math.comb(k - 1, n) * m**n for n in range(most + 1)]


def certified_by_n(entry: Content, k: int) -> Mapping[int, int] | None:
    """Return how many sequences `entry` certifies for each n; None if it does not tell them apart."""
    if not isinstance(entry, SetContent):
        return None
    counts = dict.fromkeys(range(k), 0)
    for cell in entry.cells:
        counts[cell.n] += cell.count(k)
    for box in entry.boxes:
        for n, count in enumerate(_box_by_n(box, entry.m)):
            counts[n] += count
    return counts


def _box_by_n(box: Box, m: int) -> list[int]:
    """Members for each n: the coefficients of ``Π_p ([m ∈ P_p] + |P_p \\ {m}|·z)``, less the exceptions."""
    counts = [1]
    for runs in box.positions:
        has = run_has(runs, m)
        others = run_size(runs) - has
        counts = [a * has + b * others for a, b in zip([*counts, 0], [0, *counts], strict=True)]
    if box.contains_max and counts:
        counts[-1] = 0
    for exception in box.exceptions:
        counts[sum(token != m for token in exception)] -= 1
    return counts


def explain(model: Model, certificate: Certificate, q: int, m: int) -> Explanation:
    """Explain what `certificate` proves about the class (q, m) of `model`; q and m are tokens.

    Raises:
        ExplainError: no such class, or the certificate is about another model.
    """
    check_subject(model, certificate)
    task, tokens = certificate.claim.task, range(model.vocab)
    if q not in tokens or m not in tokens or not _is_class(task.ranks[q], task.ranks[m], model.n_ctx):
        order = "" if task.is_max_of_k else " (in the order of the task)"
        raise ExplainError(
            f"q={q}, m={m}: no such class; 0 ≤ q ≤ m < {model.vocab}{order}, and q = m if K = 1"
        )
    subject, proof = as_max_of_k(model, certificate)
    return _in_tokens(_explain_ranks(subject, proof, task.ranks[q], task.ranks[m]), task)


def _is_class(q: int, m: int, k: int) -> bool:
    return q == m or (q < m and k > 1)


def _in_tokens(found: Explanation, task: Task) -> Explanation:
    """The same with tokens and logits in place of ranks."""

    def call_in_tokens(call: ClosestCall) -> ClosestCall:
        return attrs.evolve(call, sequence=task.tokens(call.sequence), x=task.logits[call.x])

    groups = tuple(
        attrs.evolve(group, closest=None if group.closest is None else call_in_tokens(group.closest))
        for group in found.groups
    )
    q, m = task.tokens((found.q, found.m))
    return attrs.evolve(found, q=q, m=m, answer=task.labels[m], groups=groups)


def _explain_ranks(model: Model, certificate: Certificate, q: int, m: int) -> Explanation:
    """`explain` for a certificate about Max-of-K, where the answer is m."""
    k, paths = model.n_ctx, path_tables(model)
    entry = next((e for e in certificate.content.entries if (e.q, e.m) == (q, m)), None)
    by_n = dict.fromkeys(range(k), 0) if entry is None else certified_by_n(entry, k)
    sizes = group_sizes(q, m, k)
    calls = _closest_calls(paths, q, m, len(sizes))
    groups = tuple(
        Group(n, size, None if by_n is None else by_n[n], calls.get(n))
        for n, size in enumerate(sizes)
        if size
    )
    certified = 0 if entry is None else entry.correct_at_least(k)
    return Explanation(q, m, m, sum(sizes), certified, groups)


def check_subject(model: Model, certificate: Certificate) -> None:
    """Raise `ExplainError` unless the certificate is about this model."""
    if certificate.claim.model_sha256 != model.sha256:
        raise ExplainError(
            f"the certificate is about model {certificate.claim.model_sha256[:12]}…, not {model.sha256[:12]}…"
        )


def least_certified_class(certificate: Certificate) -> tuple[int, int]:
    """Return q and m, tokens, of the class with most sequences not certified (the first one on a tie)."""
    k, vocab = certificate.claim.k, certificate.claim.vocab
    proved = {(e.q, e.m): e.correct_at_least(k) for e in certificate.content.entries}
    classes = [(q, m) for m in range(vocab) for q in range(m + 1) if _is_class(q, m, k)]
    q, m = max(classes, key=lambda place: class_size(place[0], place[1], k) - proved.get(place, 0))
    order = certificate.claim.task.order
    return order[q], order[m]


def _closest_calls(paths: Paths, q: int, m: int, groups: int) -> dict[int, ClosestCall]:
    """The closest call of each n, found in floats, judged by intervals."""
    if paths.vocab == 1:
        return {}
    k = paths.n_ctx
    f = _float_terms(paths, q, m)  # [K, m+1, V]
    slots = f[: k - 1]
    best, token = slots[:, :m].max(1) if m else (slots[:, 0], torch.zeros(k - 1, paths.vocab).long())
    order = (best - slots[:, m]).argsort(0, descending=True)  # [K-1, V]
    calls = {}
    for n in range(groups if m else 1):
        tokens = torch.full((k, paths.vocab), m)
        tokens[k - 1] = q
        tokens.scatter_(0, order[:n], token.gather(0, order[:n]))
        totals = f.gather(1, tokens.unsqueeze(1)).squeeze(1).sum(0)  # [V]
        totals[m] = -torch.inf
        x = int(totals.argmax())
        calls[n] = _judge(paths, tuple(tokens[:, x].tolist()), m, x)
    return calls


def _float_terms(paths: Paths, q: int, m: int) -> Tensor:
    """``f_p(t, x)`` for t ≤ m in plain floats, ``[K, m+1, V]``, divided by the largest weight."""
    evou, pvou, eupu = paths.EVOU.mid(), paths.PVOU.mid(), paths.EUPU.mid()[q]
    gain = (evou[: m + 1] - evou[: m + 1, m, None]) + (pvou - pvou[:, m, None])[:, None] + (eupu - eupu[m])
    score = paths.EQKE.mid()[q, : m + 1] + paths.EQKP.mid()[q, :, None]
    return (score - score.max()).exp().unsqueeze(-1) * gain


def _judge(paths: Paths, sequence: tuple[int, ...], m: int, x: int) -> ClosestCall:
    """Enclose ``logit[x] − logit[m]`` on one sequence."""
    tokens, q = torch.tensor(sequence), sequence[-1]
    score = paths.EQKE[q][tokens] + paths.EQKP[q]
    weight = (score - score.hi.max()).exp()
    attention = weight / weight.sum(0)
    gain = (paths.EVOU[tokens, x] - paths.EVOU[tokens, m]) + (paths.PVOU[:, x] - paths.PVOU[:, m])
    direct = paths.EUPU[q, x] - paths.EUPU[q, m]
    parts: Interval = attention * gain
    excess = parts.sum(0) + direct
    lower, upper = float(excess.lo), float(excess.hi)
    judgement = Judgement.UNDECIDED
    if upper < 0:
        judgement = Judgement.CORRECT
    elif lower >= 0:
        judgement = Judgement.WRONG
    shares = (*parts.mid().tolist(), float(direct.mid()))
    return ClosestCall(sequence, x, lower, upper, shares, judgement)
