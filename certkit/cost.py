"""Operations actually executed.

A proof's cost is the number of scalar operations of its *plain* computation: one interval operation counts
as the one real operation it encloses. The operations report themselves when they run; nothing is estimated
from a formula. Comparisons (min, max, sort, ``certainly_lt`` …) and exact integer operations have columns
of their own.

>>> from certkit import Interval, cost
>>> import torch
>>> a = Interval.exact(torch.ones(3, 4)); b = Interval.exact(torch.ones(4, 5))
>>> with cost.counting() as spent:
...     _ = (a @ b).amax(-1)
>>> spent.flops, spent.comparisons
(120, 12)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

__all__ = ["Cost", "counting", "record"]


@attrs.define
class Cost:
    """Scalar operations by kind. ``flops`` are real operations, one for each interval operation."""

    flops: int = 0
    comparisons: int = 0
    int_ops: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops, self.comparisons + other.comparisons, self.int_ops + other.int_ops
        )


_active: ContextVar[tuple[Cost, ...]] = ContextVar("certkit_cost", default=())


@contextmanager
def counting() -> Iterator[Cost]:
    """Count what runs inside the block, in this thread or task. Blocks nest: an outer one counts the inner
    too.
    """
    spent = Cost()
    token = _active.set((*_active.get(), spent))
    try:
        yield spent
    finally:
        _active.reset(token)


def record(flops: int = 0, comparisons: int = 0, int_ops: int = 0) -> None:
    """Report operations that were executed; free of charge when nobody counts."""
    for spent in _active.get():
        spent.flops += flops
        spent.comparisons += comparisons
        spent.int_ops += int_ops
