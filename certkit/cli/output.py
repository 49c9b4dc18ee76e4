"""What commands print: JSON Lines on stdout for programs, tables on stdout for people, the rest on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(record: Mapping[str, object]) -> None:
    """One JSON object on one line of stdout, in the given order of fields."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def result_console() -> Console:
    """Where tables for people go: stdout."""
    return Console()


def print_table(table: Table) -> None:
    """Print a table without folding: a line longer than the terminal is wrapped by the terminal itself."""
    console = result_console()
    natural = console.measure(table, options=console.options.update(width=10_000)).maximum
    wide = Console(width=max(console.width, natural))
    for segments in wide.render_lines(table, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        if set(line.plain.strip()) <= {"─"}:
            line.truncate(console.width)
        console.print(line, soft_wrap=True)


def log_console() -> Console:
    """Where progress and remarks go: stderr."""
    return Console(stderr=True)
