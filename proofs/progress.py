"""Progress on standard error: a bar on a terminal, lines elsewhere. What is computed knows nothing of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from proofs.training import Progress, Watch


def new_bar(console: Console | None = None) -> Bar:
    """A bar with count, elapsed and remaining time, on standard error."""
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console or Console(stderr=True),
    )


class Lines:
    """Progress for a log file: a line when `every` seconds have passed, with an estimate of the time left.

    Where less is done than before, another piece of work has begun, and the time counts from there.
    """

    def __init__(
        self,
        what: str,
        console: Console | None = None,
        every: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._every, self._clock = what, every, clock
        self._console = console or Console(stderr=True)
        self._began = self._last = self._called = clock()
        self._done = 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say how far it is, unless the last line is younger than `every` seconds."""
        now = self._clock()
        if done < self._done:
            self._began = self._called
        self._done, self._called = done, now
        if now - self._last < self._every:
            return
        self._last, gone = now, now - self._began
        left = f", about {_clock_time(gone * (total - done) / done)} left" if done else ""
        text = f"{self._what}: {done:,} of {total:,} in {_clock_time(gone)}{left}"
        self._console.print(Text(f"{text}, {note}" if note else text), soft_wrap=True)


class Shown(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextlib.contextmanager
def shown(what: str, console: Console) -> Iterator[Shown]:
    """Show progress while the context lasts: a bar on a terminal, else a line every minute."""
    if not console.is_terminal:
        yield Lines(what, console)
        return
    with new_bar(console) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield show


def _clock_time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextlib.contextmanager
def training_bar(n_seeds: int, steps: int, console: Console | None = None) -> Iterator[Watch]:
    """A `Watch` that shows training of ``n_seeds`` seeds as one bar, counted in seed × step."""
    done: dict[tuple[int, ...], int] = {}
    with new_bar(console) as bar:
        task = bar.add_task("training", total=n_seeds * steps, note="")

        def watch(progress: Progress) -> None:
            done[progress.seeds] = progress.step * len(progress.seeds)
            seeds = (
                f"{progress.seeds[0]}…{progress.seeds[-1]}"
                if len(progress.seeds) > 1
                else f"{progress.seeds[0]}"
            )
            note = f"seeds {seeds}: loss {progress.loss:.4f}, accuracy {progress.accuracy:.4f}"
            bar.update(task, completed=sum(done.values()), note=note)

        yield watch
