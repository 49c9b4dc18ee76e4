"""Progress bars on standard error; what is computed knows nothing of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

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
