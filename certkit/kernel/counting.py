"""What the content of every class has, and what cells and boxes must look like: exact integers, no model.

A cell and a box are the same thing here: for each position a set of tokens up to m, and how often m is there,
at least and at most. The sets of a class (q, m) must be disjoint; the test is exact, so content that overlaps
is refuted, and content that does not is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import and_
from typing import Any, NamedTuple

from certkit.kernel.model import Model
from certkit.kernel.verdict import Finding

Tokens = tuple[int, ...]
MAX_SETS = 4096  # cells and boxes of one class: each is compared with each


@dataclass(frozen=True)
class Entry(ABC):
    """What a certificate says of one class (q, m). Each kind of content is a subclass, which is its rule."""

    q: int
    m: int
    content: Any  # as its shape in the file has it

    @abstractmethod
    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the content certifies correct, and how many it says fail.

        Raise a `Finding` unless it is well formed.
        """

    @abstractmethod
    def check(self, model: Model) -> int:
        """Raise a `Finding` unless the content is true; return the precision that was needed."""

    def need(self, condition: bool, *where: object, rule: str = "range") -> None:
        """Raise a `Finding` that refutes the content unless the condition holds."""
        if not condition:
            raise Finding("refuted", rule, f"q={self.q} m={self.m}: {' '.join(map(str, where))}")

    def read_tokens(self, runs: Tokens, most: int) -> int:
        """Return inclusive ranges within {0 … most} as bits; they are in order, with gaps between them."""
        edges = [-2, *(number - (i % 2 == 0) for i, number in enumerate(runs)), most + 1]
        valid = len(runs) % 2 == 0 and all(low < high for low, high in pairwise(edges))
        self.need(valid, "no set of tokens up to", most, "in order:", runs)
        return sum((2 << high) - (1 << low) for low, high in zip(runs[::2], runs[1::2], strict=True))


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


def read_parts(entry: Entry, k: int) -> list[Part]:
    """Return the cells and boxes of a class, each checked by itself."""
    m, parts = entry.m, []
    cells, boxes = entry.content.values()  # here and below in the order of the shape
    entry.need(len(cells) + len(boxes) <= MAX_SETS, "more than", MAX_SETS, "sets")
    for n, runs in map(dict.values, cells):
        allowed, cell = entry.read_tokens(runs, m - 1), f"cell {n, runs}"
        entry.need(0 <= n <= k - 1 - (entry.q < m), "n is out of range in", cell)
        entry.need((n == 0) == (allowed == 0), "n = 0 goes with no token, in", cell)
        parts.append(Part("cell", (n, runs), (allowed | 1 << m,) * (k - 1), k - 1 - n, k - 1 - n))
    for positions, contains_max, exceptions in map(dict.values, boxes):
        entry.need(len(positions) == k - 1, "not", k - 1, "positions:", positions)
        sets = tuple(entry.read_tokens(runs, m) for runs in positions)
        free = entry.q == m or contains_max or 1 << m in sets
        entry.need(free, "a box needs contains_max or a position that is m:", positions)
        box = Part("box", positions, sets, int(contains_max), k - 1, frozenset(exceptions))
        entry.need(size(box, m) > 0, "a box without sequences:", positions)
        for e in exceptions:
            inside = len(e) == k - 1 and all(0 <= t <= m and s >> t & 1 for t, s in zip(e, sets, strict=True))
            entry.need(inside and e.count(m) >= box.least, "exception not in its box:", e)
        rising = all(one < two for one, two in pairwise(exceptions))
        entry.need(rising, "exceptions out of order in", positions)
        parts.append(box)
    return parts


def check_disjoint(entry: Entry, parts: list[Part]) -> None:
    """Raise a `Finding` if two parts of a class share a sequence."""
    for one, two in combinations(parts, 2):
        if all(map(and_, one.sets, two.sets)):  # else they have no common token somewhere
            entry.need(not _meet(one, two, entry.m), one, "meets", two, rule="overlap")


def tokens_of(allowed: int) -> list[int]:
    """Return the tokens of a set of bits."""
    return [t for t in range(allowed.bit_length()) if allowed >> t & 1]


def size(part: Part, m: int) -> int:
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
