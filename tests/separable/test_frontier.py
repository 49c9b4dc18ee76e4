"""The frontier benchmark runs, and its frontier is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.frontier import Point, frontier, main
from proofs.model import save_model
from tests.support.models import Kind, Sizes, tiny_model


def test_table_figure_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.safetensors"
    save_model(tiny_model(Kind.SKILLED, Sizes(4, 3), 7), path)
    names = ["cubic", "separable"]
    assert main([str(path), "--strategy", *names, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "`separable-exact`" in printed
    assert "| cubic |" in printed
    assert (tmp_path / "out" / "tiny.png").stat().st_size > 1000
    assert (tmp_path / "out" / "frontier.md").read_text().count("`separable-") >= 9
    assert main([str(path), "--strategy", "separable-gap", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["strategy"] == "separable-gap"


def test_a_frontier_rises() -> None:
    points = [
        Point("", "", "", correct, 100, ops, 0, 0, 0.0, 0.0)
        for correct, ops in ((5, 1), (5, 2), (9, 3), (7, 4))
    ]
    assert [point.correct for point in frontier(points)] == [5, 9]
