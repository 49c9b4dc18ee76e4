"""Steps left out of the counts of groups of outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import torch

from proofs.mutants.patching import Mutant
from proofs.mutants.producers.names import Row


def _on_rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Terms of changed rows, under the name of the rows as they were."""
    return lambda original: lambda paths, query, rows: original(paths, query, change(rows))


def _first_outputs(rows: Any) -> Any:
    """Of each group the first output alone."""
    first = torch.ones_like(rows.output_row, dtype=torch.bool)
    first[1:] = rows.output_row[1:] != rows.output_row[:-1]
    return attrs.evolve(rows, output_row=rows.output_row[first], output=rows.output[first])


def _one_less(original: Any) -> Any:
    def bound(outputs: Any, less: Any, numbers: Any, most: int, least: int) -> Any:
        fewer = max(most - 1, 0)
        return original(outputs, less, numbers, fewer, min(least, fewer))

    return bound


_NAME: Final = "separable-union"
_HOME: Final = "proofs.separable.union"

_ROWS: Final = (
    Row(
        "a group by its first output",
        _NAME,
        "each output of a group may be the one that fails",
        f"{_HOME}:row_terms",
        _on_rows(_first_outputs),
    ),
    Row("one failure less", _NAME, "rounded down to the next integer", f"{_HOME}:Bound", _one_less),
)


def union_mutants() -> list[Mutant]:
    """The mutants of ``separable-union``."""
    return [row.mutant(f"{_NAME}: ") for row in _ROWS]
