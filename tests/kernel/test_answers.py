"""What is said of an audit: the fields line by line, the last line, the time a sample tells."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from certkit.fileformat import encode
from certkit.kernel import Verdict, audit
from certkit.kernel import __main__ as command
from certkit.kernel.audit import Outcome
from certkit.kernel.counting import Entry
from certkit.kernel.model import Model
from certkit.kernel.verdict import Finding
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model

AUDIT = import_module("certkit.kernel.audit")  # the function of this name hides it


def test_the_answer_is_printed_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {"order": (1, 0), "labels": (0, 1)}
    full = Verdict("refuted", "cell", "q=0 m=2: x=0", 12, 2**60, None, 128, 1.26, (0, 1, 2), "ab" * 32, task)
    monkeypatch.setattr(command, "audit", lambda *_: full)
    assert command.main(["x.cert", "model"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "path            x.cert",
        "verdict         refuted",
        "rule            cell",
        "where           q=0 m=2: x=0",
        "audited_correct 12",
        f"total           {2**60}",
        "precision_bits  128",
        "seconds         1.26",
        "counterexample  (0, 1, 2)",
        "kernel_sha256   " + "ab" * 32,
        "task            {'order': (1, 0), 'labels': (0, 1)}",
        "s NOT VERIFIED",
    ]
    bare = Verdict("verified", "all", "", 0, 0, None, 64, 0.0, None, "ab" * 32)
    monkeypatch.setattr(command, "audit", lambda *_: bare)
    assert command.main(["y", "model"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "path            y",
        "verdict         verified",
        "rule            all",
        "audited_correct 0",
        "total           0",
        "precision_bits  64",
        "seconds         0.0",
        "kernel_sha256   " + "ab" * 32,
        "s VERIFIED",
    ]


@pytest.mark.parametrize(("sample", "seconds"), [(3, 6), (1, 20)])
def test_a_sample_says_how_long_all_would_take(
    sample: int, seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six classes, in three seconds and a quarter."""
    model, clock = tiny_model(Kind.SKILLED, Sizes(3, 2), 1), iter([100.0, 103.2504])
    asked: list[object] = []

    def canned(model: Model, upper: bool, claim: tuple[Entry, int]) -> Outcome:
        asked.append(claim)
        return Outcome(0, 64, None)

    path = write(encode(certificate(model, whole_content(model))), tmp_path)
    monkeypatch.setattr(AUDIT, "decide", canned)
    monkeypatch.setattr(AUDIT, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = audit(path, saved(model, tmp_path), sample)
    assert (found.verdict, found.rule, found.sampled) == ("sampled", "all", (sample, 6))
    assert (len(asked), found.seconds) == (sample, 3.25)
    assert found.where == f"this is no verification; all would take about {seconds} seconds"


def test_a_sample_that_finds_something_tells_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, false = tiny_model(Kind.SKILLED, Sizes(3, 2), 1), Finding("refuted", "cell", "there", (1, 0))
    monkeypatch.setattr(AUDIT, "decide", lambda *_: Outcome(0, 64, false))
    path = write(encode(certificate(model, whole_content(model))), tmp_path)
    found = audit(path, saved(model, tmp_path), 2)
    assert (found.verdict, found.rule, found.where, found.sampled) == ("refuted", "cell", "there", (2, 6))


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_audit_tells_after_each_class_how_far_it_is(jobs: int, tmp_path: Path) -> None:
    model, told = tiny_model(Kind.SKILLED, Sizes(3, 2), 1), list[tuple[int, int]]()
    path = write(encode(certificate(model, whole_content(model))), tmp_path)
    answer = audit(path, saved(model, tmp_path), None, jobs, lambda *given: told.append(given))
    assert answer.verdict == "verified"
    assert told == [(n, 6) for n in range(1, 7)]


def test_what_ends_an_audit_is_told_in_300_characters() -> None:
    answer = Verdict()
    assert (answer.verdict, answer.exit_code) == ("undecided", 3), "until something has ended it"
    answer.end(Finding("refuted", "cell", "x" * 999, (1, 0)))
    assert (answer.verdict, answer.rule, answer.where) == ("refuted", "cell", "x" * 300)
    assert (answer.counterexample, answer.exit_code) == ((1, 0), 1)


def test_too_little_memory_is_no_refutation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> Outcome:
        raise MemoryError

    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    path = write(encode(certificate(model, whole_content(model))), tmp_path)
    monkeypatch.setattr(AUDIT, "decide", exhausted)
    found = audit(path, saved(model, tmp_path))
    assert (found.verdict, found.rule, found.exit_code) == ("undecided", "memory", 3)
    assert found.where == "this machine has not the memory that the audit takes"


@pytest.mark.parametrize("field", ["semantics", "task", "model"])
def test_what_a_certificate_says_is_repeated_in_ascii(field: str, tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    whole = document(certificate(model, whole_content(model)))
    whole["statement"][field] = "réel\u2028"
    found = audit(write(whole, tmp_path), saved(model, tmp_path))
    assert found.verdict in ("refused", "refuted")
    assert "r\\xe9el\\u2028" in found.where


@pytest.mark.parametrize(
    ("kinds", "line"),
    [
        (["verified", "verified"], "s VERIFIED"),
        (["verified", "sampled"], "s SAMPLED 3/10"),
        (["sampled", "sampled"], "s SAMPLED 6/20"),
        (["sampled", "undecided"], "s NOT VERIFIED"),
        (["refused"], "s NOT VERIFIED"),
    ],
)
def test_the_last_line_is_about_all_certificates(kinds: list[str], line: str) -> None:
    drawn = {"sampled": (3, 10)}
    verdicts = [Verdict(kind, "", "", 0, 0, drawn.get(kind), 64, 0.0, None, "") for kind in kinds]
    assert command._last_line(verdicts) == line
