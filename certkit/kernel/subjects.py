"""What a claim is about, if not max-of-k of the reals: other tasks, and executions in binary32.

A claim about another task is one about max-of-k of a renamed model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from certkit.kernel.counting import Entry
from certkit.kernel.model import Model
from certkit.kernel.reader import Statement, refuse, shaped
from certkit.kernel.sets import Sets
from certkit.kernel.weights import Weights


class Task(NamedTuple):
    """The right logit for a sequence is ``labels[t]``, t being its token that comes last in `order`."""

    order: tuple[int, ...]
    labels: tuple[int, ...]


def read_subject(weights: Weights, statement: Statement, entries: list[Entry]) -> tuple[Model, Any]:
    """Return the model that the claim is about, and the task if it is another than max-of-k."""
    task = None
    if statement.task != "max-of-k":
        found = read_task(statement.task)
        weights, task = renamed(weights, found), found._asdict()
    if statement.semantics == "real":
        return Model(weights), task
    if statement.semantics != "float32":
        refuse("semantics", f"{statement.semantics[:40]!a} is unknown to this auditor")
    if not all(isinstance(entry, Sets) for entry in entries):
        refuse("semantics", "a float32 claim is audited if it has cells and boxes alone")
    from certkit.kernel.execution import Execution

    return Execution(weights), task


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
