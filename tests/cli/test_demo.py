"""`make demo`, on a model small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofs import demo


def test_the_demonstration_ends_with_two_verified_certificates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path / "demo"), "--k", "3", "--vocab", "6", "--steps", "300"]
    assert demo.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count("verified") == 2
    for strategy in ("cubic", "brute-force"):
        path = tmp_path / "demo" / f"k3-v6-s0--{strategy}.cert"
        assert path.is_file()
        assert path.name in printed
