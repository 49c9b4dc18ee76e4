"""`certkit strategies`: what can be proved with."""

from __future__ import annotations

from rich.table import Table

from certkit.cli.output import print_json, result_console
from proofs.strategy import strategies as registered


def strategies(*, json: bool = False) -> None:
    """List the proof strategies.

    Parameters
    ----------
    json
        One JSON object per line instead of a table.
    """
    known = registered()
    if json:
        for strategy in known:
            print_json(
                {
                    "name": strategy.name,
                    "family": strategy.family.value,
                    "version": strategy.version,
                    "complexity_class": strategy.complexity_class.value,
                    "semantics": strategy.semantics.value,
                    "description": strategy.description,
                }
            )
        return
    table = Table(caption=f"{len(known)} strategies", caption_justify="left", row_styles=["", "dim"])
    for heading in ("name", "family", "complexity", "semantics", "what it does"):
        table.add_column(heading, overflow="fold")
    for strategy in known:
        table.add_row(
            strategy.name,
            strategy.family.value,
            strategy.complexity_class.value,
            strategy.semantics.value,
            strategy.description,
        )
    result_console().print(table)
