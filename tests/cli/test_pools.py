"""Every command that opens certificates, on one with pools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from certkit.cli.main import main
from certkit.content import class_size
from certkit.fileformat import decode
from proofs.proving import prove
from tests.support.certs import certificate, saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.pools import pools

MODEL = tiny_model(Kind.SKILLED, Sizes(5, 3), 2)
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(MODEL, tmp_path, "a.safetensors")
    certificate(MODEL, pools(MODEL)).save("pools.cert")
    prove(MODEL, "cubic").save("cells.cert")


def test_show(capsys: Captured) -> None:
    assert main(["show", "pools.cert"]) == 0
    assert "15 of 15 classes (query, maximum) have content: 15 pools." in capsys.readouterr().out
    assert main(["show", "pools.cert", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert (shown["content"], shown["parts"]["pools"], shown["parts"]["tails"]) == ("pools", 15, 0)


def test_a_single_token_is_its_own_maximum(capsys: Captured) -> None:
    prove(tiny_model(Kind.SKILLED, Sizes(5, 1), 2), "cubic").save("one.cert")
    assert main(["show", "one.cert"]) == 0
    assert " of 5 classes (query, maximum) have content" in capsys.readouterr().out


def test_show_content_sums_to_the_claim(capsys: Captured) -> None:
    assert main(["show", "pools.cert", "--content"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = sum(r["count"] for r in records if "count" in r)
    found += sum(class_size(r["q"], r["m"], 3) - r["failing_at_most"] for r in records if "light" in r)
    assert found == decode(Path("pools.cert").read_bytes()).claim.correct_at_least
    assert any("light" in r for r in records)


def test_explain(capsys: Captured) -> None:
    place = ["--q", "4", "--m", "4"]
    assert main(["explain", "pools.cert", "a.safetensors", *place, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["sequences"] for r in records] == [1, 8, 16]
    assert all(r["certified"] is None for r in records)
    assert main(["explain", "pools.cert", "a.safetensors", *place]) == 0
    certified = pools(MODEL)[-1].correct_at_least(3)
    assert f"{certified} of 25 sequences certified" in capsys.readouterr().out


def test_combine_and_diff(capsys: Captured) -> None:
    assert main(["combine", "pools.cert", "cells.cert", "--out", "both.cert"]) == 0
    parts = [decode(Path(name).read_bytes()) for name in ("pools.cert", "cells.cert", "both.cert")]
    found = [{(e.q, e.m): e.correct_at_least(3) for e in part.content.entries} for part in parts]
    best = {place: max(found[0].get(place, 0), found[1].get(place, 0)) for place in found[0] | found[1]}
    assert parts[2].claim.correct_at_least == sum(best.values())
    assert main(["audit", "both.cert", "pools.cert", "a.safetensors"]) == 0
    capsys.readouterr()
    assert main(["diff", "pools.cert", "cells.cert", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    gain = parts[1].claim.correct_at_least - parts[0].claim.correct_at_least
    assert sum(r["gain"] for r in records) == gain


def test_attack_finds_nothing() -> None:
    assert main(["attack", "pools.cert", "a.safetensors", "--tries", "50"]) == 0
