"""The template of `certkit new-strategy` is a strategy that works; the worked example is what it makes."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

import certkit
from certkit.cli.main import main
from certkit.cli.new_strategy import files_for
from proofs.model import save_model
from proofs.proving import prove_with
from proofs.training import Recipe, train
from proofs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "my_strategy"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_worked_example_is_what_the_command_writes() -> None:
    for path, text in files_for("my-strategy").items():
        assert (EXAMPLE / path).read_text(encoding="utf-8") == text, f"generate {path} again"


def test_the_worked_example_is_short() -> None:
    text = (EXAMPLE / "my_strategy.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    docstrings = [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    ]
    prose = {line for d in docstrings for line in range(d.lineno, (d.end_lineno or d.lineno) + 1)}
    code = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() and n not in prose]
    assert len(code) <= 60


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-strategy", "low-tokens"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "low_tokens/low_tokens.py"
    assert load(tmp_path / "low_tokens" / "low_tokens.py").STRATEGIES[0].name == "low-tokens"
    assert main(["new-strategy", "low-tokens"]) == 2  # never overwrites
    for bad in ("Low", "a b", "-a", "1a", "class", "proofs", "a--b", "../a"):
        assert main(["new-strategy", bad, "--out", "elsewhere"]) == 2
    assert not Path("elsewhere").exists()


def test_the_example_proves_and_audits(tmp_path: Path) -> None:
    (strategy,) = load(EXAMPLE / "my_strategy.py").STRATEGIES
    model = train(Recipe(n_ctx=3, vocab=8, steps=300), [0])[0]
    certificate = prove_with(strategy, model, Workspace(model), Workspace(model))
    assert certificate.claim.correct_at_least > 0
    certificate.save(tmp_path / "x.cert")
    save_model(model, tmp_path / "x.safetensors")
    assert certkit.audit(str(tmp_path / "x.cert"), str(tmp_path / "x.safetensors")).verdict == "verified"
