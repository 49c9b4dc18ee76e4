"""Certified content line by line, for people and programs that want to check it with means of their own.

Every line is a plain record of integers and strings, and the lines of a class (q, m) are disjoint: a reader
who trusts nothing needs only the meaning of a cell, a box, a tail and a count, and addition.

A box with exceptions is printed as the disjoint boxes of the rest. With the exceptions in lexicographic order
they form a trie: below a prefix shared by some of them, the sequences that leave the trie at position i are
``prefix × (P_i minus the trie's next tokens) × P_{i+1} × …``, one box; those that stay are the next level's.
Every member is either an exception or leaves the trie at exactly one place, so the boxes are disjoint and
together hold everything but the exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from certkit.content import (
    BoundContent,
    Box,
    CertifiedSet,
    Content,
    CountContent,
    PoolContent,
    SetContent,
    TailContent,
    class_size,
    full_content,
)
from certkit.fileformat import dyadic, wide_int
from certkit.runs import Runs, run_tokens
from certkit.task import Task

Record: TypeAlias = Mapping[str, object]


def runs_without(runs: Runs, tokens: Sequence[int]) -> Runs:
    """Return `runs` minus the strictly increasing `tokens`, all of them members.

    >>> runs_without((0, 5, 8, 8), (0, 3, 8))
    (1, 2, 4, 5)
    """
    flat: list[int] = []
    removed = iter([*tokens, -1])
    token = next(removed)
    for low, high in zip(runs[::2], runs[1::2], strict=True):
        start = low
        while low <= token <= high:
            if start < token:
                flat += (start, token - 1)
            start, token = token + 1, next(removed)
        if start <= high:
            flat += (start, high)
    return tuple(flat)


def boxes_without_exceptions(box: Box, m: int) -> Iterator[Box]:
    """Yield disjoint boxes without exceptions that hold the counted members of `box`, no more and no fewer.

    >>> [b.positions for b in boxes_without_exceptions(Box(((0, 2), (0, 2)), False, ((1, 0),)), 2)]
    [((0, 0, 2, 2), (0, 2)), ((1, 1), (1, 2))]
    """
    whole = (box.positions,)
    for positions in _leaving_the_trie(box.positions, box.exceptions, 0) if box.exceptions else whole:
        part = Box(positions, box.contains_max)
        if part.count(m):
            yield part


def _leaving_the_trie(
    positions: tuple[Runs, ...], exceptions: Sequence[tuple[int, ...]], depth: int
) -> Iterator[tuple[Runs, ...]]:
    """The products that leave the trie at `depth` or below; above it `positions` are points."""
    if depth == len(positions):
        return
    branches = [(t, list(group)) for t, group in groupby(exceptions, key=lambda exception: exception[depth])]
    others = runs_without(positions[depth], [token for token, _ in branches])
    before, after = positions[:depth], positions[depth + 1 :]
    if others:
        yield (*before, others, *after)
    for token, inside in branches:
        yield from _leaving_the_trie((*before, (token, token), *after), inside, depth + 1)


def content_records(content: CertifiedSet, task: Task | None = None) -> Iterator[Record]:
    """Yield the lines of `content` in the order of its classes.

    A certificate about another task than Max-of-K names tokens by rank; given the task, the lines name the
    tokens themselves: q, m and token sets in the model's numbers, and x, a wrong answer, as its logit.

    Cells ``{q, m, n, allowed, count}``, boxes ``{q, m, positions, contains_max, count}``, tails
    ``{q, m, x, c, lambda, failing_at_most}``, pools the same with the token set light and an integer levels
    for x, counts ``{q, m, x, c, width, offset, failing_at_most, failing_at_least}``, bounds the same with a
    list xs for x and a pair meet. Token sets are lists, reals ``float.hex``, integers beyond 2⁵³ strings. A
    class in which nothing can fail is one box; a class that certifies no sequence has no line. Hence the
    claim is the sum of the counts plus, for each class with tails, counts, bounds or a pool, its size minus
    its `failing_at_most`.
    """
    for entry in content.entries:
        for record in _class_records(entry, content.k):
            yield (
                record
                if task is None
                else {name: _named(name, value, task) for name, value in record.items()}
            )


def _named(name: str, value: Any, task: Task) -> object:
    """The value of a field with tokens in place of ranks."""
    if name in ("q", "m"):
        return task.order[value]
    if name == "x":
        return task.logits[value]
    if name == "xs":
        return [task.logits[x] for x in value]
    if name == "meet":
        return [task.logits[value[0]], value[1]] if value else []
    if name in ("allowed", "light"):
        return sorted(task.tokens(value))
    if name == "positions":
        return [sorted(task.tokens(tokens)) for tokens in value]
    return value


def _class_records(entry: Content, k: int) -> Iterator[Record]:
    size = class_size(entry.q, entry.m, k)
    correct = entry.correct_at_least(k)
    if correct == 0:
        return
    if isinstance(entry, SetContent):
        yield from _set_records(entry, k)
    elif correct == size:
        yield from _set_records(full_content(entry.q, entry.m, k), k)
    elif isinstance(entry, TailContent):
        yield from _tail_records(entry)
    elif isinstance(entry, PoolContent):
        yield _pool_record(entry)
    elif isinstance(entry, BoundContent):
        yield from _bound_records(entry)
    else:
        yield from _count_records(entry)


def _set_records(entry: SetContent, k: int) -> Iterator[Record]:
    for cell in entry.cells:
        yield {
            "q": entry.q,
            "m": entry.m,
            "n": cell.n,
            "allowed": list(run_tokens(cell.allowed)),
            "count": wide_int(cell.count(k)),
        }
    for box in entry.boxes:
        for part in boxes_without_exceptions(box, entry.m):
            yield {
                "q": entry.q,
                "m": entry.m,
                "positions": [list(run_tokens(runs)) for runs in part.positions],
                "contains_max": part.contains_max,
                "count": wide_int(part.count(entry.m)),
            }


def _tail_records(entry: TailContent) -> Iterator[Record]:
    for tail in entry.tails:
        yield {
            "q": entry.q,
            "m": entry.m,
            "x": tail.x,
            "c": dyadic(entry.shift),
            "lambda": dyadic(tail.multiplier),
            "failing_at_most": wide_int(tail.failing_at_most),
        }


def _pool_record(entry: PoolContent) -> Record:
    return {
        "q": entry.q,
        "m": entry.m,
        "c": dyadic(entry.shift),
        "light": list(run_tokens(entry.light)),
        "lambda": dyadic(entry.multiplier),
        "levels": entry.levels,
        "failing_at_most": wide_int(entry.failing_at_most),
    }


def _bound_records(entry: BoundContent) -> Iterator[Record]:
    for bound in entry.bounds:
        yield {
            "q": entry.q,
            "m": entry.m,
            "xs": list(bound.outputs),
            "meet": list(bound.meet or ()),
            "c": dyadic(entry.shift),
            "width": dyadic(bound.width),
            "offset": dyadic(bound.offset),
            "failing_at_most": wide_int(bound.failing_at_most),
            "failing_at_least": wide_int(bound.failing_at_least),
        }


def _count_records(entry: CountContent) -> Iterator[Record]:
    for count in entry.counts:
        yield {
            "q": entry.q,
            "m": entry.m,
            "x": count.x,
            "c": dyadic(entry.shift),
            "width": dyadic(count.width),
            "offset": dyadic(count.offset),
            "failing_at_most": wide_int(count.failing_at_most),
            "failing_at_least": wide_int(count.failing_at_least),
        }


def content_kinds(content: CertifiedSet) -> str:
    """Return the kinds, joined by ``+``: cells, boxes, tails, pools, counts, bounds; or ``none``."""
    parts, kinds = summary(content), ("cells", "boxes", "tails", "pools", "counts", "bounds")
    return "+".join(kind for kind in kinds if parts[kind]) or "none"


def summary(content: CertifiedSet) -> dict[str, int]:
    """Count what `content` is made of: classes, cells, boxes, exceptions, tails, pools, counts, bounds."""
    sets = [entry for entry in content.entries if isinstance(entry, SetContent)]
    boxes = [box for entry in sets for box in entry.boxes]
    return {
        "classes": len(content.entries),
        "cells": sum(len(entry.cells) for entry in sets),
        "boxes": len(boxes),
        "exceptions": sum(len(box.exceptions) for box in boxes),
        "tails": sum(len(e.tails) for e in content.entries if isinstance(e, TailContent)),
        "pools": sum(isinstance(e, PoolContent) for e in content.entries),
        "counts": sum(len(e.counts) for e in content.entries if isinstance(e, CountContent)),
        "bounds": sum(len(e.bounds) for e in content.entries if isinstance(e, BoundContent)),
    }
