"""A long audit says on stderr how far it is, and what it says has no part in the answer."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from certkit.cli import audit as command
from certkit.cli.audit import EveryMinute
from certkit.cli.main import main
from certkit.fileformat import encode
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, saved, write
from tests.support.models import Kind, Sizes, tiny_model


def clock(monkeypatch: pytest.MonkeyPatch, *times: float) -> None:
    left = iter(times)
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=lambda: next(left)))


def test_it_tells_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, flushed = io.StringIO(), list[str]()
    monkeypatch.setattr(stream, "flush", lambda: flushed.append(stream.getvalue()), raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    # the start; one time for each class, and another when it has said something
    clock(monkeypatch, 100, 160, 161, 162, 221, 222, 222.1, 282.2, 290)
    told = EveryMinute()
    for done in range(1, 7):
        told(done, 6)
    assert flushed == ["c 2 of 6 classes\n", "c 2 of 6 classes\nc 5 of 6 classes\n"]


class Full(io.StringIO):
    """A stream on a full disk."""

    asked = 0

    def write(self, text: str) -> int:
        self.asked += 1
        raise OSError(28, "No space left on device")


def test_what_cannot_be_told_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", full := Full())
    clock(monkeypatch, *range(0, 10_000, 100))
    told = EveryMinute()
    for done in range(1, 7):
        told(done, 6)
    assert full.asked == 6


@pytest.mark.parametrize("options", [[], ["--sample", "6", "--jobs", "2"]])
def test_certkit_audit_tells(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    files = write(encode(certificate(model, whole_content(model))), tmp_path), saved(model, tmp_path)
    clock(monkeypatch, *range(0, 10_000, 100))
    assert main(["audit", *options, *files]) == (3 if options else 0)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [f"c {n} of 6 classes" for n in range(1, 7)]
    assert printed.out.splitlines()[-1] == ("s SAMPLED 6/6" if options else "s VERIFIED")
