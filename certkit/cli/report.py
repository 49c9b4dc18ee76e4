"""`certkit report`: what a sweep found, as tables, figures and one page."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from certkit.cli.exits import Exit
from certkit.cli.inputs import writable_folder
from certkit.cli.output import log_console
from proofs.report import make_report, read_study, write_report


def report(*results: Path, out: Path = Path("report")) -> int:
    """Make tables, figures and one HTML page of the results of sweeps, and print the path of the page.

    Exit code 1, for something is wrong: some certified bound is above what its model is known to reach, or
    some certificate was audited and not verified.

    Parameters
    ----------
    results
        The folder of a sweep, or of several that are reported as one study.
    out
        Folder for the page, the figures and the data.
    """
    made = make_report(read_study(*results))
    print(write_report(made, writable_folder(out)))
    for row in made.suspicious:
        text = f"{row.strategy} on {row.model.name}: the bound is above the accuracy; audit its certificate"
        log_console().print(Text(text, style="bold red"), soft_wrap=True)
    for one in made.study.refused:
        text = f"certificate {one.certificate} was audited and is not verified: {one.verdict} ({one.place})"
        log_console().print(Text(text, style="bold red"), soft_wrap=True)
    return Exit.FALSE if made.suspicious or made.study.refused else Exit.DONE
