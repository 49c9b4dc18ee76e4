"""Fewer classes, or more processes: how the classes of a long certificate are decided."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")


def draw(classes: tuple[Given, ...], number: int) -> tuple[tuple[Given, ...], tuple[int, int]]:
    """Return so many classes drawn at random (or all), and of how many how many they are."""
    drawn = random.SystemRandom().sample(classes, min(number, len(classes)))
    return tuple(drawn), (len(drawn), len(classes))


def spread(decide: Callable[[Given], Found], classes: tuple[Given, ...], jobs: int) -> Iterator[Found]:
    """Yield what deciding the classes gives, in any order, from so many processes."""
    with Pool(jobs) as pool:  # in few large pieces, because the model goes with each of them
        yield from pool.imap_unordered(decide, classes, chunksize=1 + len(classes) // (8 * jobs))
