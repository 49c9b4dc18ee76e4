"""Work that falls apart by query: done one after the other, or in as many processes as there are threads.

Processes are used where the tensor library was given more than one thread (``torch.set_num_threads``,
``certkit prove --threads``) and a process can be forked with what is in memory; each then uses one thread.
The results are the same, and so are the operations that are counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from certkit import cost
from certkit.cost import Cost

__all__ = ["each_query"]

T = TypeVar("T")

_here: Callable[[int], Any]
"""In a worker: the work, which was there when it was forked."""


def each_query(work: Callable[[int], T], vocab: int) -> Iterator[T]:
    """Yield ``work(q)`` for every query token, in order."""
    threads = min(torch.get_num_threads(), vocab)
    if threads == 1 or sys.platform != "linux":
        yield from map(work, range(vocab))
        return
    with get_context("fork").Pool(threads, _start, (work,)) as pool:
        found: Iterator[tuple[T, Cost]] = pool.imap(_one, range(vocab))
        for result, spent in found:
            cost.record(spent.flops, spent.comparisons, spent.int_ops)
            yield result


def _start(work: Callable[[int], Any]) -> None:
    global _here
    _here = work
    torch.set_num_threads(1)


def _one(q: int) -> tuple[Any, Cost]:
    with cost.counting() as spent:
        result = _here(q)
    return result, spent
