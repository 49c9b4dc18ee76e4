"""`make demo`, on a model small enough for a test."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.mark.parametrize("path", ["", None], ids=["not on the path", "on the path"])
def test_the_command_it_ends_with_can_be_typed(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` runs in an environment that nobody has activated."""
    scripts = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", scripts if path is None else path)
    program = demo._program()
    assert program == "certkit" if path is None else os.sep in program
    done = subprocess.run([program, "audit", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "CERT" in done.stdout
