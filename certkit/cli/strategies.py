"""`certkit strategies`: what can be proved with."""

from __future__ import annotations

from itertools import groupby

from rich.text import Text

from certkit.cli.output import print_json, result_console
from proofs.strategy import strategies as registered


def strategies(*, json: bool = False) -> None:
    """List the proof strategies.

    Parameters
    ----------
    json
        One JSON object per line instead of text.
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
    console = result_console()
    for name, offered in groupby(known, key=lambda strategy: strategy.name):
        same = list(offered)
        first = same[0]
        semantics = " and ".join(strategy.semantics.value for strategy in same)
        facts = f"{first.family.value}, {first.complexity_class.value}, {semantics}"
        console.print(Text.assemble((name, "bold"), ("  " + facts, "dim")), soft_wrap=True)
        console.print(Text("    " + first.description), soft_wrap=True)
    console.print(Text(f"{len({strategy.name for strategy in known})} strategies"), style="dim")
