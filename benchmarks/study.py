"""The tables of a study's page, as Markdown: ``python -m benchmarks.study REPORT``.

``REPORT`` is a folder that `certkit report` wrote. Bounds are cut, not rounded.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from itertools import groupby
from pathlib import Path

Row = dict[str, str]


def read(folder: Path, name: str) -> list[Row]:
    """The rows of one of the report's tables."""
    with (folder / "data" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cut(text: str, digits: int = 5) -> str:
    """A number with so many decimals, never more than it is."""
    with localcontext(rounding=ROUND_FLOOR):
        return f"{Decimal(text):z.{digits}f}"


def markdown(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table; columns from the third on are numbers."""
    marks = ["---" if i < 2 else "---:" for i in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows))


def bounds(model: Row) -> list[float]:
    """The best certified bound of each family that has one."""
    return [float(model[family]) for family in ("published", "separable") if model[family] != "nan"]


def accuracy_rows(models: list[Row]) -> Iterator[Sequence[str]]:
    """Per setting: models, accuracy (mean and least), and how it is known."""
    for setting, members in groupby(models, key=lambda row: row["setting"]):
        own = [row for row in members if row["accuracy from"] != "nan" and bounds(row)]
        if not own:
            continue
        lower = [float(row["accuracy from"]) for row in own]
        best = [max(bounds(row)) for row in own]
        gap = max(float(row["accuracy to"]) - bound for row, bound in zip(own, best, strict=True))
        numbers = (sum(lower) / len(own), min(lower), sum(best) / len(own), min(best))
        yield setting, own[0]["how"], str(len(own)), *(cut(str(n)) for n in numbers), f"{gap:.5f}"


def class_rows(classes: list[Row]) -> Iterator[Sequence[str]]:
    """Per setting and class: the paper's Table 1."""
    for row in classes:
        yield (
            row["setting"],
            row["class"],
            row["models"],
            f"{cut(row['bound'], 4)} ± {float(row['sd']):.4f}",
            f"{float(row['operations']):.3g}",
            f"{float(row['unexplained dimension']):,.0f}",
            f"{float(row['verify s']):.2f}",
        )


def counting_rows(strategies: list[Row]) -> Iterator[Sequence[str]]:
    """Per setting and strategy of ours that counts or bounds failures (class quartic): how far it gets."""
    for row in strategies:
        if row["class"] == "separable quartic":
            yield (
                row["setting"],
                f"`{row['strategy']}`",
                row["version"],
                row["models"],
                f"{cut(row['bound'], 5)} ± {float(row['sd']):.5f}",
                cut(row["least"], 5),
                f"{float(row['operations']):.3g}",
                f"{float(row['search s']):.1f}",
                f"{float(row['verify s']):.1f}",
            )


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    report = parser.parse_args().report
    heads = ["setting", "accuracy is", "models", "mean", "least", "best bound, mean", "least", "largest gap"]
    print(markdown(heads, accuracy_rows(read(report, "models"))), end="\n\n")
    heads = ["setting", "class", "models", "bound", "operations", "unexplained dimension", "verify, s"]
    print(markdown(heads, class_rows(read(report, "classes"))), end="\n\n")
    heads = [
        "setting",
        "strategy",
        "version",
        "models",
        "bound",
        "least",
        "operations",
        "search, s",
        "verify, s",
    ]
    print(markdown(heads, counting_rows(read(report, "strategies"))))


if __name__ == "__main__":
    main()
