"""`certkit sweep`: many strategies on many models, resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from rich.text import Text

from certkit.cli.exits import CliError, Exit
from certkit.cli.inputs import require_models, writable_folder
from certkit.cli.models import remark_on_task, require_sound_machine
from certkit.cli.output import log_console, result_console
from certkit.task import MAX_OF_K
from proofs.progress import Shown, shown
from proofs.strategy import select
from proofs.sweep import Limits, Local, Outcome, Remote, Status, Sweep, SweepProgress, ledger_path, run_sweep
from proofs.task import parse_task

_SHOWN = 10


def sweep(
    *models: Path,
    strategy: tuple[str, ...] = ("all",),
    out: Path = Path("results"),
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    retry: bool = False,
    seconds: float = 600.0,
    megabytes: int = 4096,
    semantics: Literal["real", "float32"] = "real",
    task: str = MAX_OF_K,
) -> int:
    """Prove every MODEL with every strategy, in limited worker processes, and keep all results in one folder.

    A result that is there is never computed again; `certkit report` makes tables and figures of the folder.

    Parameters
    ----------
    models
        Safetensors files.
    strategy
        A name, a glob, 'published', 'separable' or 'all'; several with commas or repeated.
    out
        Folder of the results.
    workers
        Worker processes on this machine (default 1).
    scheduler
        Address of a running Dask scheduler to work on instead.
    resume
        Go on with the sweep that is in the folder.
    retry
        With --resume: try again what failed or passed its limits.
    seconds
        Time limit of one proof.
    megabytes
        Memory limit of one worker process.
    semantics
        What is proved: the weights as exact reals, or the model as executed in float32.
    task
        Which answers are right: 'max-of-k', 'min-of-k', or a JSON file with an order and labels. Sweeps of
        several tasks may share a folder: with --resume, each adds its own results.
    """
    require_models(models, "sweep")
    if workers is not None and scheduler is not None:
        raise CliError("--workers and --scheduler exclude each other: name one")
    if ledger_path(out).exists() and not resume:
        raise CliError(f"{out} holds a sweep already; add --resume to go on with it, or choose another --out")
    patterns = [pattern for text in strategy for pattern in text.split(",")]
    place = Remote(scheduler) if scheduler is not None else Local(1 if workers is None else workers)
    plan = Sweep(
        models=models,
        strategies=select(patterns, semantics),
        folder=writable_folder(out),
        place=place,
        limits=_limits(seconds, megabytes),
        retry=retry,
        task=partial(parse_task, task),
    )
    remark_on_task(models, task)
    require_sound_machine()
    with shown("proving", log_console()) as show:
        failures = run_sweep(plan, lambda progress: _show(progress, show))
    return _conclude(out, failures)


def _limits(seconds: float, megabytes: int) -> Limits:
    if not seconds > 0:
        raise CliError(f"--seconds {seconds}: a time limit must be positive")
    if megabytes < 512:
        raise CliError(f"--megabytes {megabytes}: a worker needs at least 512 to start")
    return Limits(seconds, megabytes)


def _show(progress: SweepProgress, show: Shown) -> None:
    """What was finished before is not counted, so that the time left is that of this run."""
    last = progress.last
    name = "" if last is None else f"{Path(last.job.model.path).stem} {last.job.strategy}"
    note = f"{progress.before:,} before, {progress.failed:,} failed  {name}"[:60]
    show(progress.done, progress.total - progress.before, note)


def _conclude(folder: Path, failures: Sequence[Outcome]) -> int:
    """Say what was not proved, and where the results are."""
    console = result_console()
    out_of_reach = [f for f in failures if f.status is Status.OUT_OF_REACH]
    failed = [f for f in failures if f.status is not Status.OUT_OF_REACH]
    for outcome in failed[:_SHOWN]:
        what = f"{Path(outcome.job.model.path).name} {outcome.job.strategy or '(facts)'}"
        console.print(Text(f"{what}: {outcome.status.value}: {outcome.reason}"), soft_wrap=True)
    kinds = Counter(outcome.status.value for outcome in failed)
    for kind, count in sorted(kinds.items()):
        console.print(Text(f"{count} × {kind}", style="bold red"))
    if out_of_reach:
        console.print(Text(f"{len(out_of_reach)} × out of reach of the strategy"))
    console.print(Text(f"Results in {folder}/. Next: certkit report {folder} --out report"), soft_wrap=True)
    if not failed:
        return Exit.DONE
    return Exit.USAGE if set(kinds) == {Status.BAD_MODEL.value} else Exit.ENVIRONMENT
