"""`certkit` where only the auditor's requirement is installed: help for what works, a remedy for the rest."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from certkit.cli.main import main


class Missing:
    """Finds no module of the command-line library, as if it were not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] == "cyclopts":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment of the auditor."""
    for module in [m for m in sys.modules if m.partition(".")[0] == "cyclopts" or m == "certkit.cli.app"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])


@pytest.mark.parametrize("line", ["", "--help", "-h"])
def test_help(line: str, alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "certkit audit CERT… MODEL" in printed.out
    assert "pip install 'certkit[prove]'" in printed.out


def test_version(alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == importlib.metadata.version("certkit") + "\n"


@pytest.mark.parametrize("line", ["prove x", "--version x", "prove --help", "trane"])
def test_the_rest_names_the_remedy(line: str, alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "this command needs cyclopts" in printed.err
    assert "pip install 'certkit[prove]'" in printed.err
