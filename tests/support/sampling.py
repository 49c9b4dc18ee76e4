"""Random members of certified sets, weighted by how many sequences each cell or box holds."""

from __future__ import annotations

import random
from collections.abc import Iterator

from certkit.certificate import Box, Cell, CertifiedSet, SetContent, run_tokens


def _from_cell(cell: Cell, m: int, k: int, rng: random.Random) -> tuple[int, ...]:
    slots = set(rng.sample(range(k - 1), cell.n))
    allowed = run_tokens(cell.allowed)
    return tuple(rng.choice(allowed) if p in slots else m for p in range(k - 1))


def _from_box(box: Box, m: int, rng: random.Random) -> tuple[int, ...]:
    excluded, choices = set(box.exceptions), [run_tokens(runs) for runs in box.positions]
    while True:
        tokens = tuple(map(rng.choice, choices))
        if tokens not in excluded and (not box.contains_max or m in tokens):
            return tokens


def sample_members(certified: CertifiedSet, count: int, rng: random.Random) -> Iterator[tuple[int, ...]]:
    """``count`` sequences (query last) drawn from the cells and boxes of ``certified``."""
    parts = [
        (e.q, e.m, part, part.count(certified.k) if isinstance(part, Cell) else part.count(e.m))
        for e in certified.entries
        if isinstance(e, SetContent)
        for part in (*e.cells, *e.boxes)
    ]
    weights = [size for *_, size in parts]
    for q, m, part, _ in rng.choices(parts, weights, k=count) if parts else ():
        if isinstance(part, Cell):
            yield (*_from_cell(part, m, certified.k, rng), q)
        else:
            yield (*_from_box(part, m, rng), q)
