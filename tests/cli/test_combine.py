"""Combined certificates claim what their parts prove, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from certkit.certificate import Certificate, Claim
from certkit.cli.main import main
from certkit.combining import MismatchError, combine, differences
from certkit.content import (
    Cell,
    CertifiedSet,
    Content,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    full_content,
)

MODEL = "0" * 64


def certificate(*entries: Content, two_sided: bool = False, model: str = MODEL) -> Certificate:
    content = CertifiedSet(3, 4, entries, two_sided=two_sided)
    most = content.correct_at_most if two_sided else None
    return Certificate(Claim(3, 4, model, content.correct_at_least, most), "made-up", 1, content)


EXACT = certificate(full_content(0, 1, 3, ((0, 1),)), full_content(2, 3, 3), two_sided=True)
CELLS = certificate(SetContent(0, 1, cells=(Cell(0, ()), Cell(1, (0, 0)))), full_content(1, 1, 3))
TAILS = certificate(TailContent(2, 3, 0.0, (Tail(0, 1.0, 3),)))
LISTED = certificate(full_content(0, 1, 3, ((0, 1),)))


def test_the_best_rule_each_class_is_taken() -> None:
    whole = combine([TAILS, CELLS, EXACT])
    assert whole.content.entries == (
        CELLS.content.entries[0],
        CELLS.content.entries[1],
        EXACT.content.entries[1],
    )
    assert whole.claim.correct_at_least == 3 + 4 + 7
    assert whole.parameters == {"classes_from": {"made-up/1": 3}}


def test_an_upper_bound_is_claimed_only_where_it_was_proved() -> None:
    assert combine([EXACT, TAILS]).claim.correct_at_most == EXACT.claim.correct_at_most == 63
    # the exception is listed, but nobody proved that it fails
    assert combine([LISTED, certificate(full_content(2, 3, 3), two_sided=True)]).claim.correct_at_most is None
    # of two equal contents the one that was proved from both sides is taken
    assert combine([LISTED, EXACT]).claim.correct_at_most == 63
    assert combine([CELLS, TAILS]).claim.correct_at_most is None


def test_a_pool_is_taken_where_it_proves_most() -> None:
    better, worse = (certificate(PoolContent(2, 3, 0.0, (0, 1), 0.5, 4, most)) for most in (2, 4))
    for parts in ([TAILS, better], [better, TAILS, worse]):
        assert combine(parts).content.entries == better.content.entries
        assert combine(parts).claim.correct_at_least == 7 - 2
    assert combine([worse, TAILS]).content.entries == TAILS.content.entries
    # it says nothing of failures there must be, and so spoils no upper bound
    assert combine([EXACT, better]).claim.correct_at_most == 63


def test_combining_one_changes_nothing() -> None:
    assert combine([EXACT]).claim == EXACT.claim
    assert combine([EXACT]).content == EXACT.content


def test_only_certificates_of_one_model_combine() -> None:
    with pytest.raises(MismatchError, match="model_sha256"):
        combine([EXACT, certificate(full_content(0, 0, 3), model="1" * 64)])
    with pytest.raises(MismatchError, match="no certificate"):
        combine([])


def test_differences_are_those_of_the_classes() -> None:
    found = [(d.q, d.m, d.first, d.second, d.gain) for d in differences(EXACT, CELLS)]
    assert found == [(0, 1, 2, 3, 1), (1, 1, 0, 4, 4), (2, 3, 7, 0, -7)]
    assert differences(EXACT, EXACT) == []


def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    EXACT.save("a.cert")
    CELLS.save("b.cert")
    assert main(["combine", "a.cert", "b.cert", "--out", "c.cert"]) == 0
    assert Certificate.load("c.cert").claim.correct_at_least == 14
    printed = capsys.readouterr().out
    assert "14 of 64" in printed
    assert "5 more than the best part" in printed
    assert main(["diff", "a.cert", "b.cert", "--json"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == '{"q": 0, "m": 1, "first": 2, "second": 3, "gain": 1}'
    assert main(["diff", "a.cert", "b.cert"]) == 0
    printed = capsys.readouterr().out
    assert "3 classes differ. Class by class the second proves 5 more, 7 fewer." in printed
    assert [line.split()[-1] for line in printed.splitlines()[-4:] if line.strip()] == ["-7", "+4", "+1"]
    assert main(["diff", "a.cert", "a.cert"]) == 0
    assert "same number" in capsys.readouterr().out
    certificate(full_content(0, 0, 3), model="1" * 64).save("other.cert")
    assert main(["diff", "a.cert", "other.cert"]) == 2
    assert main(["combine", "a.cert", "other.cert", "--out", "d.cert"]) == 2
    assert main(["combine", "--out", "d.cert"]) == 2
    assert main(["combine", "a.cert", "--out", "."]) == 2
    assert not Path("d.cert").exists()
