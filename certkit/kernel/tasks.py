"""Other tasks than max-of-k, as max-of-k of a renamed model. Loaded only for a certificate about one."""

from __future__ import annotations

from typing import Any, NamedTuple

from certkit.kernel.reader import refuse, shaped
from certkit.kernel.weights import Weights


class Task(NamedTuple):
    """The right logit for a sequence is ``labels[t]``, t being its token that comes last in `order`."""

    order: tuple[int, ...]
    labels: tuple[int, ...]


def read_task(value: Any) -> Task:
    """Return the task that a statement names."""
    if type(value) is str:
        refuse("task", f"task {value[:40]!a} is unknown to this auditor")
    return Task(**shaped(value, {"order": [int], "labels": [int]}, "task"))


def renamed(weights: Weights, task: Task) -> Weights:
    """Return the model of max-of-k that is right exactly where this one is right about the task.

    Its token r is the token ``order[r]``, its logit r is that token's label. Rows of W_E and columns of W_U
    change places, so every logit is computed as before, in exact and in rounded arithmetic alike.
    """
    order, labels = task
    embed, unembed = weights.matrices["W_E"], weights.matrices["W_U"]
    every = list(range(len(embed.rows)))
    if not sorted(order) == sorted(labels) == every == list(range(len(unembed.rows[0]))):
        refuse("task", f"order and labels must each hold every token below {len(every)} exactly once")
    if [*order] == [*labels] == every:
        refuse("task", "this task is spelled max-of-k")
    tokens = [embed.rows[token] for token in order]
    logits = [[row[labels[token]] for token in order] for row in unembed.rows]
    changed = {"W_E": embed._replace(rows=tokens), "W_U": unembed._replace(rows=logits)}
    return Weights(weights.matrices | changed, weights.sha256)
