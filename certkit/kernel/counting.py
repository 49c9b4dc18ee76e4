"""What content must look like, and how many sequences it is about: exact integers, no model.

A class (q, m) has N(q,m) = (m+1)^(K−1) − [q<m]·m^(K−1) sequences. Sets of one class must be disjoint; each
test below is exact, so content that overlaps is refuted and content that does not is not. Nothing compares
all pairs of sets, so the work is proportional to the tokens of all sets.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from operator import or_

from certkit.kernel.reader import Box, Cell, Entry, Row
from certkit.kernel.verdict import Finding

MAX_SETS = 4096  # cells and boxes of one class, and pairs of a cell and a box
MAX_LEVELS = 64  # of the multiplier of a pool
Runs = tuple[int, ...]


def check_entry(entry: Entry, k: int, vocab: int) -> None:
    """Raise a `Finding` unless the content of one class is well formed and its sets are disjoint."""
    q, m, cells, boxes = entry.q, entry.m, entry.cells, entry.boxes
    _need(0 <= q <= m < vocab and (k > 1 or q == m), entry, "range", "no such class")
    few = len(cells) + len(boxes) <= MAX_SETS and len(cells) * len(boxes) <= MAX_SETS
    _need(few, entry, "range", "more than", MAX_SETS, "sets, or pairs of a cell and a box")
    taken: dict[int, int] = defaultdict(int)  # the tokens in cells with the same n, a bit each
    for cell in cells:
        _need(0 <= cell.n <= k - 1 - (q < m), entry, "range", "n is out of range in", cell)
        _need(_is_runs(cell.allowed, m - 1), entry, "range", "no set of tokens below m in", cell)
        _need((cell.n == 0) == (not cell.allowed), entry, "range", "n = 0 goes with no token, in", cell)
        allowed = _mask(cell.allowed) or 1  # of the cells without tokens, n = 0, there may be one
        _need(not taken[cell.n] & allowed, entry, "overlap", cell, "meets an earlier cell")
        taken[cell.n] |= allowed
    for box in boxes:
        _check_box(entry, box, k)
    _check_boxes_disjoint(entry, k)
    for box in boxes:
        for cell in cells:
            _need(not _meet(box, cell, m), entry, "overlap", box.positions, "meets", cell)
    covered: set[int] = set()  # tokens of earlier rows
    last = -1
    for row in entry.rows:
        _check_row(entry, row)
        if entry.kind == "pool":
            break
        tokens = (row.x, *row.others)
        rising = all(a < b for a, b in pairwise((last, *tokens, vocab)))
        new = rising and m not in tokens and covered.isdisjoint(tokens)
        _need(new, entry, "range", "x =", *tokens, "is m, no token, out of order or there twice")
        known = covered.issuperset(row.meet[:1])
        _need(known, entry, "range", "x =", row.x, "meets no earlier row by", *row.meet)
        covered.update(tokens)
        last = row.x if entry.kind != "bounds" else -1


def contribution(entry: Entry, k: int) -> tuple[int, int]:
    """Return how many sequences the content certifies correct, and how many it says fail."""
    if entry.kind == "sets":
        cells = sum(
            math.comb(k - 1, cell.n) * _mask(cell.allowed).bit_count() ** cell.n for cell in entry.cells
        )
        boxes = sum(_product(box, entry.m) for box in entry.boxes)
        exceptions = sum(len(box.exceptions) for box in entry.boxes)
        return cells + boxes - exceptions, exceptions
    total = (entry.m + 1) ** (k - 1) - (entry.m ** (k - 1) if entry.q < entry.m else 0)
    failing = max((row.failing_at_least for row in entry.rows), default=0)
    return max(0, total - sum(row.failing_at_most for row in entry.rows)), failing


def members(runs: Runs) -> Iterator[int]:
    """Yield the tokens of a set."""
    for low, high in zip(runs[::2], runs[1::2], strict=True):
        yield from range(low, high + 1)


def _mask(runs: Runs) -> int:
    """Return the tokens of a set as the bits of an integer."""
    return sum((2 << high) - (1 << low) for low, high in zip(runs[::2], runs[1::2], strict=True))


def _check_box(entry: Entry, box: Box, k: int) -> None:
    m, sets = entry.m, box.positions
    valid = len(sets) == k - 1 and all(runs and _is_runs(runs, m) for runs in sets)
    _need(valid, entry, "range", "not", k - 1, "sets of tokens up to m:", sets)
    free = entry.q == m or (m, m) in sets
    _need(box.contains_max or free, entry, "range", "a box needs contains_max or a position that is m")
    _need(_product(box, m) > 0, entry, "range", "a box without sequences")
    allowed = [frozenset(members(runs)) for runs in sets] if box.exceptions else []
    for exception in box.exceptions:
        inside = len(exception) == k - 1 and all(map(frozenset.__contains__, allowed, exception))
        inside = inside and (m in exception or not box.contains_max)
        _need(inside, entry, "range", "exception not in its box:", exception)
    for one, two in pairwise(box.exceptions):
        _need(one < two, entry, "range", "exceptions out of order:", one, two)


def _check_boxes_disjoint(entry: Entry, k: int) -> None:
    """Find for every box, as the bits of an integer, the boxes whose sets meet its own in every position.

    In each position a box meets those that allow one of its tokens. Boxes that meet everywhere share a
    sequence, unless one of them asks for an m somewhere and no position has it in both.
    """
    boxes, m = entry.boxes, entry.m
    if len(boxes) < 2:
        return
    meeting = [(1 << len(boxes)) - 1 - (1 << i) for i in range(len(boxes))]  # so far: all but itself
    sharing_max = [0] * len(boxes)
    asking = sum(1 << i for i, box in enumerate(boxes) if box.contains_max)
    for p in range(k - 1):
        allowing: dict[int, int] = defaultdict(int)  # by token
        for i, box in enumerate(boxes):
            for t in members(box.positions[p]):
                allowing[t] |= 1 << i
        for i, box in enumerate(boxes):
            meeting[i] &= reduce(or_, (allowing[t] for t in members(box.positions[p])))
            sharing_max[i] |= allowing[m] if box.positions[p][-1] == m else 0
    for i, box in enumerate(boxes):
        free = 0 if box.contains_max else ~asking
        apart = not meeting[i] & (sharing_max[i] | free)
        _need(apart, entry, "overlap", box.positions, "meets another box")


def _check_row(entry: Entry, row: Row) -> None:
    def need(condition: bool, *where: object) -> None:
        _need(condition, entry, "range", "x =", row.x, *where)

    most, least = row.failing_at_most, row.failing_at_least
    first, tail = row.numbers[0], len(row.numbers) == 1
    need(0 <= least <= most, "failing between", least, most)
    alone = not (tail or row.others or row.meet)
    need(least == 0 or alone, "failing at least", least, "is for single tokens by counts")
    need(first > 0 or (tail and first == 0), "a multiplier is >= 0, a width > 0, not", first)
    need(all(k > 0 for k in row.meet[1:]), "meets by no multiple", *row.meet)
    need(1 <= row.levels <= MAX_LEVELS, row.levels, "levels, not 1 to", MAX_LEVELS)
    need(_is_runs(row.light, entry.m - 1), "no set of tokens below m:", row.light)
    digits = most.bit_length() - (most & -most).bit_length() + 1
    need(digits <= 32 or not tail, "more than 32 bits in", most)


def _is_runs(runs: Runs, most: int) -> bool:
    """Whether these are inclusive ranges within {0 … most}, in order and with gaps between them."""
    edges = [number - (i % 2 == 0) for i, number in enumerate(runs)]  # a − 1 < b < next a − 1 < next b …
    rising = all(low < high for low, high in pairwise(edges))
    return len(runs) % 2 == 0 and (not runs or (runs[0] >= 0 and runs[-1] <= most)) and rising


def _product(box: Box, m: int) -> int:
    """Return the number of sequences in a box, exceptions included."""
    sizes = [_mask(runs).bit_count() for runs in box.positions]
    without_m = math.prod(n - (runs[-1] == m) for n, runs in zip(sizes, box.positions, strict=True))
    return math.prod(sizes) - (without_m if box.contains_max else 0)


def _meet(box: Box, cell: Cell, m: int) -> bool:
    """Whether a box and a cell share a sequence: m or an allowed token everywhere, an allowed one n times."""
    holds_m = [runs[-1] == m for runs in box.positions]
    allowed = [bool(_mask(runs) & _mask(cell.allowed)) for runs in box.positions]
    possible = all(map(bool.__or__, holds_m, allowed)) and not (box.contains_max and cell.n == len(allowed))
    return possible and holds_m.count(False) <= cell.n <= allowed.count(True)


def _need(condition: bool, entry: Entry, rule: str, *where: object) -> None:
    if not condition:
        place = f"q={entry.q} m={entry.m}: {' '.join(map(str, where))}"
        raise Finding("refuted", rule, place[:300])
