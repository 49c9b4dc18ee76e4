"""Work that falls apart by query: done one after the other, or in as many processes as there are threads.

Processes are used where the tensor library was given more than one thread (``torch.set_num_threads``,
``certkit prove --threads``), the vocabulary is worth it, and a process can be forked with what is in memory;
each then uses one thread. The results are the same, and so are the operations that are counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context
from typing import Any, Final, TypeVar

import torch

from certkit import cost
from certkit.cost import Cost
from proofs.listening import report
from proofs.strategy import StrategyError

__all__ = ["each_query"]

T = TypeVar("T")

FEWEST: Final = 64
"""Queries for which processes are started."""

_here: Callable[[int], Any]
"""In a worker: the work, which was there when it was forked."""


def each_query(work: Callable[[int], T], vocab: int) -> Iterator[T]:
    """Yield ``work(q)`` for every query token, in order, and `report` each.

    Raises:
        StrategyError: a process was killed.
    """
    threads = min(torch.get_num_threads(), vocab)
    may_fork = sys.platform == "linux" and not current_process().daemon
    if threads == 1 or vocab < FEWEST or not may_fork:
        for q in range(vocab):
            yield work(q)
            report(q + 1, vocab)
        return
    pool = ProcessPoolExecutor(threads, get_context("fork"), _start, (work,))
    try:
        found: Iterator[tuple[T, Cost]] = pool.map(_one, range(vocab))
        for q, (result, spent) in enumerate(found):
            cost.record(spent.flops, spent.comparisons, spent.int_ops)
            yield result
            report(q + 1, vocab)
    except BrokenProcessPool as error:
        raise StrategyError(
            f"one of {threads} processes was killed, perhaps for want of memory; use fewer threads"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(work: Callable[[int], Any]) -> None:
    global _here
    _here = work
    torch.set_num_threads(1)


def _one(q: int) -> tuple[Any, Cost]:
    with cost.counting() as spent:
        result = _here(q)
    return result, spent
