"""Certified content: which sequences of a class (q, m) are correct, or how many of them can fail.

A model of the task reads K tokens of ``{0 … V-1}``; ``q`` is the last token (the query), ``m`` the largest.
The ``V^K`` sequences split into classes (q, m), and a certificate holds for each class at most one *content*:

* `SetContent`: cells and boxes of sequences, every one of them correct, no sequence in two of them;
* `TailContent`: for each wrong token x an upper bound on failing sequences, by an exponential tail;
* `CountContent`: bounds from both sides on that number, by counting binned values;
* `BoundContent`: upper bounds on what groups of wrong tokens add, by counts (`certkit.failing`);
* `PoolContent`: one upper bound for all wrong tokens, by the best tail of each.

Nothing here decides whether content is *true*: that is the strategy's duty, and the auditor's
(`certkit.kernel`, which has its own reader and its own counting and shares no code with this module).
Nothing here rounds: every number is an integer, or a float taken as the exact real it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from certkit.failing import (
    Bound,
    BoundContent,
    Count,
    CountContent,
    PoolContent,
    Tail,
    TailContent,
    class_size,
    round_up_32,
)
from certkit.runs import (
    Runs,
    check_int,
    check_runs,
    check_task,
    run_has,
    run_intersection,
    run_mask,
    run_size,
)

__all__ = [
    "Bound",
    "BoundContent",
    "Box",
    "Cell",
    "CertifiedSet",
    "Content",
    "Count",
    "CountContent",
    "PoolContent",
    "SetContent",
    "Tail",
    "TailContent",
    "class_size",
    "full_content",
    "gap_cell",
    "round_up_32",
]

MAX_SETS = 4096  # of one class: the auditor compares each with each


@attrs.frozen
class Cell:
    """Exactly `n` non-query positions hold tokens of `allowed`, all below m; the others hold m.

    For ``n = 0`` there is one such sequence and `allowed` is empty; for ``n ≥ 1`` it is not.
    """

    n: int
    allowed: Runs

    def __attrs_post_init__(self) -> None:
        check_int(self.n, "n", 0)
        check_runs(self.allowed, "allowed")
        if (self.n == 0) != (not self.allowed):
            raise ValueError(
                f"n={self.n}, allowed={self.allowed}: a cell with n = 0 has no allowed tokens, others do"
            )

    def count(self, k: int) -> int:
        """Return C(k−1, n)·|allowed|^n."""
        return int(math.comb(k - 1, self.n) * run_size(self.allowed) ** self.n)


def gap_cell(m: int, gap: int, n: int) -> Cell | None:
    """Return the cell whose tokens other than m are ``≤ m − gap``; None if it holds no sequence.

    >>> gap_cell(5, 2, 1)
    Cell(n=1, allowed=(0, 3))
    >>> gap_cell(1, 2, 1) is None
    True
    """
    check_int(gap, "gap", 1)
    if n == 0:
        return Cell(0, ())
    return Cell(n, (0, m - gap)) if gap <= m else None


@attrs.frozen
class Box:
    """A product of token sets over the K−1 non-query positions, minus `exceptions`.

    With `contains_max` only the members count in which at least one of these positions holds m.
    `exceptions` are members of the box (the K−1 non-query tokens), strictly increasing.
    """

    positions: tuple[Runs, ...]
    contains_max: bool = False
    exceptions: tuple[tuple[int, ...], ...] = ()

    def __attrs_post_init__(self) -> None:
        for runs in self.positions:
            check_runs(runs, "positions")
            if not runs:
                raise ValueError(f"positions={self.positions} must not hold an empty set; leave the box out")
        for exception in self.exceptions:
            if type(exception) is not tuple or not all(type(token) is int for token in exception):
                raise TypeError(f"exceptions: {exception!r} must be a tuple of ints")
        if type(self.contains_max) is not bool:
            raise TypeError(f"contains_max={self.contains_max!r} must be a bool")

    def product(self, m: int) -> int:
        """Return the number of members, exceptions included, when the maximum is `m`."""
        return _box_product(self.positions, self.contains_max, m)

    def count(self, m: int) -> int:
        """Return the number of members that are not exceptions, when the maximum is `m`."""
        return self.product(m) - len(self.exceptions)

    def __contains__(self, sequence: Sequence[int]) -> bool:
        """Whether the sequence lies in the product (neither `contains_max` nor exceptions are looked at)."""
        return len(sequence) == len(self.positions) and all(map(run_has, self.positions, sequence))


def _box_product(positions: Sequence[Runs], contains_max: bool, m: int) -> int:
    everything = math.prod(run_size(runs) for runs in positions)
    without_m = math.prod(run_size(runs) - run_has(runs, m) for runs in positions)
    return everything - without_m if contains_max else everything


@attrs.frozen
class SetContent:
    """Disjoint cells and boxes of one class (q, m); every member sequence is certified correct."""

    q: int
    m: int
    cells: tuple[Cell, ...] = ()
    boxes: tuple[Box, ...] = ()

    def __attrs_post_init__(self) -> None:
        check_int(self.m, "m", 0)
        check_int(self.q, "q", 0, self.m)
        if len(self.cells) + len(self.boxes) > MAX_SETS:
            raise ValueError(f"q={self.q}, m={self.m}: more than {MAX_SETS} cells and boxes; use larger ones")
        for cell in self.cells:
            if cell.allowed and cell.allowed[-1] >= self.m:
                raise ValueError(f"allowed={cell.allowed} must lie below m={self.m}")
        for box in self.boxes:
            self._check_box(box)
        self._check_disjoint()

    def _check_box(self, box: Box) -> None:
        if any(runs[-1] > self.m for runs in box.positions):
            raise ValueError(f"positions={box.positions} must not exceed m={self.m}")
        if not box.contains_max and self.q < self.m and (self.m, self.m) not in box.positions:
            raise ValueError(
                f"contains_max=False needs q = m or a position that is m alone (q={self.q}, m={self.m})"
            )
        if not box.product(self.m):
            raise ValueError(
                f"positions={box.positions}: the box holds no sequence with m={self.m}; leave it out"
            )
        previous: tuple[int, ...] | None = None
        for exception in box.exceptions:
            if exception not in box or (box.contains_max and self.m not in exception):
                raise ValueError(f"exceptions: {exception} is not a member of its box")
            if previous is not None and exception <= previous:
                raise ValueError(f"exceptions: {exception} after {previous} is not strictly increasing")
            previous = exception

    def _check_disjoint(self) -> None:
        for i, cell in enumerate(self.cells):
            for other in self.cells[:i]:
                if cell.n == other.n and (cell.n == 0 or run_intersection(cell.allowed, other.allowed)):
                    raise ValueError(f"cells overlap at q={self.q}, m={self.m}: {other} and {cell}")
        masks = [tuple(map(run_mask, box.positions)) for box in self.boxes]
        for i, box in enumerate(self.boxes):
            for j in range(i):
                if all(map(int.__and__, masks[i], masks[j])) and self._boxes_meet(self.boxes[j], box):
                    raise ValueError(f"boxes overlap at q={self.q}, m={self.m}: {self.boxes[j]} and {box}")
            for cell in self.cells:
                if self._box_meets_cell(box, cell):
                    raise ValueError(f"a box and a cell overlap at q={self.q}, m={self.m}: {box} and {cell}")

    def _boxes_meet(self, first: Box, second: Box) -> bool:
        # The common members of two boxes are a box again.
        both = [run_intersection(a, b) for a, b in zip(first.positions, second.positions, strict=True)]
        return _box_product(both, first.contains_max or second.contains_max, self.m) > 0

    def _box_meets_cell(self, box: Box, cell: Cell) -> bool:
        # A common sequence puts m or an allowed token at every position, an allowed one at exactly n of them.
        takes_m = [run_has(runs, self.m) for runs in box.positions]
        takes_allowed = [bool(run_intersection(runs, cell.allowed)) for runs in box.positions]
        if not all(a or b for a, b in zip(takes_m, takes_allowed, strict=True)):
            return False
        if box.contains_max and cell.n == len(box.positions):
            return False
        return takes_m.count(False) <= cell.n <= takes_allowed.count(True)

    def check(self, k: int, vocab: int) -> None:
        """Raise unless the content fits a task with `k` positions and `vocab` tokens."""
        for cell in self.cells:
            check_int(cell.n, "n", 0, k - 1 if self.q == self.m else k - 2)
        for box in self.boxes:
            if len(box.positions) != k - 1:
                raise ValueError(f"positions={box.positions} must be k-1={k - 1} sets")

    def correct_at_least(self, k: int) -> int:
        """Return the number of member sequences."""
        return sum(cell.count(k) for cell in self.cells) + sum(box.count(self.m) for box in self.boxes)

    def failing_at_least(self, k: int) -> int:
        """Return the number of exceptions: what fails if every exception does."""
        return sum(len(box.exceptions) for box in self.boxes)


def full_content(q: int, m: int, k: int, exceptions: tuple[tuple[int, ...], ...] = ()) -> SetContent:
    """Return the whole class (q, m) as one box, minus `exceptions`.

    >>> full_content(0, 2, 3).correct_at_least(3) == class_size(0, 2, 3)
    True
    """
    return SetContent(q, m, boxes=(Box(((0, m),) * (k - 1), q < m, exceptions),))


Content: TypeAlias = SetContent | TailContent | CountContent | BoundContent | PoolContent


_SHOWN = 8
"""So many entries are printed; more are counted."""


@attrs.frozen
class CertifiedSet:
    """Content for some of the classes (q, m), sorted by (q, m); a class without content certifies nothing.

    With `two_sided` the strategy has also proved that every listed exception fails, so that `correct_at_most`
    may be claimed. It is a note between strategy and claim and no part of the content.
    """

    k: int
    vocab: int
    entries: tuple[Content, ...]
    two_sided: bool = attrs.field(default=False, eq=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_task(self.k, self.vocab)
        previous = (-1, -1)
        for entry in self.entries:
            if (entry.q, entry.m) <= previous:
                raise ValueError(f"entries: (q,m)={(entry.q, entry.m)} after {previous} must be increasing")
            previous = (entry.q, entry.m)
            check_int(entry.m, "m", 0, self.vocab - 1)
            if self.k == 1 and entry.q < entry.m:
                raise ValueError(f"q={entry.q}, m={entry.m}: with k=1 the query is the maximum")
            entry.check(self.k, self.vocab)

    @property
    def total(self) -> int:
        """The number of all sequences, ``vocab^k``."""
        return int(self.vocab**self.k)

    def __repr__(self) -> str:
        """The entries if they are few, else how many there are."""
        few = len(self.entries) <= _SHOWN
        held = f"entries={self.entries!r}" if few else f"{len(self.entries)} classes"
        return f"CertifiedSet(k={self.k}, vocab={self.vocab}, {held})"

    @property
    def correct_at_least(self) -> int:
        """The number of sequences certified correct."""
        return sum(entry.correct_at_least(self.k) for entry in self.entries)

    @property
    def correct_at_most(self) -> int:
        """An upper bound on correct sequences, *provided that every listed exception fails*."""
        return self.total - sum(entry.failing_at_least(self.k) for entry in self.entries)
