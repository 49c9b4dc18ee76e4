"""The auditor over a sweep: what was drawn is decided once, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from certkit.cli.main import main
from proofs.strategy import select
from proofs.sweep import Ledger, Local, Sweep, open_results, run_sweep
from proofs.sweep.audits import AuditPlan, AuditSummary, audit_results


@pytest.fixture
def results(tiny_models: list[Path], tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    run_sweep(
        Sweep(tiny_models, select(["brute-force", "cubic", "separable-tail"]), folder, Local(2)),
        lambda _: None,
    )
    return folder


def audited(folder: Path, plan: AuditPlan) -> tuple[AuditSummary, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    ledger, store = open_results(folder)
    with ledger:
        return audit_results(ledger, store, plan, lambda *count: told.append(count)), told


def test_all_are_verified_and_none_twice(results: Path) -> None:
    summary, told = audited(results, AuditPlan(workers=2))
    assert summary.certificates == len(summary.audited) == told[-1][0] == told[-1][1]
    assert summary.not_verified == []
    again, told = audited(results, AuditPlan())
    assert told == [(summary.certificates, summary.certificates)]
    assert again == summary


def test_a_sample_is_drawn_by_its_seed(results: Path) -> None:
    first, _ = audited(results, AuditPlan(sample=2, seed=1))
    second, told = audited(results, AuditPlan(sample=2, seed=1))
    assert first == second
    assert told == [(2, 2)]
    assert len(first.audited) == 2 < first.certificates
    assert first.seconds_for_all == pytest.approx(first.seconds / 2 * first.certificates)


def test_a_false_certificate_in_the_store_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger, store = open_results(results)
    with ledger:
        rows = [row for row in ledger.rows("results") if row["strategy"] == "cubic"]
    ours, theirs = rows[0]["certificate"], rows[1]["certificate"]
    store.path(ours).write_bytes(store.path(theirs).read_bytes())
    assert main(["audit-sweep", str(results), "--workers", "2"]) == 1
    assert f"{ours}: refuted: model: the certificate is about the model" in capsys.readouterr().out


@pytest.mark.parametrize("patterns", [["separable"], ["separable-*"], ["separable-t?il", "separable-tail"]])
def test_a_sample_of_some_strategies(results: Path, patterns: list[str]) -> None:
    ledger, _ = open_results(results)
    with ledger:
        rows = [row for row in ledger.rows("results") if row["strategy"] == "separable-tail"]
        assert ledger.certified(["all"]) == ledger.certified() != ledger.certified(patterns)
    chosen = {row["certificate"] for row in rows}
    summary, _ = audited(results, AuditPlan(strategies=patterns))
    assert {one.certificate for one in summary.audited} == chosen
    assert summary.certificates == len(chosen) > 1
    summary, _ = audited(results, AuditPlan(sample=1, strategies=patterns))
    assert len(summary.audited) == 1
    assert summary.certificates == len(chosen)


def test_the_command_says_what_it_drew_from(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-sweep", str(results), "--strategy", "cubic,brute-force", "--sample", "1"]) == 0
    said = "1 of 1 verified; the sweep has 6 certificates of cubic, brute-force"
    assert capsys.readouterr().out.splitlines()[0] == said


def test_a_strategy_without_certificates_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for patterns, wrong in (("pool", "pool"), ("cubic,typo", "typo"), ("all,", "")):
        assert main(["audit-sweep", str(results), "--strategy", patterns]) == 2
        said = f"holds no certificates of {wrong!r}; it does of brute-force, cubic, separable-tail"
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(said)
    ledger, _ = open_results(results)
    with ledger:
        assert ledger.audits() == []


def test_an_empty_ledger_is_told_to_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger(tmp_path / "ledger.sqlite"):
        pass
    for arguments, of in (([], ""), (["--strategy", "cubic"], " of cubic")):
        assert main(["audit-sweep", str(tmp_path), *arguments]) == 2
        assert f"holds no certificates{of}; run certkit sweep first" in capsys.readouterr().err


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-sweep", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    assert main(["audit-sweep", str(tmp_path), "--sample", "0"]) == 2
    assert "--sample 0: must be at least 1" in capsys.readouterr().err
