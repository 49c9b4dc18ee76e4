"""What content must look like, and how many sequences it is about: exact integers, no model.

A class (q, m) has N(q,m) = (m+1)^(K−1) − [q<m]·m^(K−1) sequences. Sets of one class must be disjoint; each
test below is exact, so content that overlaps is refuted and content that does not is not.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise

from certkit.kernel.reader import Box, Cell, Entry, Row
from certkit.kernel.verdict import Finding

MAX_SETS = 4096  # cells and boxes of one class; pairs of them are compared
Runs = tuple[int, ...]


def check_entry(entry: Entry, k: int, vocab: int) -> None:
    """Raise a `Finding` unless the content of one class is well formed and its sets are disjoint."""
    q, m = entry.q, entry.m
    _need(0 <= q <= m < vocab and (k > 1 or q == m), entry, "range", "no such class")
    _need(len(entry.cells) + len(entry.boxes) <= MAX_SETS, entry, "range", "more than", MAX_SETS, "sets")
    for cell in entry.cells:
        _need(0 <= cell.n <= k - 1 - (q < m), entry, "range", cell)
        _need(_is_runs(cell.allowed, m - 1), entry, "range", cell)
        _need((cell.n == 0) == (not cell.allowed), entry, "range", cell)
    for box in entry.boxes:
        _check_box(entry, box, k)
    for one, two in combinations(entry.cells, 2):
        overlap = one.n == two.n and (one.n == 0 or bool(common(one.allowed, two.allowed)))
        _need(not overlap, entry, "overlap", one, two)
    for a, b in combinations(entry.boxes, 2):
        both = tuple(map(common, a.positions, b.positions))
        empty = _product(both, a.contains_max or b.contains_max, m) == 0
        _need(empty, entry, "overlap", a.positions, b.positions)
    for box in entry.boxes:
        for cell in entry.cells:
            _need(not _meet(box, cell, m), entry, "overlap", box.positions, cell)
    before: list[int] = []  # tokens of earlier rows
    for row in entry.rows:
        tokens = (row.x, *row.others)
        last = before[-1] if before and entry.kind != "bounds" else -1
        valid = all(a < b for a, b in pairwise((last, *tokens, vocab))) and m not in tokens
        _need(valid and not set(before) & set(tokens), entry, "range", "x =", *tokens, "after", *before)
        _need(all(y in before and k > 0 for y, k in row.less), entry, "range", "x =", row.x, "less", row.less)
        _check_row(entry, row)
        before += tokens


def contribution(entry: Entry, k: int) -> tuple[int, int]:
    """Return how many sequences the content certifies correct, and how many it says fail."""
    if entry.kind == "sets":
        cells = sum(math.comb(k - 1, cell.n) * size(cell.allowed) ** cell.n for cell in entry.cells)
        boxes = sum(_product(box.positions, box.contains_max, entry.m) for box in entry.boxes)
        exceptions = sum(len(box.exceptions) for box in entry.boxes)
        return cells + boxes - exceptions, exceptions
    total = (entry.m + 1) ** (k - 1) - (entry.m ** (k - 1) if entry.q < entry.m else 0)
    failing = max((row.failing_at_least for row in entry.rows), default=0)
    return max(0, total - sum(row.failing_at_most for row in entry.rows)), failing


def size(runs: Runs) -> int:
    """Return the number of tokens in a set."""
    return sum(runs[1::2]) - sum(runs[::2]) + len(runs) // 2


def common(one: Runs, two: Runs) -> Runs:
    """Return the tokens in both sets, by walking through both lists of ranges once."""
    out: list[int] = []
    i = j = 0
    while i < len(one) and j < len(two):
        low, high = max(one[i], two[j]), min(one[i + 1], two[j + 1])
        out += (low, high) if low <= high else ()
        if one[i + 1] < two[j + 1]:
            i += 2
        else:
            j += 2
    return tuple(out)


def _check_box(entry: Entry, box: Box, k: int) -> None:
    m, sets = entry.m, box.positions
    valid = len(sets) == k - 1 and all(runs and _is_runs(runs, m) for runs in sets)
    _need(valid, entry, "range", "positions", sets)
    free = entry.q == m or (m, m) in sets
    _need(box.contains_max or free, entry, "range", "a box needs contains_max or a position that is m")
    _need(_product(sets, box.contains_max, m) > 0, entry, "range", "a box without sequences")
    previous: tuple[int, ...] | None = None
    for exception in box.exceptions:
        inside = len(exception) == k - 1 and all(map(_has, sets, exception))
        inside = inside and (m in exception or not box.contains_max)
        _need(inside, entry, "range", "exception not in its box:", exception)
        _need(previous is None or previous < exception, entry, "range", "exceptions", previous, exception)
        previous = exception


def _check_row(entry: Entry, row: Row) -> None:
    most, least = row.failing_at_most, row.failing_at_least
    _need(0 <= least <= most, entry, "range", "x =", row.x, "failing between", least, most)
    alone = len(row.numbers) == 2 and not row.others and not row.less
    _need(least == 0 or alone, entry, "range", "x =", row.x, "failing at least", least)
    if len(row.numbers) == 1:
        _need(row.numbers[0] >= 0, entry, "range", "x =", row.x, "multiplier", row.numbers[0])
        digits = most.bit_length() - (most & -most).bit_length() + 1
        _need(digits <= 32, entry, "range", "x =", row.x, "more than 32 bits in", most)
    else:
        _need(row.numbers[0] > 0, entry, "range", "x =", row.x, "width", row.numbers[0])


def _is_runs(runs: Runs, most: int) -> bool:
    """Whether these are inclusive ranges within {0 … most}, in order and with gaps between them."""
    edges = [number - (i % 2 == 0) for i, number in enumerate(runs)]  # a − 1 < b < next a − 1 < next b …
    rising = all(low < high for low, high in pairwise(edges))
    return len(runs) % 2 == 0 and (not runs or (runs[0] >= 0 and runs[-1] <= most)) and rising


def _has(runs: Runs, token: int) -> bool:
    return any(low <= token <= high for low, high in zip(runs[::2], runs[1::2], strict=True))


def _product(positions: tuple[Runs, ...], contains_max: bool, m: int) -> int:
    """Return the size of a product of sets; with `contains_max`, of its members that hold m somewhere."""
    without = math.prod(size(runs) - _has(runs, m) for runs in positions) if contains_max else 0
    return math.prod(map(size, positions)) - without


def _meet(box: Box, cell: Cell, m: int) -> bool:
    """Whether a box and a cell share a sequence: m or an allowed token everywhere, an allowed one n times."""
    holds_m = [_has(runs, m) for runs in box.positions]
    allowed = [bool(common(runs, cell.allowed)) for runs in box.positions]
    possible = all(map(bool.__or__, holds_m, allowed)) and not (box.contains_max and cell.n == len(allowed))
    return possible and holds_m.count(False) <= cell.n <= allowed.count(True)


def _need(condition: bool, entry: Entry, rule: str, *where: object) -> None:
    if not condition:
        place = f"q={entry.q} m={entry.m}: {' '.join(map(str, where))}"
        raise Finding("refuted", rule, place[:300])
