"""The tables of a report: each a title, column names, and cells that are text or numbers.

Bounds, and means of bounds, are floats rounded down: no cell says more than was certified.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from certkit.display import float_down
from proofs.report.study import ModelRow, ResultRow, Study
from proofs.strategy import ComplexityClass, Family

Key = TypeVar("Key", bound=Hashable)
Value: TypeAlias = "str | float | int"

COMPLEXITY: Final[Mapping[str, str]] = {
    ComplexityClass.BRUTE_FORCE: "O(V^(K+1)·K)",
    ComplexityClass.QUARTIC: "O(V⁴·K)",
    ComplexityClass.CUBIC: "O(V³·K)",
    ComplexityClass.SUB_CUBIC: "O(V²·(d+K)), EVOU V²d",
    ComplexityClass.LOW_RANK: "O(V²·K + V·d²), EVOU V²d",
    ComplexityClass.QUADRATIC: "O(V²·K + V·d), EVOU V²d",
}
"""Cost of verification by class, as the study plots it."""


def grouped(rows: Iterable[ResultRow], key: Callable[[ResultRow], Key]) -> dict[Key, list[ResultRow]]:
    """Rows by key, keys in order of first appearance."""
    groups: dict[Key, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def best_per_model(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """For each model the row with the largest bound (the cheapest of equals)."""
    groups = grouped(rows, lambda row: row.model.subject)
    return [max(own, key=lambda row: (row.bound, -row.flops)) for own in groups.values()]


@attrs.frozen
class Table:
    """A table for people and programs: a title, column names, and cells that are text or numbers."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def csv(self) -> str:
        """The table as CSV."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue()


def spread(values: Sequence[float]) -> float:
    """Standard deviation over models (0 for one)."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


_CLASSES: Final = [str(c) for c in ComplexityClass]
_FAMILIES: Final = [str(f) for f in Family]


def class_order(row: ResultRow) -> tuple[int, int]:
    """From dear to cheap, published before ours."""
    return (_CLASSES.index(row.complexity_class), _FAMILIES.index(row.family))


Item = TypeVar("Item")
Columns: TypeAlias = Mapping[str, Callable[[Item], Value]]
"""What stands in each column of a table about such items, by the column's name."""


def _rows(columns: Columns[Item], items: Iterable[Item]) -> tuple[tuple[Value, ...], ...]:
    return tuple(tuple(cell(item) for cell in columns.values()) for item in items)


def _known(value: float | Fraction | None) -> float:
    return math.nan if value is None else float(value)


@attrs.frozen
class _Group:
    """Results that share a line: one for each model."""

    members: Sequence[ResultRow]

    @property
    def first(self) -> ResultRow:
        return self.members[0]

    @property
    def bounds(self) -> list[float]:
        return [float_down(row.bound) for row in self.members]

    @property
    def mean_bound(self) -> float:
        return float_down(sum((row.bound for row in self.members), Fraction(0)) / len(self.members))

    def mean(self, of: Callable[[ResultRow], float]) -> float:
        return statistics.fmean(of(row) for row in self.members)

    @property
    def gap(self) -> float:
        """Mean distance to the models' accuracies, where those are known."""
        known = [(row.model.accuracy_lower, float_down(row.bound)) for row in self.members]
        gaps = [accuracy - bound for accuracy, bound in known if accuracy]
        return statistics.fmean(gaps) if gaps else math.nan

    @property
    def mostly(self) -> str:
        """The strategy most of them are of."""
        names = [row.strategy for row in self.members]
        return max(sorted(set(names)), key=names.count)


_CLASS_COLUMNS: Final[Columns[_Group]] = {
    "setting": lambda group: str(group.first.model.setting),
    "class": lambda group: group.first.label,
    "complexity": lambda group: COMPLEXITY[group.first.complexity_class],
    "models": lambda group: len(group.members),
    "bound": lambda group: group.mean_bound,
    "sd": lambda group: spread(group.bounds),
    "below accuracy by": lambda group: group.gap,
    "operations": lambda group: group.mean(lambda row: row.flops),
    "unexplained dimension": lambda group: group.mean(lambda row: row.unexplained_dimension),
    "verify s": lambda group: group.mean(lambda row: row.verify_s),
    "mostly best": lambda group: group.mostly,
}


