"""The tables of a study's page are those of the report's data, and no number on them is rounded up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import attrs
import pytest

pytest.importorskip("matplotlib")

from benchmarks import study as tables
from proofs.report import Study, make_report, write_report
from proofs.report.study import ModelRow, ResultRow, Setting

TAIL = ResultRow(
    model=ModelRow("one", "a" * 64, Setting(20, 64), 0.99, Fraction(999, 1000), True, 2.0),
    strategy="separable-tail",
    version=1,
    family="separable",
    complexity_class="quartic",
    semantics="real",
    bound=Fraction(899_999, 10**6),
    certificate="c" * 64,
    search_s=0.25,
    verify_s=1.5,
    flops=1234,
    comparisons=5,
    int_ops=6,
    unexplained_dimension=7,
)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    other = attrs.evolve(TAIL.model, name="two", sha256="b" * 64, accuracy_upper=Fraction(1))
    rows = (
        TAIL,
        attrs.evolve(TAIL, model=other, bound=Fraction(6_874_999, 10**7)),
        attrs.evolve(TAIL, strategy="separable-pool", version=3, bound=Fraction(5, 16)),
        attrs.evolve(TAIL, strategy="cubic", family="published", complexity_class="cubic"),
    )
    write_report(make_report(Study((TAIL.model, other), rows, ())), tmp_path)
    return tmp_path


def test_accuracies_and_the_largest_gap(report: Path) -> None:
    (row,) = tables.accuracy_rows(tables.read(report, "models"))
    known = ["0.99000", "0.99000", "0.79374", "0.68749", "0.31250"]
    assert row == ("K=20, V=64", "sampled, 99.99 %", "2", *known)


def test_every_class_and_strategy_has_its_line(report: Path) -> None:
    classes = list(tables.class_rows(tables.read(report, "classes")))
    assert [(row[1], row[2], row[3]) for row in classes] == [
        ("separable quartic", "2", "0.7937 ± 0.1503"),
        ("published cubic", "1", "0.8999 ± 0.0000"),
    ]
    ours = list(tables.counting_rows(tables.read(report, "strategies")))
    assert [row[1:6] for row in ours] == [
        ("`separable-pool`", "3", "1", "0.31250 ± 0.00000", "0.31250"),
        ("`separable-tail`", "1", "2", "0.79374 ± 0.15026", "0.68749"),
    ]
    assert ours[1][6:] == ("1.23e+03", "0.2", "1.5")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("0.9999999", "0.99999"),
        ("0.99999", "0.99999"),
        ("0.29999999999999998", "0.29999"),
        ("1e-7", "0.00000"),
        ("1.0", "1.00000"),
        ("0." + "9" * 80, "0.99999"),
        ("1" * 60 + ".000019", "1" * 60 + ".00001"),
        ("1e+60", "1" + "0" * 60 + ".00000"),
        ("-0.000001", "-0.00001"),
        ("-1e-300", "-0.00001"),
        ("-0." + "3" * 80, "-0.33334"),
        ("-1.5", "-1.50000"),
        ("-1.999999", "-2.00000"),
        ("-0.0", "0.00000"),
        ("nan", "NaN"),
    ],
)
def test_numbers_are_cut_downwards(number: str, shown: str) -> None:
    assert tables.cut(number) == shown
    if number != "nan":
        assert Fraction(shown) <= Fraction(number) < Fraction(shown) + Fraction(1, 10**5)


def test_so_many_decimals_are_kept() -> None:
    assert [tables.cut("-0.12345", digits) for digits in (1, 4, 6)] == ["-0.2", "-0.1235", "-0.123450"]
