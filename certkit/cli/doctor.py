"""`certkit doctor`: is the arithmetic of this machine what proofs assume?"""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from certkit.cli.exits import Exit
from certkit.cli.output import print_json, result_console
from certkit.environment import Report, examine_all


def doctor(*, json: bool = False) -> int:
    """Check the arithmetic that proofs on this machine rest on; exit code 4 if something fails.

    Parameters
    ----------
    json
        One JSON object for each device instead of tables.
    """
    reports = examine_all()
    for report in reports:
        if json:
            print_json(report.record())
        else:
            _print(report)
    return Exit.DONE if all(report.sound for report in reports) else Exit.ENVIRONMENT


def _print(report: Report) -> None:
    console = result_console()
    title = f"{report.device}: {report.hardware}, {report.threads} threads"
    table = Table(box=SIMPLE_HEAD, title=Text(title), title_justify="left", title_style="bold")
    table.add_column("check")
    table.add_column("")
    table.add_column("seen", overflow="fold")
    for check in report.checks:
        mark = Text("ok", style="green") if check.passed else Text("FAILS", style="bold red")
        seen = check.detail if check.passed else f"{check.detail}; {check.remedy}"
        table.add_row(check.name, mark, Text(seen))
    console.print(table)
    if report.sound:
        console.print(Text("Proofs made here rest on arithmetic that behaves as they assume."))
    else:
        console.print(Text("No proof is made on this device until this is mended."), style="bold red")
