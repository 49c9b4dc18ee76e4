"""Edits of the task a certificate is about: the order of the tokens and the label of each.

Content that certifies sequences names tokens by rank, so under another task it speaks of other sequences.
"""

from __future__ import annotations

from collections.abc import Callable

from certkit.testing.mutants.edits import Document, Inapplicable

__all__ = ["TASK_EDITS"]


def _task(document: Document) -> tuple[list[int], list[int]]:
    """The order and the labels, of a certificate that certifies sequences."""
    statement = document["statement"]
    if statement["vocab"] < 2 or not any("sets" in entry for entry in document["proof"]["content"]):
        raise Inapplicable
    identity = list(range(statement["vocab"]))
    if statement["task"] == "max-of-k":
        return identity, identity
    return statement["task"]["order"], statement["task"]["labels"]


def _restate(
    change: Callable[[list[int], list[int]], tuple[list[int], list[int]]],
) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        order, labels = change(*_task(document))
        document["statement"]["task"] = {"labels": labels, "order": order}

    return edit


def _forget(document: Document) -> None:
    _task(document)
    if document["statement"]["task"] == "max-of-k":
        raise Inapplicable
    document["statement"]["task"] = "max-of-k"


def _spell_out(document: Document) -> None:
    """Max-of-K has one spelling, its name."""
    identity = list(range(document["statement"]["vocab"]))
    document["statement"]["task"] = {"labels": identity, "order": identity}


TASK_EDITS: dict[str, Callable[[Document], None]] = {
    "task: order reversed": _restate(lambda order, labels: (order[::-1], labels)),
    "task: labels moved by one": _restate(lambda order, labels: (order, labels[1:] + labels[:1])),
    "task: a token twice": _restate(lambda order, labels: (order[:1] + order[:-1], labels)),
    "task: a label too few": _restate(lambda order, labels: (order, labels[:-1])),
    "task: forgotten": _forget,
    "task: its name spelled out": _spell_out,
}
"""What an adversary may do to the task; the value edits the document in place."""
