"""`certkit check`: try to break strategies on models made to fool provers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from certkit.cli.exits import Exit
from certkit.cli.models import require_sound_machine
from certkit.cli.output import log_console, print_json, result_console
from certkit.testing.check import StrategyReport
from proofs.checking import CheckPlan, Key, check_many, selected
from proofs.progress import shown


def check(
    *strategies: str,
    workers: int = 1,
    hostile: int = 2,
    largest: int = 4096,
    journal: Path | None = None,
    json: bool = False,
) -> Exit:
    """Check strategies: sound on every model of the zoo, with any witness, repeatable, and audited.

    Every model of the zoo is decided exactly, sequence by sequence, and what a strategy certifies is compared
    with the truth. Exit code 1 if a law was broken, 0 if not: evidence, not a proof.

    Parameters
    ----------
    strategies
        A name, a glob, 'published', 'separable', 'plug-in' or 'all' (the default).
    workers
        Processes.
    hostile
        Hostile witnesses tried on each model, of seven kinds in turn.
    largest
        Leave out models with more sequences than this.
    journal
        A file that keeps what is finished: the same command goes on where it was interrupted.
    json
        One JSON object per strategy instead of text.
    """
    plan = CheckPlan(selected(strategies or ("all",)), hostile, largest, workers, journal)
    require_sound_machine()
    began = time.monotonic()
    with shown("checking", log_console()) as watch:
        reports = check_many(plan, watch)
    if json:
        for key, report in zip(plan.keys, reports, strict=True):
            print_json(_record(key, report))
    else:
        _print(plan.keys, reports, time.monotonic() - began)
    return Exit.DONE if all(report.ok for report in reports) else Exit.FALSE


def _record(key: Key, report: StrategyReport) -> dict[str, object]:
    name, semantics = key
    return {
        "name": name,
        "semantics": semantics.value,
        "ok": report.ok,
        "models": report.models,
        "verifications": report.verifications,
        "refusals": report.refusals,
        "certified": report.certified,
        "seconds": round(report.seconds, 3),
        "findings": [
            {
                "law": finding.law,
                "model": finding.model,
                "witness": finding.witness,
                "message": finding.message,
                "sequence": finding.sequence,
            }
            for finding in report.findings
        ],
    }


def _print(keys: Sequence[Key], reports: Sequence[StrategyReport], seconds: float) -> None:
    console = result_console()
    for (name, semantics), report in zip(keys, reports, strict=True):
        if not report.ok:
            console.print(Text(f"{name} ({semantics})", style="bold"), soft_wrap=True)
            for finding in report.findings:
                console.print(Text(f"    {finding}"), soft_wrap=True)
    broken = sum(not report.ok for report in reports)
    tried = (
        f"{len(reports)} strateg{'y' if len(reports) == 1 else 'ies'} on {reports[0].models} models: "
        f"{sum(report.verifications for report in reports):,} verifications, "
        f"{sum(report.certified for report in reports):,} sequences certified, {seconds:.0f} s"
    )
    console.print(tried, highlight=False)
    verdict = "no law broken" if not broken else f"laws broken by {broken} of {len(reports)}"
    console.print(verdict, highlight=False)
