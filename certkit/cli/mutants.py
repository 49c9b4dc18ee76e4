"""`certkit mutants`: plant unsound steps in strategies and files, and watch the auditor refuse them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import attrs
from rich.table import Table

from certkit.cli.exits import CliError, Exit
from certkit.cli.output import log_console, print_json, result_console
from proofs.mutants import PRODUCERS, KillRow, file_table, kill_table


def mutants(only: str = "", /, *, json: bool = False, markdown: bool = False) -> Exit:
    """Make the kill table: every mutant must be refused, every uncorrupted control verified.

    Exit code 1 if a mutant was accepted, never certified anything false, or a control was refused.

    Parameters
    ----------
    only
        Plant only mutants with this text in their name.
    json
        One JSON object per mutant instead of a table.
    markdown
        The table as Markdown, as it stands in the documentation.
    """
    if json and markdown:
        raise CliError("--json and --markdown are two forms of the same table; choose one")
    failed = found = 0
    lines = ["| mutant | kind | refused on | verdict | rule | control |", "|---|---|---|---|---|---|"]
    table = Table("mutant", "kind", "refused on", "verdict", "rule", "control")
    for row in _rows(only):
        found += 1
        failed += not (row.refused and row.control)
        if json:
            print_json(attrs.asdict(row))
        else:
            log_console().print(f"{row.mutant}: {'refused' if row.refused else 'ACCEPTED'}", highlight=False)
            cells = _cells(row)
            table.add_row(*cells)
            lines.append(f"| {' | '.join(cells)} |")
    if not found:
        raise CliError(f"no mutant has {only!r} in its name; certkit mutants lists all of them")
    summary = f"{found - failed} of {found} mutants refused, with their controls verified"
    if markdown:
        sys.stdout.write("\n".join([*lines, "", summary]) + "\n")
    elif not json:
        result_console().print(table)
        result_console().print(summary)
    return Exit.FALSE if failed else Exit.DONE


def _cells(row: KillRow) -> tuple[str, ...]:
    refused = row.specimen if row.refused else f"**{row.specimen or 'none'}: accepted**"
    return row.mutant, row.kind, refused, row.verdict, row.rule, "verified" if row.control else "**refused**"


def _rows(only: str) -> Iterator[KillRow]:
    yield from (row for row in file_table() if only in row.mutant)
    yield from kill_table(mutant for mutant in PRODUCERS if only in mutant.name)
