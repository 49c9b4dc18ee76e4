"""The lines of `certkit show --content`: disjoint, complete, and summing to the claim."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.content import (
    Bound,
    BoundContent,
    Box,
    Cell,
    CertifiedSet,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
)
from certkit.listing import boxes_without_exceptions, content_kinds, content_records, runs_without, summary
from certkit.runs import run_tokens, runs_from_tokens
from certkit.task import Task


def _members(record: Mapping[str, Any], k: int) -> Iterator[tuple[int, ...]]:
    """The non-query tokens of every sequence a printed cell or box stands for, by its definition."""
    m = record["m"]
    for tokens in itertools.product(range(m + 1), repeat=k - 1):
        if "positions" in record:
            inside = all(t in allowed for t, allowed in zip(tokens, record["positions"], strict=True))
            if inside and (not record["contains_max"] or m in tokens):
                yield tokens
        else:
            others = [t for t in tokens if t != m]
            if len(others) == record["n"] and all(t in record["allowed"] for t in others):
                yield tokens


token_sets = st.sets(st.integers(0, 4), min_size=1)


@given(tokens=token_sets, data=st.data())
def test_runs_without_is_set_difference(tokens: set[int], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(tokens))))
    assert run_tokens(runs_without(runs_from_tokens(tokens), sorted(gone))) == tuple(sorted(tokens - gone))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Box, int]:
    m = draw(st.integers(0, 4))
    positions = draw(st.lists(st.sets(st.integers(0, m), min_size=1), min_size=0, max_size=3))
    contains_max = draw(st.booleans())
    members = [t for t in itertools.product(*map(sorted, positions)) if not contains_max or m in t]
    exceptions = draw(st.sets(st.sampled_from(members))) if members else set()
    box = Box(tuple(map(runs_from_tokens, positions)), contains_max, tuple(sorted(exceptions)))
    return box, m


@given(boxes())
def test_boxes_of_the_rest_hold_every_member_but_the_exceptions_once(case: tuple[Box, int]) -> None:
    box, m = case
    expected = sorted(
        t
        for t in itertools.product(*map(run_tokens, box.positions))
        if (not box.contains_max or m in t) and t not in box.exceptions
    )
    parts = list(boxes_without_exceptions(box, m))
    found = sorted(
        t
        for part in parts
        for t in itertools.product(*map(run_tokens, part.positions))
        if not part.contains_max or m in t
    )
    assert found == expected
    assert sum(part.count(m) for part in parts) == box.count(m)
    assert all(not part.exceptions and part.count(m) > 0 for part in parts)


def test_lines_sum_to_the_claim() -> None:
    content = CertifiedSet(
        4,
        5,
        (
            SetContent(0, 2, cells=(Cell(0, ()), Cell(1, (0, 1)), Cell(2, (0, 0)))),
            full_content(1, 3, 4, exceptions=((0, 0, 3), (0, 3, 3), (3, 1, 2))),
            TailContent(2, 3, 0.5, (Tail(0, 1.0, 3), Tail(4, 2.0, 1))),
            TailContent(2, 4, 0.0, ()),
            TailContent(3, 3, 0.0, (Tail(0, 1.0, 10**6),)),
            PoolContent(3, 4, 0.5, (0, 1), 0.25, 5, 6),
            CountContent(4, 4, 0.0, (Count(1, 0.5, 0.0, 7, 3),)),
        ),
    )
    records = list(content_records(content))
    counted = sum(int(r["count"]) for r in records if "count" in r)
    failing: dict[tuple[int, int], int] = {}
    for r in records:
        if "failing_at_most" in r:
            failing[r["q"], r["m"]] = failing.get((r["q"], r["m"]), 0) + int(r["failing_at_most"])
    counted += sum(class_size(q, m, 4) - failed for (q, m), failed in failing.items())
    assert counted == content.correct_at_least
    assert (3, 3) not in failing  # certifies nothing: no line that a reader could add up wrongly
    assert [r for r in records if (r["q"], r["m"]) == (2, 4)] == [
        {"q": 2, "m": 4, "positions": [[0, 1, 2, 3, 4]] * 3, "contains_max": True, "count": 61}
    ]
    for record in records:
        if "count" in record:
            assert len(list(_members(record, 4))) == record["count"]


def test_a_pool_is_one_line_and_names_the_tokens_of_its_task() -> None:
    content = CertifiedSet(4, 5, (PoolContent(3, 4, 0.5, (0, 1), 0.25, 5, 6),))
    numbers = {"c": "0x1.0p-1", "lambda": "0x1.0p-2", "levels": 5, "failing_at_most": 6}
    assert list(content_records(content)) == [{"q": 3, "m": 4, "light": [0, 1], **numbers}]
    task = Task((4, 3, 2, 1, 0), (1, 0, 2, 3, 4))
    assert list(content_records(content, task)) == [{"q": 1, "m": 0, "light": [3, 4], **numbers}]
    assert content_kinds(content) == "pools"
    assert {name: count for name, count in summary(content).items() if count} == {"classes": 1, "pools": 1}


TASK = Task((4, 3, 2, 1, 0), (1, 0, 2, 3, 4))
"""Ranks 0 to 4 are the tokens 4, 3, 2, 1, 0, and these are the right logits 4, 3, 2, 0, 1."""

MIXED = CertifiedSet(
    4,
    5,
    (
        SetContent(0, 2, (Cell(1, (0, 1)),)),
        full_content(1, 3, 4, exceptions=((0, 0, 3), (0, 3, 3))),
        TailContent(2, 3, -0.5, (Tail(0, 0.25, 3), Tail(4, 2.0, 1))),
        CountContent(2, 4, 0.5, (Count(1, 0.125, 0.0, 5, 0), Count(3, 0.25, -1.0, 6, 2))),
        BoundContent(
            3,
            4,
            2.0,
            (
                Bound((3,), None, 0.25, 4.0, 7, 5),
                Bound((0, 1), None, 1.0, -1.0, 9),
                Bound((2,), (3, 64), 0.5, 0.0, 8),
            ),
        ),
    ),
)


def test_every_kind_of_line_has_its_numbers_where_they_belong() -> None:
    tails = {"q": 2, "m": 3, "c": "-0x1.0p-1"}
    counts = {"q": 2, "m": 4, "c": "0x1.0p-1"}
    bounds = {"q": 3, "m": 4, "c": "0x1.0p+1"}
    whole = {"q": 1, "m": 3, "contains_max": True}
    cell = {"q": 0, "m": 2, "n": 1, "allowed": [0, 1], "count": 6}
    found = list(content_records(MIXED))
    assert found[0] == cell
    assert found[1] == whole | {"positions": [[1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]], "count": 3 * 16 - 2 * 9}
    assert found[-7:] == [
        tails | {"x": 0, "lambda": "0x1.0p-2", "failing_at_most": 3},
        tails | {"x": 4, "lambda": "0x1.0p+1", "failing_at_most": 1},
        counts | bins("0x1.0p-3", "0x0.0p+0", 5, 0) | {"x": 1},
        counts | bins("0x1.0p-2", "-0x1.0p+0", 6, 2) | {"x": 3},
        bounds | bins("0x1.0p-2", "0x1.0p+2", 7, 5) | {"xs": [3], "meet": []},
        bounds | bins("0x1.0p+0", "-0x1.0p+0", 9, 0) | {"xs": [0, 1], "meet": []},
        bounds | bins("0x1.0p-1", "0x0.0p+0", 8, 0) | {"xs": [2], "meet": [3, 64]},
    ]


def bins(width: str, offset: str, most: int, least: int) -> dict[str, object]:
    return {"width": width, "offset": offset, "failing_at_most": most, "failing_at_least": least}


def test_lines_about_another_task_name_its_tokens_and_logits() -> None:
    """Every field that holds ranks, and no other."""
    token, logit = (4, 3, 2, 1, 0), (4, 3, 2, 0, 1)
    for rank, named in zip(content_records(MIXED), content_records(MIXED, TASK), strict=True):
        expected: dict[str, Any] = dict(rank)
        for name, value in rank.items():
            ranks: Any = value
            if name in ("q", "m"):
                expected[name] = token[ranks]
            elif name == "x":
                expected[name] = logit[ranks]
            elif name == "xs":
                expected[name] = [logit[x] for x in ranks]
            elif name == "meet" and ranks:
                expected[name] = [logit[ranks[0]], ranks[1]]
            elif name == "allowed":
                expected[name] = sorted(token[t] for t in ranks)
            elif name == "positions":
                expected[name] = [sorted(token[t] for t in tokens) for tokens in ranks]
        assert named == expected


def test_a_summary_counts_rows_and_not_classes() -> None:
    parts = {"cells": 1, "boxes": 1, "exceptions": 2, "tails": 2, "pools": 0, "counts": 2, "bounds": 3}
    assert summary(MIXED) == {"classes": 5, **parts}
    assert content_kinds(MIXED) == "cells+boxes+tails+counts+bounds"
    assert content_kinds(CertifiedSet(4, 5, ())) == "none"


@pytest.mark.parametrize("k", [1, 2])
def test_short_sequences_have_lines_too(k: int) -> None:
    content = CertifiedSet(k, 2, (full_content(1, 1, k),))
    (record,) = content_records(content)
    assert record["count"] == class_size(1, 1, k)
    assert record["positions"] == [[0, 1]] * (k - 1)


def test_integers_that_readers_would_round_are_strings() -> None:
    content = CertifiedSet(40, 3, (full_content(2, 2, 40),))
    (record,) = content_records(content)
    assert record["count"] == str(3**39)
