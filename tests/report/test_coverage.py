"""The picture of a certificate's coverage: its shares are the certificate's own integers, exactly."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from certkit.certificate import Certificate, Claim
from certkit.cli.main import main
from certkit.content import (
    Cell,
    CertifiedSet,
    Content,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
)
from certkit.task import Task
from proofs.report.coverage import coverage_figure, missing_shares
from proofs.report.theme import DARK, LIGHT

K, VOCAB = 3, 4
CLASSES = [(q, m) for q in range(VOCAB) for m in range(q, VOCAB)]


def _entry(q: int, m: int, kind: int) -> Content | None:
    """Nothing, all, a part (n = 0 or 1), or a tail of one that fails."""
    if kind == 0:
        return None
    if kind == 1:
        return full_content(q, m, K)
    if kind == 2:
        return SetContent(q, m, (Cell(0, ()),), ())
    return TailContent(q, m, 0.0, (Tail((m + 1) % VOCAB, 1.0, 1),))


def _content(kinds: list[int]) -> CertifiedSet:
    entries = [_entry(q, m, kind) for (q, m), kind in zip(CLASSES, kinds, strict=True)]
    return CertifiedSet(K, VOCAB, tuple(entry for entry in entries if entry is not None))


def _certificate(kinds: list[int], task: Task | None = None) -> Certificate:
    content = _content(kinds)
    claim = Claim(K, VOCAB, "0" * 64, content.correct_at_least, task=task or Task.max_of_k(VOCAB))
    return Certificate(claim, "made-up", 1, content)


@given(st.lists(st.integers(0, 3), min_size=len(CLASSES), max_size=len(CLASSES)))
def test_shares_add_up_to_what_the_claim_leaves_open(kinds: list[int]) -> None:
    content = _content(kinds)
    shares = missing_shares(content)
    assert shares.keys() == set(CLASSES)
    left = sum((share * class_size(q, m, K) for (q, m), share in shares.items()), Fraction(0))
    assert left == content.total - content.correct_at_least
    assert all(0 <= share <= 1 for share in shares.values())
    for (q, m), kind in zip(CLASSES, kinds, strict=True):
        assert (shares[q, m] == 1) >= (kind == 0)
        assert (shares[q, m] == 0) >= (kind == 1)


def test_with_one_token_only_the_diagonal_is_a_class() -> None:
    assert missing_shares(CertifiedSet(1, 3, ())) == {(t, t): Fraction(1) for t in range(3)}


def _texts(svg: str) -> str:
    ET.fromstring(svg)
    return " ".join(re.findall(r">([^<>]+)</text>", svg))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.mode.value)
@pytest.mark.parametrize(
    "kinds", [[0] * 10, [1] * 10, [0, 1, 2, 3] * 2 + [0, 1]], ids=["none", "all", "some"]
)
def test_the_picture_says_the_claim_and_is_reproducible(theme: object, kinds: list[int]) -> None:
    chosen = DARK if theme is DARK else LIGHT
    certificate = _certificate(kinds)
    figure = coverage_figure(certificate, chosen)
    whole = sum(share == 0 for share in missing_shares(certificate.content).values())
    assert f"{whole} of 10 classes certified whole" in _texts(figure.svg)
    assert f"{int(certificate.bound * 10**4) / 100:.2f} % certified" in _texts(figure.svg)
    assert figure.svg == coverage_figure(certificate, chosen).svg
    assert len(figure.svg) < 150_000
    assert chosen.ink in figure.svg


def test_one_open_sequence_shows() -> None:
    """A class that is almost whole has another colour than one that is whole."""
    nearly = _certificate([1] * 9 + [3])
    assert coverage_figure(nearly).svg != coverage_figure(_certificate([1] * 10)).svg
    assert "9 of 10 classes" in _texts(coverage_figure(nearly).svg)


def test_other_tasks_are_drawn_by_rank() -> None:
    picture = coverage_figure(_certificate([1] * 10, Task.min_of_k(VOCAB)))
    assert "largest token m (rank)" in _texts(picture.svg)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "made-up.cert"
    _certificate([2] * 10).save(path)
    return path


def test_show_draws(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    light, dark = saved.with_suffix(".svg"), saved.with_name("dark.svg")
    assert main(["show", str(saved), "--coverage", str(light)]) == 0
    assert main(["show", str(saved), "--coverage", str(dark), "--dark"]) == 0
    assert capsys.readouterr().out == f"{light}\n{dark}\n"
    assert light.read_text() == coverage_figure(Certificate.load(saved), LIGHT).svg
    assert dark.read_text() == coverage_figure(Certificate.load(saved), DARK).svg


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--coverage", "x.png"], "ends in .svg"),
        (["--dark"], "--coverage"),
        (["--coverage", "x.svg", "--json"], "choose one"),
        (["--coverage", "x.svg", "--content"], "choose one"),
    ],
)
def test_show_says_what_is_wrong(
    saved: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(saved), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert not list(Path().glob("x.*"))