def class_table(study: Study) -> Table:
    """The paper's Table 1 for every setting: the best strategy of each class on each model."""
    ordered = sorted(study.results, key=lambda row: (row.model.setting, *class_order(row)))
    classes = grouped(ordered, lambda row: (row.model.setting, row.label)).values()
    rows = _rows(_CLASS_COLUMNS, (_Group(best_per_model(members)) for members in classes))
    note = "For each model the class's largest certified bound; means over models, sd between models."
    return Table("classes", "Certified accuracy by complexity class", note, tuple(_CLASS_COLUMNS), rows)


_STRATEGY_COLUMNS: Final[Columns[_Group]] = {
    "setting": lambda group: str(group.first.model.setting),
    "strategy": lambda group: group.first.strategy,
    "version": lambda group: group.first.version,
    "class": lambda group: group.first.label,
    "semantics": lambda group: group.first.semantics,
    "models": lambda group: len(group.members),
    "bound": lambda group: group.mean_bound,
    "sd": lambda group: spread(group.bounds),
    "least": lambda group: min(group.bounds),
    "operations": lambda group: group.mean(lambda row: row.flops),
    "comparisons": lambda group: group.mean(lambda row: row.comparisons),
    "unexplained dimension": lambda group: group.first.unexplained_dimension,
    "search s": lambda group: group.mean(lambda row: row.search_s),
    "verify s": lambda group: group.mean(lambda row: row.verify_s),
}


def strategy_table(study: Study) -> Table:
    """Every strategy in every setting."""
    ordered = sorted(
        study.results, key=lambda row: (row.model.setting, *class_order(row), row.strategy, row.version)
    )
    groups = grouped(ordered, lambda row: (row.model.setting, row.strategy, row.version, row.semantics))
    rows = _rows(_STRATEGY_COLUMNS, map(_Group, groups.values()))
    return Table("strategies", "Every strategy", "Means over models.", tuple(_STRATEGY_COLUMNS), rows)


def model_table(study: Study) -> Table:
    """Every model with its accuracy and the best bound of each family."""
    results = grouped(study.results, lambda row: (row.model.subject, row.family))

    def best(family: str) -> Callable[[ModelRow], Value]:
        return lambda model: max(
            (float_down(row.bound) for row in results.get((model.subject, family), ())), default=math.nan
        )

    columns: Columns[ModelRow] = {
        "model": lambda model: model.name,
        "setting": lambda model: str(model.setting),
        "accuracy from": lambda model: _known(model.accuracy_lower),
        "accuracy to": lambda model: _known(model.accuracy_upper),
        "σ₁/σ₂ of EQKE": lambda model: _known(model.ratio),
        "how": lambda model: "sampled, 99.99 %" if model.sampled else "counted in float64",
        **{family: best(family) for family in _FAMILIES},
    }
    note = (
        "Accuracies are references, not proofs. The last columns are the best certified bound of each family."
    )
    return Table("models", "Models", note, tuple(columns), _rows(columns, study.models))


_RESULT_COLUMNS: Final[Columns[ResultRow]] = {
    "model": lambda row: row.model.name,
    "k": lambda row: row.model.setting.k,
    "vocab": lambda row: row.model.setting.vocab,
    "task": lambda row: row.model.setting.task,
    "strategy": lambda row: row.strategy,
    "version": lambda row: row.version,
    "family": lambda row: row.family,
    "class": lambda row: row.complexity_class,
    "semantics": lambda row: row.semantics,
    "bound": lambda row: float_down(row.bound),
    "operations": lambda row: row.flops,
    "comparisons": lambda row: row.comparisons,
    "integer operations": lambda row: row.int_ops,
    "unexplained dimension": lambda row: row.unexplained_dimension,
    "search s": lambda row: row.search_s,
    "verify s": lambda row: row.verify_s,
    "sigma ratio": lambda row: _known(row.model.ratio),
    "certificate": lambda row: row.certificate,
}


def result_table(study: Study) -> Table:
    """Every proof: the data behind the figures."""
    rows = _rows(_RESULT_COLUMNS, study.results)
    return Table("results", "Every proof", "", tuple(_RESULT_COLUMNS), rows)


_FAILURE_COLUMNS: Final[Columns[Mapping[str, Any]]] = {
    "model": lambda failure: failure["model"].name,
    "setting": lambda failure: str(failure["model"].setting),
    "strategy": lambda failure: failure["strategy"] or "facts",
    "end": lambda failure: failure["status"],
    "reason": lambda failure: failure["reason"],
}


def failure_table(study: Study) -> Table:
    """Jobs without a proof, and why."""
    rows = _rows(_FAILURE_COLUMNS, study.failures)
    return Table("failures", "Jobs without a proof", "", tuple(_FAILURE_COLUMNS), rows)
