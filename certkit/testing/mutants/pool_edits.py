"""Edits of pools: numbers they do not prove, and ladders and token sets that prove less than they say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from certkit.testing.mutants.edits import Document, Inapplicable

__all__ = ["POOL_EDITS"]

Pool = dict[str, Any]


def _pools(document: Document) -> list[Document]:
    """The classes with a pool that certifies some of their sequences, but not all."""
    entries = [entry for entry in document["proof"]["content"] if "pool" in entry]
    size = document["statement"]["k"] - 1
    partial = [e for e in entries if 0 < int(e["pool"]["failing_at_most"]) < _size(e, size)]
    if not partial:
        raise Inapplicable
    return partial


def _size(entry: Document, slots: int) -> int:
    q, m = entry["q"], entry["m"]
    return int((m + 1) ** slots - (m**slots if q < m else 0))


def _field(name: str, value: Any) -> Callable[[Document], None]:
    """Set a field of the first such pool."""

    def edit(document: Document) -> None:
        _pools(document)[0]["pool"][name] = value

    return edit


def _claims(change: Callable[[int], int]) -> Callable[[Document], None]:
    """Let the pool with most failures claim fewer of them."""

    def edit(document: Document) -> None:
        pool = max((entry["pool"] for entry in _pools(document)), key=lambda p: int(p["failing_at_most"]))
        was = int(pool["failing_at_most"])
        pool["failing_at_most"] = change(was)
        statement = document["statement"]
        statement["correct_at_least"] = int(statement["correct_at_least"]) + was - change(was)

    return edit


def _one_level(document: Document) -> None:
    """Only the first multiplier, where more of them were needed."""
    pools = [entry["pool"] for entry in _pools(document) if entry["pool"]["levels"] > 1]
    if not pools:
        raise Inapplicable
    for pool in pools:
        pool["levels"] = 1


def _light_up_to(beyond: int) -> Callable[[Document], None]:
    """Light are all tokens below m (a larger bound), or up to m."""

    def edit(document: Document) -> None:
        entries = [e for e in _pools(document) if e["pool"]["light"] != [0, e["m"] - 1] and e["m"] > 0]
        if not entries:
            raise Inapplicable
        for entry in entries:
            entry["pool"]["light"] = [0, entry["m"] - 1 + beyond]

    return edit


def _exchanged(document: Document) -> None:
    """The pools of two classes of one size, of which one fails more often, change places."""
    slots = document["statement"]["k"] - 1
    for one, two in combinations(_pools(document), 2):
        if _size(one, slots) == _size(two, slots) and one["pool"] != two["pool"]:
            one["pool"], two["pool"] = two["pool"], one["pool"]
            return
    raise Inapplicable


def _light_reversed(document: Document) -> None:
    entries = [entry["pool"] for entry in _pools(document)]
    pool = next((pool for pool in entries if pool["light"] and pool["light"][0] < pool["light"][-1]), None)
    if pool is None:
        raise Inapplicable
    pool["light"] = pool["light"][::-1]


POOL_EDITS: dict[str, Callable[[Document], None]] = {
    "pool claims no failures": _claims(lambda most: 0),
    "pool claims one failure less": _claims(lambda most: most - 1),
    "pool of the multiplier 0": _field("multiplier", "0x0.0p+0"),
    "pool of a negative multiplier": _field("multiplier", "-0x1.0p+0"),
    "pool of an infinite multiplier": _field("multiplier", "inf"),
    "pool of one level": _one_level,
    "pool of no level": _field("levels", 0),
    "pool of a thousand levels": _field("levels", 1000),
    "pool of true levels": _field("levels", True),
    "pool with all tokens light": _light_up_to(0),
    "pool with the maximum light": _light_up_to(1),
    "pool with light tokens reversed": _light_reversed,
    "pool of another class": _exchanged,
    "pool with rows": _field("rows", []),
}
"""What an adversary may do to a pool; the value edits the document in place."""
