"""What cells and boxes must look like, and how many sequences are in them: exact integers, no model.

A cell and a box are the same thing here: for each position a set of tokens up to m, and how often m is there,
at least and at most. The sets of a class (q, m) must be disjoint; the test is exact, so content that overlaps
is refuted, and content that does not is not.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from operator import and_
from typing import Any, NamedTuple

from certkit.kernel.reader import Entry, Runs
from certkit.kernel.verdict import Finding

MAX_SETS = 4096  # cells and boxes of one class: each is compared with each


class Part(NamedTuple):
    """A cell or box: at each non-query position a token of its set (bit t is token t), and m so often."""

    name: str
    spelled: tuple[Any, ...]
    sets: tuple[int, ...]
    least: int
    most: int
    exceptions: frozenset[tuple[int, ...]] = frozenset()

    def __str__(self) -> str:
        return f"{self.name} {self.spelled}"


def count_sets(entry: Entry, k: int) -> tuple[int, int]:
    """Return how many sequences the sets certify correct, and how many they except, if they are disjoint."""
    parts = read_parts(entry, k)
    exceptions = sum(len(part.exceptions) for part in parts)
    return sum(_size(part, entry.m) for part in parts) - exceptions, exceptions


def check_disjoint(entry: Entry, k: int) -> None:
    """Raise a `Finding` if two sets share a sequence."""
    for one, two in combinations(read_parts(entry, k), 2):
        if all(map(and_, one.sets, two.sets)):  # else they have no common token somewhere
            need(not _meet(one, two, entry.m), entry, one, "meets", two, rule="overlap")


def read_parts(entry: Entry, k: int) -> list[Part]:
    """Return the cells and boxes of a class, each checked by itself."""
    m, parts = entry.m, []
    need(len(entry.cells) + len(entry.boxes) <= MAX_SETS, entry, "more than", MAX_SETS, "sets")
    for cell in entry.cells:
        need(0 <= cell.n <= k - 1 - (entry.q < m), entry, "n is out of range in", cell)
        allowed = read_tokens(entry, cell.allowed, m - 1)
        need((cell.n == 0) == (allowed == 0), entry, "n = 0 goes with no token, in", cell)
        times = k - 1 - cell.n
        parts.append(Part("cell", tuple(cell), (allowed | 1 << m,) * (k - 1), times, times))
    for positions, contains_max, exceptions in entry.boxes:
        need(len(positions) == k - 1, entry, "not", k - 1, "positions:", positions)
        sets = tuple(read_tokens(entry, runs, m) for runs in positions)
        free = entry.q == m or contains_max or 1 << m in sets
        need(free, entry, "a box needs contains_max or a position that is m:", positions)
        box = Part("box", positions, sets, int(contains_max), k - 1, frozenset(exceptions))
        need(_size(box, m) > 0, entry, "a box without sequences:", positions)
        for e in exceptions:
            inside = len(e) == k - 1 and all(0 <= t <= m and s >> t & 1 for t, s in zip(e, sets, strict=True))
            need(inside and e.count(m) >= box.least, entry, "exception not in its box:", e)
        rising = all(one < two for one, two in pairwise(exceptions))
        need(rising, entry, "exceptions out of order in", positions)
        parts.append(box)
    return parts


def need(condition: bool, entry: Entry, *where: object, rule: str = "range") -> None:
    """Raise a `Finding` that refutes the entry unless the condition holds."""
    if not condition:
        raise Finding("refuted", rule, f"q={entry.q} m={entry.m}: {' '.join(map(str, where))}")


def tokens_of(allowed: int) -> list[int]:
    """Return the tokens of a set of bits."""
    return [t for t in range(allowed.bit_length()) if allowed >> t & 1]


def read_tokens(entry: Entry, runs: Runs, most: int) -> int:
    """Return inclusive ranges within {0 … most} as bits; they are in order, with gaps between them."""
    edges = [-2, *(number - (i % 2 == 0) for i, number in enumerate(runs)), most + 1]
    valid = len(runs) % 2 == 0 and all(low < high for low, high in pairwise(edges))
    need(valid, entry, "no set of tokens up to", most, "in order:", runs)
    return sum((2 << high) - (1 << low) for low, high in zip(runs[::2], runs[1::2], strict=True))


def _size(part: Part, m: int) -> int:
    """Return the number of sequences, exceptions included, from how many there are with each number of m."""
    ways = [1]
    for allowed in part.sets:
        holds, others = allowed >> m, (allowed & ~(1 << m)).bit_count()
        ways = [others * a + holds * b for a, b in zip([*ways, 0], [0, *ways], strict=True)]
    return sum(ways[part.least : part.most + 1])


def _meet(one: Part, two: Part, m: int) -> bool:
    """Whether sets with common tokens everywhere share a sequence: with m so often that both have it so.

    Where m is one of several common tokens it is there or not, so every number between is possible.
    """
    common = [a & b for a, b in zip(one.sets, two.sets, strict=True)]
    forced, possible = common.count(1 << m), sum(tokens >> m for tokens in common)
    return max(forced, one.least, two.least) <= min(possible, one.most, two.most)
