"""Many strategies at once: the same verdicts as one by one, kept in a journal, told by the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from certkit.cli.main import main
from certkit.testing.check import StrategyReport, check_strategy
from certkit.testing.zoo import zoo
from proofs import checking
from proofs.checking import CheckPlan, check_many, selected
from proofs.strategy import Semantics, StrategyError, find
from proofs.witness import NoWitness

LARGEST = 4
FEW = ("cubic", "separable-gap", "EUPU-mean-query+max-diff--attn-mean-query+diff--attn-err-svd")


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def facts(report: StrategyReport) -> StrategyReport:
    return attrs.evolve(report, seconds=0.0)


def test_sharing_work_changes_no_verdict() -> None:
    keys = selected(FEW)
    together = check_many(CheckPlan(keys, largest=LARGEST), quiet)
    specimens = [specimen for specimen in zoo() if specimen.sequences <= LARGEST]
    alone = [check_strategy(find(*key), specimens=specimens) for key in keys]
    assert list(map(facts, together)) == list(map(facts, alone))
    assert all(report.ok for report in together)
    assert {key[1] for key in keys} == set(Semantics)


def test_worker_processes_change_no_verdict(tmp_path: Path) -> None:
    keys = selected(["cubic", "separable-tail"])
    one = check_many(CheckPlan(keys, largest=2), quiet)
    two = check_many(CheckPlan(keys, largest=2, workers=2, journal=tmp_path / "journal"), quiet)
    assert list(map(facts, one)) == list(map(facts, two))


def test_a_witness_is_read_back_as_its_own_strategy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as what the search happened to return: that is what a reader of the certificate has."""
    monkeypatch.setattr(type(find("cubic")), "witness_type", NoWitness)
    (report, _) = check_many(CheckPlan(selected(["cubic"]), hostile=0, largest=1), quiet)
    assert {finding.law for finding in report.findings} == {"survives the file"}
    assert "strategy 'cubic': bad NoWitness" in report.findings[0].message


def test_a_journal_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = CheckPlan(selected(["cubic"]), largest=2, journal=tmp_path / "journal")
    first = check_many(plan, quiet)
    assert plan.journal is not None
    lines = plan.journal.read_text().splitlines(keepends=True)
    assert len(lines) == 2 * len(plan.specimens)
    plan.journal.write_text(lines[0] + lines[1] + lines[2][:20])  # interrupted in the middle of a line
    asked: list[int] = []
    real = checking.check_on

    def counted(index: int, keys: list[checking.Key], hostile: int) -> list[checking.Checked]:
        asked.append(index)
        return real(index, keys, hostile)

    monkeypatch.setattr(checking, "check_on", counted)
    assert list(map(facts, check_many(plan, quiet))) == list(map(facts, first))
    assert 0 < len(asked) < len(plan.specimens)


def test_findings_survive_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(certified: object, truth: object) -> object:
        return iter([("certified (0, 0), which is wrong", (0, 0))])

    monkeypatch.setattr("certkit.testing.check.check_certified", broken)
    plan = CheckPlan(selected(["separable-tail"]), largest=1, journal=tmp_path / "journal")
    (first,) = check_many(plan, quiet)
    monkeypatch.undo()
    (again,) = check_many(plan, quiet)
    assert again == first
    assert not again.ok


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("hello\n")
    with pytest.raises(StrategyError, match="not a journal"):
        check_many(CheckPlan(selected(["cubic"]), largest=1, journal=tmp_path / "journal"), quiet)


@pytest.mark.parametrize("bad", [(-1, 1, 1), (0, 0, 1), (0, 1, 0)])
def test_settings_out_of_range(bad: tuple[int, int, int]) -> None:
    with pytest.raises(StrategyError, match="at least"):
        CheckPlan((), *bad)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(StrategyError, match="did you mean"):
        selected(["cubik"])


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "cubic", "--largest", "2"]) == 0
    assert capsys.readouterr().out.endswith("no law broken\n")
    assert main(["check", "cubic", "--largest", "2", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["name"], r["semantics"], r["ok"]) for r in records] == [
        ("cubic", "real", True),
        ("cubic", "float32", True),
    ]
    assert main(["check", "cubik"]) == 2


def test_a_broken_law_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(certified: object, truth: object) -> object:
        return iter([("certified (0, 0), which is wrong", (0, 0))])

    monkeypatch.setattr("certkit.testing.check.check_certified", broken)
    assert main(["check", "separable-tail", "--largest", "2"]) == 1
    out = capsys.readouterr().out
    assert "sound: on one-of-each, witness as searched: certified (0, 0), which is wrong" in out
    assert out.endswith("laws broken by 1 of 1\n")
