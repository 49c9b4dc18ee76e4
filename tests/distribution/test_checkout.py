"""A checkout stays clean: git lists nothing that the README's commands leave, and hides nothing it tracks."""

from __future__ import annotations

import subprocess

import pytest

from tests.distribution.conftest import ROOT

LEFT = (
    "models/k4-v64-s0.safetensors",
    "certs/k4-v64-s0--separable-tail.cert",
    "model.cert",
    "demo/index.html",
    "build/wheel/x.whl",
)
OURS = ("certkit/models/x.py", "tests/models/x.py", "tests/tasks/x.cert", "docs/certs/x.md")


def git(*arguments: str, asked: str = "") -> list[str]:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):  # 1: check-ignore found none
        pytest.skip(f"this is no checkout of git: {done.stderr.strip()}")
    return done.stdout.splitlines()


def test_what_the_readme_makes_is_ignored_and_nothing_else() -> None:
    assert tuple(git("check-ignore", "--no-index", "--stdin", asked="\n".join(LEFT + OURS))) == LEFT


def test_nothing_tracked_is_hidden() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []
