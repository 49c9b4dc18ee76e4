"""Certified content: counting against enumeration, canonical token sets, and a table of what is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import (
    Box,
    Cell,
    Certificate,
    CertifiedSet,
    Claim,
    Count,
    CountContent,
    Estimate,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
    gap_cell,
    round_up_32,
    run_intersection,
    run_size,
    run_tokens,
    runs_from_mask,
    runs_from_tokens,
)
from certkit.task import Task

tokens = st.sets(st.integers(0, 9))


@given(tokens, tokens)
def test_runs_are_sets(one: set[int], two: set[int]) -> None:
    first, second = runs_from_tokens(one), runs_from_tokens(two)
    assert run_tokens(first) == tuple(sorted(one))
    assert run_size(first) == len(one)
    assert run_intersection(first, second) == runs_from_tokens(one & two)
    assert runs_from_mask([t in one for t in range(10)]) == first


def members(content: SetContent, k: int) -> list[tuple[int, ...]]:
    """Every member of every cell and box, with repetitions, straight from the definition."""
    found = []
    for cell in content.cells:
        values = {*run_tokens(cell.allowed), content.m}
        found += [s for s in product(values, repeat=k - 1) if sum(t != content.m for t in s) == cell.n]
    for box in content.boxes:
        inside = product(*map(run_tokens, box.positions))
        found += [s for s in inside if (not box.contains_max or content.m in s) and s not in box.exceptions]
    return found


@st.composite
def contents(draw: st.DrawFn) -> tuple[int, int, int, list[Cell], list[Box]]:
    k, m = draw(st.integers(2, 4)), draw(st.integers(0, 3))
    q = draw(st.integers(0, m))
    subsets = st.sets(st.integers(0, m), min_size=1).map(runs_from_tokens)
    below = st.sets(st.integers(0, max(0, m - 1)), min_size=1).map(runs_from_tokens)
    cells = []
    for n in draw(st.lists(st.integers(0, k - 1 if q == m else k - 2), max_size=3)):
        if n == 0 or m > 0:
            cells.append(Cell(n, draw(below) if n else ()))
    boxes = []
    for _ in range(draw(st.integers(0, 3))):
        positions = tuple(draw(st.lists(subsets, min_size=k - 1, max_size=k - 1)))
        can_hold = any(p[-1] == m for p in positions)
        free = q == m or (m, m) in positions
        if can_hold or free:
            boxes.append(Box(positions, (draw(st.booleans()) and can_hold) or not free))
    return k, q, m, cells, boxes


@given(contents())
def test_counts_and_disjointness_are_exact(drawn: tuple[int, int, int, list[Cell], list[Box]]) -> None:
    k, q, m, cells, boxes = drawn
    alone = [SetContent(q, m, (cell,)) for cell in cells] + [SetContent(q, m, (), (box,)) for box in boxes]
    sets = [members(content, k) for content in alone]
    for content, found in zip(alone, sets, strict=True):
        content.check(k, 4)
        assert content.correct_at_least(k) == len(found) == len(set(found))
        assert all(max(*s, q) == m for s in found)
    together = [s for found in sets for s in found]
    if len(together) == len(set(together)):
        content = SetContent(q, m, tuple(cells), tuple(boxes))
        assert content.correct_at_least(k) == len(together) <= class_size(q, m, k)
    else:
        with pytest.raises(ValueError, match="overlap"):
            SetContent(q, m, tuple(cells), tuple(boxes))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_whole_classes_and_gap_cells_partition_everything(k: int) -> None:
    vocab = 4
    classes = [(q, m) for q in range(vocab) for m in range(q, vocab) if k > 1 or q == m]
    whole = CertifiedSet(k, vocab, tuple(full_content(q, m, k) for q, m in classes))
    assert whole.correct_at_least == whole.total == vocab**k
    cells = []
    for q, m in classes:
        found = (gap_cell(m, 1, n) for n in range(k if q == m else k - 1))
        cells.append(SetContent(q, m, tuple(cell for cell in found if cell is not None)))
    assert CertifiedSet(k, vocab, tuple(cells)).correct_at_least == vocab**k


def test_exceptions_and_rows_are_taken_away() -> None:
    content = full_content(0, 2, 3, ((0, 2), (2, 2)))
    assert (content.correct_at_least(3), content.failing_at_least(3)) == (3, 2)
    tails = TailContent(1, 2, 0.0, (Tail(0, 1.0, 2), Tail(1, 0.5, 1)))
    assert (tails.correct_at_least(3), tails.failing_at_least(3)) == (2, 0)
    counts = CountContent(2, 2, 0.0, (Count(0, 1.0, 0.0, 3, 1), Count(1, 1.0, -1.0, 4, 2)))
    assert (counts.correct_at_least(3), counts.failing_at_least(3)) == (2, 2)
    everything = CertifiedSet(3, 3, (content, tails, counts))
    assert (everything.correct_at_least, everything.correct_at_most) == (7, 23)
    many = TailContent(1, 2, 0.0, (Tail(0, 0.0, 100),))
    assert many.correct_at_least(3) == 0


@given(st.integers(0, 2**80))
def test_rounding_up_to_32_bits(count: int) -> None:
    rounded = round_up_32(count)
    assert count <= rounded <= count + (count >> 31)
    assert round_up_32(rounded) == rounded
    assert (rounded >> max(0, rounded.bit_length() - 32)) << max(0, rounded.bit_length() - 32) == rounded


def untyped(value: Any) -> Any:
    """The value, as a caller without a type checker passes it."""
    return value


CLAIM = Claim(2, 2, "0" * 64, 4)
WHOLE = CertifiedSet(2, 2, tuple(full_content(q, m, 2) for q in range(2) for m in range(q, 2)))

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "n a bool": (lambda: Cell(True, (0, 0)), "n=True"),
    "n negative": (lambda: Cell(-1, ()), "n=-1"),
    "n = 0 with tokens": (lambda: Cell(0, (0, 0)), "n=0"),
    "n = 1 without": (lambda: Cell(1, ()), "n=1"),
    "allowed a list": (lambda: Cell(1, untyped([0, 1])), "allowed"),
    "allowed odd": (lambda: Cell(1, (0,)), "allowed"),
    "allowed touching": (lambda: Cell(1, (0, 1, 2, 3)), "canonical"),
    "allowed backwards": (lambda: Cell(1, (2, 1)), "canonical"),
    "allowed negative": (lambda: Cell(1, (-1, 1)), "canonical"),
    "allowed bools": (lambda: Cell(1, (False, True)), "ints"),
    "gap 0": (lambda: gap_cell(3, 0, 1), "gap=0"),
    "box empty": (lambda: Box(((),)), "empty"),
    "contains_max an int": (lambda: Box(((0, 0),), untyped(1)), "contains_max"),
    "exception of bools": (lambda: Box(((0, 1),), False, ((True,),)), "tuple of ints"),
    "exception a list": (lambda: Box(((0, 1),), False, untyped(([1],))), "tuple of ints"),
    "q above m": (lambda: SetContent(2, 1), "q=2"),
    "m negative": (lambda: SetContent(0, -1), "m=-1"),
    "m a bool": (lambda: SetContent(0, True), "m=True"),
    "too many cells": (lambda: SetContent(1, 1, (Cell(0, ()),) * 4097), "more than 4096"),
    "too many boxes": (lambda: SetContent(1, 1, (), (Box(((0, 0),)),) * 4097), "more than 4096"),
    "allowed holds m": (lambda: SetContent(0, 1, (Cell(1, (0, 1)),)), "below m=1"),
    "box above m": (lambda: SetContent(1, 1, (), (Box(((0, 2),)),)), "exceed m=1"),
    "box without m": (lambda: SetContent(0, 1, (), (Box(((0, 1),)),)), "contains_max=False"),
    "box that holds nothing": (lambda: SetContent(0, 1, (), (Box(((0, 0),), True),)), "no sequence"),
    "exception outside": (lambda: SetContent(1, 1, (), (Box(((0, 0),), False, ((1,),)),)), "not a member"),
    "exception too long": (lambda: full_content(1, 1, 2, ((0, 0),)), "not a member"),
    "exception without m": (lambda: full_content(0, 1, 2, ((0,),)), "not a member"),
    "exceptions unsorted": (lambda: full_content(1, 1, 2, ((1,), (0,))), "strictly increasing"),
    "exception twice": (lambda: full_content(1, 1, 2, ((1,), (1,))), "strictly increasing"),
    "x negative": (lambda: Tail(-1, 1.0, 1), "x=-1"),
    "multiplier an int": (lambda: Tail(0, 1, 1), "multiplier=1"),
    "multiplier negative": (lambda: Tail(0, -0.5, 1), "unsound"),
    "multiplier inf": (lambda: Tail(0, float("inf"), 1), "finite"),
    "multiplier nan": (lambda: Tail(0, float("nan"), 1), "finite"),
    "too many bits": (lambda: Tail(0, 1.0, 2**32 + 1), "round_up_32"),
    "failing negative": (lambda: Tail(0, 1.0, -1), "failing_at_most=-1"),
    "width 0": (lambda: Count(0, 0.0, 0.0, 1, 0), "width=0"),
    "width nan": (lambda: Count(0, float("nan"), 0.0, 1, 0), "width=nan"),
    "offset inf": (lambda: Count(0, 1.0, float("inf"), 1, 0), "offset=inf"),
    "least above most": (lambda: Count(0, 1.0, 0.0, 1, 2), "failing_at_least=2"),
    "row for m": (lambda: TailContent(1, 1, 0.0, (Tail(1, 1.0, 1),)), "x=1"),
    "rows unsorted": (lambda: TailContent(2, 2, 0.0, (Tail(1, 1.0, 1), Tail(0, 1.0, 1))), "increasing"),
    "m light": (lambda: PoolContent(1, 1, 0.0, (0, 1), 1.0, 1, 0), "below m=1"),
    "no level": (lambda: PoolContent(1, 1, 0.0, (), 1.0, 0, 0), "levels=0"),
    "shift nan": (lambda: TailContent(1, 1, float("nan"), ()), "shift=nan"),
    "count shift inf": (lambda: CountContent(1, 1, float("inf"), ()), "shift=inf"),
    "k 0": (lambda: CertifiedSet(0, 2, ()), "k=0"),
    "k beyond counting": (lambda: CertifiedSet(2**31, 4, ()), "k=2147483648"),
    "claim beyond counting": (lambda: Claim(4096, 4096, "0" * 64, 0), "10^3900"),
    "vocab 0": (lambda: CertifiedSet(1, 0, ()), "vocab=0"),
    "classes unsorted": (lambda: CertifiedSet(2, 2, (SetContent(1, 1), SetContent(0, 0))), "increasing"),
    "class twice": (lambda: CertifiedSet(2, 2, (SetContent(0, 0), SetContent(0, 0))), "increasing"),
    "m no token": (lambda: CertifiedSet(2, 2, (SetContent(0, 2),)), "m=2"),
    "no class if k = 1": (lambda: CertifiedSet(1, 2, (SetContent(0, 1),)), "k=1"),
    "n beyond k": (lambda: CertifiedSet(2, 2, (SetContent(1, 1, (Cell(2, (0, 0)),)),)), "n=2"),
    "n without m": (lambda: CertifiedSet(2, 2, (SetContent(0, 1, (Cell(1, (0, 0)),)),)), "n=1"),
    "box of another k": (lambda: CertifiedSet(2, 2, (full_content(1, 1, 3),)), "k-1=1"),
    "x no token": (lambda: CertifiedSet(2, 2, (TailContent(1, 1, 0.0, (Tail(2, 1.0, 0),)),)), "x=2"),
    "count of no token": (
        lambda: CertifiedSet(2, 2, (CountContent(1, 1, 0.0, (Count(2, 1.0, 0.0, 0, 0),)),)),
        "x=2",
    ),
    "digest short": (lambda: Claim(2, 2, "0" * 63, 0), "model_sha256"),
    "digest capital": (lambda: Claim(2, 2, "A" * 64, 0), "model_sha256"),
    "semantics": (lambda: Claim(2, 2, "0" * 64, 0, semantics="float"), "semantics"),
    "task of another size": (lambda: Claim(2, 2, "0" * 64, 0, task=Task.min_of_k(3)), "3 tokens"),
    "claim above total": (lambda: Claim(2, 2, "0" * 64, 5), "correct_at_least=5"),
    "claim a bool": (lambda: Claim(2, 2, "0" * 64, True), "correct_at_least=True"),
    "upper below lower": (lambda: Claim(2, 2, "0" * 64, 3, 2), "correct_at_most=2"),
    "claims more": (lambda: Certificate(Claim(2, 2, "0" * 64, 3), "s", 1, WHOLE), "sums to 4"),
    "claims another upper": (
        lambda: Certificate(CLAIM, "s", 1, CertifiedSet(2, 2, ())),
        "sums to 0",
    ),
    "claims upper wrongly": (
        lambda: Certificate(Claim(2, 2, "0" * 64, 0, 3), "s", 1, CertifiedSet(2, 2, ())),
        "sums to 4",
    ),
    "another k": (lambda: Certificate(Claim(1, 2, "0" * 64, 0), "s", 1, WHOLE), "k=1"),
    "no strategy": (lambda: Certificate(CLAIM, "", 1, WHOLE), "strategy"),
    "version 0": (lambda: Certificate(CLAIM, "s", 0, WHOLE), "version=0"),
    "nothing sampled": (lambda: Estimate(0, 0), "sampled=0"),
    "more than sampled": (lambda: Estimate(2, 1), "correct=2"),
    "confidence 1": (lambda: Estimate(1, 2, 1.0), "confidence"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_content_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_certificate_states_its_bound() -> None:
    cert = Certificate(CLAIM, "s", 1, WHOLE)
    assert (cert.bound, cert.bound_upper) == (Fraction(1), None)
    empty = Certificate(Claim(2, 2, "0" * 64, 0, 4), "s", 1, CertifiedSet(2, 2, ()))
    assert (empty.bound, empty.bound_upper) == (Fraction(0), Fraction(1))


def test_an_estimate_brackets_its_share() -> None:
    low, high = Estimate(999, 1000).interval
    assert 0.98 < low < 0.999 < high < 1.0
    assert Estimate(0, 10).interval[0] == 0.0
    assert Estimate(10, 10).interval[1] == 1.0
    wide, narrow = Estimate(90, 100).interval, Estimate(9000, 10000).interval
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1]
    assert Estimate(1, 2).accuracy == Fraction(1, 2)


def test_the_interval_has_the_stated_confidence() -> None:
    """The exact binomial tails at both ends have at most half of the remaining probability each."""
    from math import comb

    n, estimate = 60, Estimate(51, 60, 0.95)
    low, high = map(Fraction, estimate.interval)

    def tail(p: Fraction, hits: range) -> Fraction:
        return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in hits), Fraction(0))

    assert tail(low, range(51, 61)) <= Fraction(25, 1000)
    assert tail(high, range(52)) <= Fraction(25, 1000)
