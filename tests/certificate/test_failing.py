"""Content about what fails: tails, counts, bounds and pools, what they add up to and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from certkit.content import (
    Bound,
    BoundContent,
    CertifiedSet,
    Content,
    Count,
    CountContent,
    PoolContent,
    Tail,
    TailContent,
)
from certkit.failing import covered_outputs


def untyped(value: Any) -> Any:
    """The value, as a caller without a type checker passes it."""
    return value


def bound(
    *outputs: int, meet: tuple[int, int] | None = None, most: int = 3, least: int = 0, width: float = 1.0
) -> Bound:
    """A bound in bins that do not matter here."""
    return Bound(outputs, meet, width, 0.0, most, least)


def bounds(*rows: Bound, q: int = 2, m: int = 2) -> BoundContent:
    return BoundContent(q, m, 0.0, rows)


def pool(light: tuple[int, ...] = (), multiplier: float = 1.0, levels: int = 4, most: int = 3) -> PoolContent:
    return PoolContent(3, 3, 0.0, light, multiplier, levels, most)


def among_three(content: Content) -> CertifiedSet:
    """In a task with 3 positions and 3 tokens."""
    return CertifiedSet(3, 3, (content,))


SOME_TAILS = Tail(0, 1.0, 1), Tail(3, 1.0, 1)
SOME_COUNTS = Count(0, 1.0, 0.0, 1, 0), Count(3, 1.0, 0.0, 1, 0)
KINDS: dict[str, Callable[[int, int, float], Content]] = {
    "tails": lambda q, m, shift: TailContent(q, m, shift, ()),
    "counts": lambda q, m, shift: CountContent(q, m, shift, ()),
    "bounds": lambda q, m, shift: BoundContent(q, m, shift, ()),
    "pool": lambda q, m, shift: PoolContent(q, m, shift, (), 1.0, 1, 0),
}

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "tail twice": (lambda: TailContent(2, 2, 0.0, (Tail(1, 1.0, 1), Tail(1, 2.0, 1))), "increasing"),
    "tail of a bool": (lambda: Tail(True, 1.0, 1), "x=True"),
    "count twice": (lambda: CountContent(4, 4, 0.0, (SOME_COUNTS[1],) * 2), "increasing"),
    "last tail no token": (lambda: among_three(TailContent(2, 2, 0.0, SOME_TAILS)), "x=3"),
    "last count no token": (lambda: among_three(CountContent(2, 2, 0.0, SOME_COUNTS)), "x=3"),
    "last output no token": (lambda: among_three(bounds(bound(0, 3))), "x=3"),
    "output no token in the last bound": (lambda: among_three(bounds(bound(0, 1), bound(3))), "x=3"),
    "bound about nothing": (lambda: bound(), "outputs=()"),
    "bound about an output twice": (lambda: bound(1, 1), "increasing"),
    "bound out of order": (lambda: bound(1, 0), "increasing"),
    "bound about a bool": (lambda: bound(False), "x=False"),
    "bound about a negative output": (lambda: bound(-1, 1), "x=-1"),
    "bound of width 0": (lambda: bound(0, width=0.0), "width=0.0"),
    "bound of less than none": (lambda: bound(0, most=-1), "failing_at_most=-1"),
    "bound least above most": (lambda: bound(0, most=2, least=3), "failing_at_least=3"),
    "least of a group": (lambda: bound(0, 1, least=1), "one output and no meet"),
    "least of a meet": (lambda: bound(1, meet=(0, 64), least=1), "one output and no meet"),
    "meet with a bool": (lambda: bound(2, meet=(True, 64)), "meet=True"),
    "meet with a negative output": (lambda: bound(2, meet=(-1, 64)), "meet=-1"),
    "no part of a meet": (lambda: bound(1, meet=(0, 0)), "multiple of a meet=0"),
    "a meet by a bool": (lambda: bound(1, meet=(0, True)), "multiple of a meet=True"),
    "output in two bounds": (lambda: bounds(bound(0, 1), bound(1)), "must not occur before"),
    "output m": (lambda: bounds(bound(0, 2)), "hold m=2"),
    "meet before its output": (lambda: bounds(bound(1, meet=(0, 64)), bound(0)), "an earlier bound"),
    "meet with itself": (lambda: bounds(bound(0), bound(1, meet=(1, 64))), "an earlier bound"),
    "light not canonical": (lambda: pool((0, 0, 1, 1)), "canonical"),
    "light a list": (lambda: pool(untyped([0, 1])), "light"),
    "pool multiplier negative": (lambda: pool(multiplier=-1.0), "unsound"),
    "pool of many bits": (lambda: pool(most=2**32 + 1), "round_up_32"),
    "pool of less than none": (lambda: pool(most=-1), "failing_at_most=-1"),
    "too many levels": (lambda: pool(levels=65), "levels=65"),
    "levels a bool": (lambda: pool(levels=True), "levels=True"),
} | {
    f"{kind}, {what}": (lambda make=make, where=where: make(*where), message)
    for kind, make in KINDS.items()
    for what, where, message in (
        ("q above m", (3, 2, 0.0), "q=3"),
        ("m negative", (0, -1, 0.0), "m=-1"),
        ("shift infinite", (0, 1, float("inf")), "shift=inf"),
        ("shift an int", (0, 1, untyped(1)), "shift=1"),
    )
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_auditor_could_check_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_ends_of_what_is_allowed() -> None:
    for content in (
        TailContent(2, 2, 0.0, (Tail(0, 0.0, 0), Tail(1, 1.0, 2**32))),
        bounds(bound(0), bound(1, meet=(0, 1))),
        bounds(bound(0, 1, most=0)),
    ):
        among_three(content)
    for levels in (1, 64):
        CertifiedSet(3, 4, (pool((0, 2), 0.0, levels, 0),))


def test_bounds_add_up() -> None:
    """Of 9 sequences: what is left of them, never fewer than none, and how often one output fails alone."""
    two = bounds(bound(0, most=3, least=2), bound(1, most=4, least=1))
    assert (two.correct_at_least(3), two.failing_at_least(3)) == (2, 2)
    many = bounds(bound(0, most=6, least=1), bound(1, most=4))
    assert (many.correct_at_least(3), many.failing_at_least(3)) == (0, 1)
    assert (bounds().correct_at_least(3), bounds().failing_at_least(3)) == (9, 0)
    assert CountContent(2, 2, 0.0, (Count(0, 1.0, 0.0, 10, 0),)).correct_at_least(3) == 0
    pools = [PoolContent(2, 2, 0.0, (), 1.0, 1, most) for most in (4, 10)]
    assert [(p.correct_at_least(3), p.failing_at_least(3)) for p in pools] == [(5, 0), (0, 0)]


def test_covered_outputs() -> None:
    """An output that is not covered never fails; a pool is about every output but m."""
    assert list(covered_outputs(PoolContent(1, 1, 0.0, (), 1.0, 1, 0), 4)) == [0, 2, 3]
    assert list(covered_outputs(bounds(bound(0, 3), bound(1)), 5)) == [0, 3, 1]
    assert list(covered_outputs(TailContent(1, 1, 0.0, SOME_TAILS), 5)) == [0, 3]
    assert list(covered_outputs(CountContent(1, 1, 0.0, SOME_COUNTS), 5)) == [0, 3]
