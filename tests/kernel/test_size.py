"""How much of the auditor a certificate needs, and how long that is: as the page about it says."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest
import torch

from proofs.model import Model
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "certkit" / "kernel"
PAGE = ROOT / "docs" / "explanation" / "auditor.md"
BASIC = {"audit", "counting", "model", "reader", "sets", "verdict", "weights"}
ROWS = BASIC | {"tails"}
SCRIPT = """
import sys
from certkit.kernel import audit
certificate, model, *options = sys.argv[1:]
print(audit(certificate, model, *map(int, options)).verdict)
print(*(name.removeprefix("certkit.kernel.") for name in sys.modules if name.startswith("certkit.kernel.")))
"""
SKIPPED = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


def code_lines(path: Path) -> int:
    """Lines that hold code: no comments, blank lines or docstrings."""
    text, documented = path.read_text(), set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    code = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SKIPPED:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - documented)


def test_the_page_counts_the_lines_that_are_there() -> None:
    counted = {path.name: code_lines(path) for path in ROOM.glob("*.py")}
    rows = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    stated, sums = dict[str, int](), dict[str, int]()
    for label, number in rows:
        names = re.findall(r"`(\w+\.py)`", label)
        if names and number.strip().isdigit():
            stated[" ".join(names)] = int(number)
        elif label.strip().startswith("**") and (total := re.fullmatch(r" \*\*(\d+)\*\* ", number)):
            sums[label.strip(" *")] = int(total[1])
    assert {name for names in stated for name in names.split()} == counted.keys()
    for names, number in stated.items():
        assert sum(counted[name] for name in names.split()) == number, names
    of_sets = sum(counted[f"{name}.py"] for name in (*BASIC, "__init__", "__main__"))
    assert sums == {
        "all that cells and boxes need": of_sets,
        "all that tails need": of_sets + counted["tails.py"],
        "all": sum(counted.values()),
    }


def content(kind: str) -> dict[str, Any]:
    """One class of two positions, (0, 0), of which nothing is claimed; it takes a rule of the kind."""
    shift, multiplier = {"shift": "0x0.0p+0"}, "0x0.0p+0"
    inner: dict[str, dict[str, Any]] = {
        "sets": {"cells": [], "boxes": []},
        "tails": shift | {"rows": [[1, multiplier, 1], [2, multiplier, 1]]},
        "pool": shift | {"light": [], "multiplier": multiplier, "levels": 1, "failing_at_most": 2},
        "counts": shift | {"rows": [[1, "0x1.0p+0", "0x0.0p+0", 1, 0], [2, "0x1.0p+0", "0x0.0p+0", 1, 0]]},
        "bounds": shift | {"rows": [[[1, 2], [], "0x1.0p+0", "0x0.0p+0", 1, 0]]},
    }
    return {"q": 0, "m": 0, kind: inner[kind]}


def audited_elsewhere(*arguments: str) -> tuple[str, set[str]]:
    """The verdict of a fresh process, and the auditor's modules that it has loaded."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    verdict, loaded = done.stdout.splitlines()
    return verdict, set(loaded.split())


@pytest.mark.parametrize(
    ("kind", "changes", "needed"),
    [
        ("sets", {}, BASIC),
        ("tails", {}, ROWS),
        ("pool", {}, ROWS | {"pools"}),
        ("counts", {}, ROWS | {"bins"}),
        ("bounds", {}, ROWS | {"bins"}),
        ("sets", {"semantics": "float32"}, BASIC | {"subjects", "execution"}),
        ("sets", {"task": {"order": [2, 1, 0], "labels": [0, 1, 2]}}, BASIC | {"subjects"}),
        ("sets", {"correct_at_most": 9}, BASIC | {"exceptions"}),
    ],
)
def test_what_an_audit_does_not_need_is_not_loaded(
    kind: str, changes: dict[str, Any], needed: set[str], tmp_path: Path
) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    whole = document(certificate(model, []))
    whole["proof"]["content"], whole["statement"] = [content(kind)], whole["statement"] | changes
    paths = write(whole, tmp_path), saved(model, tmp_path)
    verdict, loaded = audited_elsewhere(*paths)
    assert verdict == "verified"
    assert loaded == needed


@pytest.mark.parametrize(
    ("options", "dtype", "verdict", "needed"),
    [
        ((1,), torch.float32, "sampled", {"work"}),
        ((9, 2), torch.float32, "sampled", {"work"}),
        ((), torch.bfloat16, "verified", {"formats"}),
        ((), torch.float64, "verified", {"formats"}),
    ],
)
def test_nor_is_what_its_options_and_weights_do_not_need(
    options: tuple[int, ...], dtype: torch.dtype, verdict: str, needed: set[str], tmp_path: Path
) -> None:
    tiny = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    names = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U")
    model = Model(**{name: getattr(tiny, name).bfloat16().to(dtype) for name in names})
    whole = document(certificate(model, []))
    whole["proof"]["content"] = [content("sets")]
    paths = write(whole, tmp_path), saved(model, tmp_path)
    assert audited_elsewhere(*paths, *map(str, options)) == (verdict, BASIC | needed)
