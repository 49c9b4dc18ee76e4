"""The tables of a report: each a title, column names, and cells that are text or numbers."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import attrs

from proofs.report.study import ResultRow, Study
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


def class_table(study: Study) -> Table:
    """The paper's Table 1 for every setting: the best strategy of each class on each model."""
    rows = []
    for setting in study.settings:
        own = sorted((r for r in study.results if r.model.setting == setting), key=class_order)
        for label, members in grouped(own, lambda row: row.label).items():
            best = best_per_model(members)
            bounds = [float(row.bound) for row in best]
            gaps = [row.model.accuracy_lower - float(row.bound) for row in best if row.model.accuracy_lower]
            winners = [row.strategy for row in best]
            rows.append(
                (
                    str(setting),
                    label,
                    COMPLEXITY[members[0].complexity_class],
                    len(best),
                    statistics.fmean(bounds),
                    spread(bounds),
                    statistics.fmean(gaps) if gaps else math.nan,
                    statistics.fmean(row.flops for row in best),
                    statistics.fmean(row.unexplained_dimension for row in best),
                    statistics.fmean(row.verify_s for row in best),
                    max(sorted(set(winners)), key=winners.count),
                )
            )
    columns: tuple[str, ...] = (
        "setting",
        "class",
        "complexity",
        "models",
        "bound",
        "sd",
        "below accuracy by",
        "operations",
    )
    columns += ("unexplained dimension", "verify s", "mostly best")
    note = "For each model the class's largest certified bound; means over models, sd between models."
    return Table("classes", "Certified accuracy by complexity class", note, columns, tuple(rows))


def strategy_table(study: Study) -> Table:
    """Every strategy in every setting."""
    rows = []
    ordered = sorted(study.results, key=lambda row: (row.model.setting, *class_order(row), row.strategy))
    groups = grouped(ordered, lambda row: (row.model.setting, row.strategy, row.semantics))
    for (setting, strategy, semantics), members in groups.items():
        bounds = [float(row.bound) for row in members]
        rows.append(
            (
                str(setting),
                strategy,
                members[0].label,
                semantics,
                len(members),
                statistics.fmean(bounds),
                spread(bounds),
                min(bounds),
                statistics.fmean(row.flops for row in members),
                statistics.fmean(row.comparisons for row in members),
                members[0].unexplained_dimension,
                statistics.fmean(row.search_s for row in members),
                statistics.fmean(row.verify_s for row in members),
            )
        )
    columns: tuple[str, ...] = (
        "setting",
        "strategy",
        "class",
        "semantics",
        "models",
        "bound",
        "sd",
        "least",
        "operations",
    )
    columns += ("comparisons", "unexplained dimension", "search s", "verify s")
    note = "Means over models."
    return Table("strategies", "Every strategy", note, columns, tuple(rows))


def model_table(study: Study) -> Table:
    """Every model with its accuracy and the best bound of each family."""
    best = {}
    for (subject, family), members in grouped(study.results, lambda r: (r.model.subject, r.family)).items():
        best[subject, family] = float(max(row.bound for row in members))
    rows: list[tuple[Value, ...]] = []
    for model in study.models:
        accuracy = (model.accuracy_lower, model.accuracy_upper, model.ratio)
        numbers: list[Value] = [math.nan if value is None else float(value) for value in accuracy]
        bounds = tuple(best.get((model.subject, family), math.nan) for family in _FAMILIES)
        how = "sampled, 99.99 %" if model.sampled else "counted in float64"
        rows.append((model.name, str(model.setting), *numbers, how, *bounds))
    columns: tuple[str, ...] = (
        "model",
        "setting",
        "accuracy from",
        "accuracy to",
        "σ₁/σ₂ of EQKE",
        "how",
        *_FAMILIES,
    )
    note = (
        "Accuracies are references, not proofs. The last columns are the best certified bound of each family."
    )
    return Table("models", "Models", note, columns, tuple(rows))


def result_table(study: Study) -> Table:
    """Every proof: the data behind the figures."""
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            row.model.name,
            row.model.setting.k,
            row.model.setting.vocab,
            row.model.setting.task,
            row.strategy,
            row.family,
            row.complexity_class,
            row.semantics,
            float(row.bound),
            row.flops,
            row.comparisons,
            row.int_ops,
            row.unexplained_dimension,
            row.search_s,
            row.verify_s,
            math.nan if row.model.ratio is None else row.model.ratio,
            row.certificate,
        )
        for row in study.results
    )
    columns: tuple[str, ...] = (
        "model",
        "k",
        "vocab",
        "task",
        "strategy",
        "family",
        "class",
        "semantics",
        "bound",
        "operations",
    )
    columns += ("comparisons", "integer operations", "unexplained dimension", "search s", "verify s")
    columns += ("sigma ratio", "certificate")
    return Table("results", "Every proof", "", columns, rows)


def failure_table(study: Study) -> Table:
    """Jobs without a proof, and why."""
    rows = tuple(
        (f["model"].name, str(f["model"].setting), f["strategy"] or "facts", f["status"], f["reason"])
        for f in study.failures
    )
    columns = ("model", "setting", "strategy", "end", "reason")
    return Table("failures", "Jobs without a proof", "", columns, rows)
