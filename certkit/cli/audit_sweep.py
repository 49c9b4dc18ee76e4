"""`certkit audit-sweep`: the auditor over the certificates of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from pathlib import Path

from rich.text import Text

from certkit.cli.exits import CliError, Exit
from certkit.cli.output import log_console, result_console
from proofs.progress import shown
from proofs.sweep import open_results
from proofs.sweep.audits import AuditPlan, AuditSummary, audit_results

_SHOWN = 10


def audit_sweep(
    results: Path,
    *,
    strategy: tuple[str, ...] = ("all",),
    sample: int | None = None,
    seed: int = 0,
    workers: int = 1,
) -> int:
    """Audit the certificates of a sweep, all or some drawn at random, and keep the verdicts with its results.

    A certificate that this auditor has seen is not audited again. Exit code 1: some are not verified.

    Parameters
    ----------
    results
        The folder of a sweep.
    strategy
        Audit certificates of these strategies: a name, a glob, 'published', 'separable' or 'all'; several
        with commas or repeated.
    sample
        Audit so many certificates drawn at random (default: all).
    seed
        Of the drawing.
    workers
        Processes.
    """
    for name, value in (("--sample", sample), ("--workers", workers)):
        if value is not None and value < 1:
            raise CliError(f"{name} {value}: must be at least 1")
    patterns = [pattern for text in strategy for pattern in text.split(",")]
    ledger, store = open_results(results)
    try:
        with ledger, shown("auditing", log_console()) as watch:
            summary = audit_results(ledger, store, AuditPlan(sample, seed, workers, patterns), watch)
    except BrokenProcessPool:
        message = "an auditing process died, perhaps of memory; run it again with fewer --workers to go on"
        raise CliError(message, Exit.ENVIRONMENT) from None
    return _conclude(results, patterns, summary)


def _conclude(results: Path, patterns: Sequence[str], summary: AuditSummary) -> int:
    of = "" if patterns == ["all"] else f" of {', '.join(patterns)}"
    if not summary.certificates:
        raise CliError(f"{results} holds no certificates{of}; run certkit sweep first")
    console = result_console()
    for one in summary.not_verified[:_SHOWN]:
        console.print(Text(f"{one.certificate}: {one.verdict}: {one.place}"), soft_wrap=True)
    drawn, bad = len(summary.audited), len(summary.not_verified)
    console.print(
        f"{drawn - bad:,} of {drawn:,} verified; the sweep has {summary.certificates:,} certificates{of}"
    )
    console.print(
        f"{_time(summary.seconds)} of one processor; {_time(summary.seconds_for_all)} at this rate for all"
    )
    return Exit.FALSE if bad else Exit.DONE


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
