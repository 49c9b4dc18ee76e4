"""Unsound variants of our own strategies: found by `check_strategy`, refused by the auditor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from certkit import rounding
from certkit.testing.check import check_strategy
from certkit.testing.zoo import zoo
from proofs.mutants import PRODUCERS, Mutant, Planted, file_table, kill_table

QUICK = (
    "brute-force: products without error bound",
    "separable-exact: floats for intervals",
    "cubic: undecided counts as proved",
    "brute-force: error threshold dropped",
    "separable-exact: an exception lost",
    "separable-tail: an output left out",
    "sub-cubic: δ·max R for negative δ",
    "cubic: direct path dropped",
    "separable-gap: sign rule ignored",
    "separable-tail: sums halved",
    "separable-union: one failure less",
    "separable-pool: one failure less",
    "separable-pool: the maximum left out",
)
"""Mutants that show on the smallest models."""

SMALL = tuple(specimen for specimen in zoo() if specimen.sequences <= 64)


def named(name: str) -> Mutant:
    return next(mutant for mutant in PRODUCERS if mutant.name == name)


@pytest.mark.parametrize("name", QUICK)
def test_the_auditor_refuses_it_and_accepts_the_control(name: str) -> None:
    (row,) = kill_table([named(name)], SMALL)
    assert row.refused, f"{row}"
    assert row.control, f"{row}"
    assert row.verdict in {"refuted", "undecided"}


@pytest.mark.parametrize("name", QUICK)
def test_check_strategy_finds_it(name: str) -> None:
    report = check_strategy(Planted(named(name)), specimens=SMALL, hostile=7, stop_after=40)
    assert "sound" in {finding.law for finding in report.findings}, str(report)


def test_names_are_unique_and_many() -> None:
    assert len({mutant.name for mutant in PRODUCERS}) == len(PRODUCERS)
    assert len(PRODUCERS) + len(list(file_table())) >= 40


def test_a_mutant_leaves_no_trace() -> None:
    before = rounding.add_up
    with named("brute-force: floats for intervals").planted():
        assert rounding.add_up is not before
    assert rounding.add_up is before


def test_the_command_reports_survivors_by_its_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "certkit.cli.main", "mutants", "claim raised", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4  # both claims, edited and re-sealed


@pytest.mark.extended
@pytest.mark.parametrize("mutant", PRODUCERS, ids=lambda mutant: mutant.name)
def test_every_mutant_is_refused(mutant: Mutant) -> None:
    (row,) = kill_table([mutant])
    assert row.refused, f"{row}"
    assert row.control, f"{row}"


@pytest.mark.extended
@pytest.mark.parametrize("mutant", PRODUCERS, ids=lambda mutant: mutant.name)
def test_check_strategy_finds_every_mutant(mutant: Mutant) -> None:
    """With every kind of hostile witness on every model; a counterexample has the weights of its model.

    What the auditor refutes on the way may be true and not proved, and is no counterexample.
    """
    report = check_strategy(Planted(mutant), hostile=7, stop_after=40)
    found = [finding for finding in report.findings if finding.law == "sound"]
    assert found, str(report)
    assert found[0].weights
