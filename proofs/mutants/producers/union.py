"""Steps left out of the counts of groups of outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import torch

from proofs.mutants.patching import Mutant, Patch
from proofs.mutants.producers.names import Row, constant


def _on_rows(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Terms of changed rows, under the name of the rows as they were."""
    return lambda original: lambda paths, query, rows: original(paths, query, change(rows))


def _first_outputs(rows: Any) -> Any:
    """Of each group the first output alone."""
    first = torch.ones_like(rows.output_row, dtype=torch.bool)
    first[1:] = rows.output_row[1:] != rows.output_row[:-1]
    return attrs.evolve(rows, output_row=rows.output_row[first], output=rows.output[first])


def _one_less(original: Any) -> Any:
    def bound(outputs: Any, meet: Any, width: float, offset: float, most: int, least: int) -> Any:
        fewer = max(most - 1, 0)
        return original(outputs, meet, width, offset, fewer, min(least, fewer))

    return bound


def _meet(values: Any, least: Any) -> Callable[[Any], Any]:
    """Another way to put the bins of a row and of what it meets together."""

    def meet(self: Any, other: Any) -> Any:
        return attrs.evolve(
            self, values=values(self.values, other.values), least=least(self.least, other.least)
        )

    return constant(meet)


def _at_least_none(original: Any) -> Any:
    def bound(outputs: Any, meet: Any, width: float, offset: float, most: int, least: int) -> Any:
        return original(outputs, meet, width, offset, max(most, 0), max(min(least, most), 0))

    return bound


def _without_last(original: Any) -> Any:
    """Of the outputs of a query that may fail, not the last."""

    def alive(shared: Any, query: Any) -> Any:
        return tuple(column[:-1] for column in original(shared, query))

    return alive


def _second(first: Any, second: Any) -> Any:
    return second


def _one_up(original: Any) -> Any:
    def binned(negated: Any, width: Any, offset: Any) -> Any:
        bins = original(negated, width, offset)
        return attrs.evolve(bins, values=bins.values + 1)

    return binned


_NAME: Final = "separable-union"
_HOME: Final = "proofs.separable.union"
_MEET: Final = "proofs.separable.count:Binned.meet"

_ROWS: Final = (
    Row(
        "a group by its first output",
        _NAME,
        "each output of a group may be the one that fails",
        f"{_HOME}:row_terms",
        _on_rows(_first_outputs),
    ),
    Row("one failure less", _NAME, "rounded down to the next integer", f"{_HOME}:Bound", _one_less),
    Row(
        "a meet that fills either",
        _NAME,
        "only what fails for both may be left out",
        _MEET,
        _meet(torch.maximum, torch.maximum),
    ),
    Row(
        "a meet that reaches the lesser need",
        _NAME,
        "only what fails for both may be left out",
        _MEET,
        _meet(torch.minimum, torch.minimum),
    ),
    Row(
        "what is met rounded up",
        _NAME,
        "what is left out must fail for it",
        f"{_HOME}:binned_down",
        _one_up,
    ),
)


_FORGOTTEN: Final = Mutant(
    f"{_NAME}: outputs without a row forgotten",
    _NAME,
    "an output in no row must never fail",
    (
        Patch("proofs.separable.union_search:alive_pairs", _without_last),
        Patch(
            f"{_HOME}:alive_pairs", constant(lambda shared, query: (torch.zeros(0, dtype=torch.int64),) * 2)
        ),
    ),
)
_ALL_LEFT_OUT: Final = Mutant(
    f"{_NAME}: all that fails for what is met left out",
    _NAME,
    "of that, only what the row counts may be left out",
    (Patch(_MEET, _meet(_second, _second)), Patch(f"{_HOME}:Bound", _at_least_none)),
)


def union_mutants() -> list[Mutant]:
    """The mutants of ``separable-union``."""
    return [*(row.mutant(f"{_NAME}: ") for row in _ROWS), _FORGOTTEN, _ALL_LEFT_OUT]
