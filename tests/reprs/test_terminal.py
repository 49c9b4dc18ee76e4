"""What commands print about certificates: two-sided bounds, and files that try to talk to the terminal."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import Certificate, Claim
from certkit.cli.main import main
from certkit.content import CertifiedSet, full_content
from certkit.display import printable
from proofs.model import Model, save_model

CLEAR_SCREEN = "\x1b[2J"


def certificate() -> Certificate:
    content = CertifiedSet(2, 3, (full_content(0, 0, 2),))
    claim = Claim(2, 3, "ab" * 32, content.correct_at_least)
    return Certificate(claim, "cubic", 1, content)


@pytest.mark.parametrize("place", ["strategy", "name", "value", "nested"])
def test_a_file_cannot_command_the_terminal(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = f"x{CLEAR_SCREEN}\u202ey"
    changed = {
        "strategy": {"strategy": hostile},
        "name": {"remarks": {hostile: 1}},
        "value": {"remarks": {"note": hostile}},
        "nested": {"remarks": {"note": {"a": [hostile], hostile: None}}},
    }[place]
    path = tmp_path / "x.cert"
    attrs.evolve(certificate(), **changed).save(path)
    for command in (["show", str(path)], ["diff", str(path), str(path)]):
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert printed.isprintable() or set(printed) - {"\n"} == {c for c in printed if c.isprintable()}
    assert Certificate.load(path) == attrs.evolve(certificate(), **changed)


@given(st.text())
def test_printable_text_stays_and_the_rest_is_spelled(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_the_table_of_prove_has_an_upper_bound_where_one_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    square = torch.eye(2)
    model = Model(
        W_E=torch.arange(6.0).reshape(3, 2),
        W_pos=square,
        W_Q=square,
        W_K=square,
        W_V=square,
        W_O=square,
        W_U=torch.arange(6.0).reshape(2, 3),
    )
    save_model(model, "m.safetensors")
    assert main(["prove", "m.safetensors", "--strategy", "cubic"]) == 0
    assert "at most" not in capsys.readouterr().out
    assert main(["prove", "m.safetensors", "--strategy", "cubic,brute-force"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any("at least" in line and "at most" in line for line in printed)
    assert [("the same" in line) for line in printed if line.endswith("brute-force")] == [True]
    assert [("the same" in line) for line in printed if line.endswith("cubic")] == [False]
