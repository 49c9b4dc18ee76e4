"""Fewer classes, or more processes: how the classes of a long certificate are decided."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import Pool, TimeoutError, active_children
from multiprocessing.pool import IMapIterator
from multiprocessing.process import BaseProcess
from typing import TypeVar

from certkit.kernel.verdict import Finding

PATIENCE = 5.0  # seconds
Given = TypeVar("Given")
Found = TypeVar("Found")


def draw(classes: list[Given], number: int) -> tuple[list[Given], tuple[int, int]]:
    """Return so many classes drawn at random (or all), and of how many how many they are."""
    drawn = random.SystemRandom().sample(classes, min(number, len(classes)))
    return drawn, (len(drawn), len(classes))


def spread(decide: Callable[[Given], Found], classes: list[Given], jobs: int) -> Iterator[Found]:
    """Yield what deciding the classes gives, in any order, from so many processes.

    A pool does not notice that a process was killed and its classes are lost, so this looks while it waits.
    """
    others = active_children()
    try:
        pool = Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN))  # the first process is interrupted
    except OSError as error:
        where = f"this machine has not {jobs} more: {error.strerror}"
        raise Finding("undecided", "processes", where) from None
    size = 1 + len(classes) // (8 * jobs)  # few large pieces, because the model goes with each of them
    pieces = [classes[i : i + size] for i in range(0, len(classes), size)]
    with pool:
        workers = [child for child in active_children() if child not in others]
        found = pool.imap_unordered(partial(_each, decide), pieces)
        for _ in pieces:
            yield from _next(found, workers)


def _each(decide: Callable[[Given], Found], piece: list[Given]) -> list[Found]:
    return list(map(decide, piece))


def _next(found: IMapIterator[list[Found]], workers: list[BaseProcess]) -> list[Found]:
    while True:
        try:
            return found.next(timeout=PATIENCE)
        except TimeoutError:
            if not all(worker.is_alive() for worker in workers):
                raise Finding("undecided", "processes", "one of them was killed") from None
