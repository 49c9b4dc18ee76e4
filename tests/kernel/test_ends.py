"""What is said, and with which exit code, if an audit cannot go on: never that it verified or refuted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from certkit.fileformat import encode
from certkit.kernel import audit, work
from certkit.kernel.__main__ import main
from certkit.kernel.verdict import Finding
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, saved, write
from tests.support.models import Kind, Sizes, tiny_model

AUDIT = import_module("certkit.kernel.audit")  # the function of this name hides it


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A true certificate, and its model."""
    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    return write(encode(certificate(model, whole_content(model))), tmp_path), saved(model, tmp_path)


def doubled_or_killed(fatal: int, number: int) -> int:
    if number == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def test_every_class_comes_back_from_the_processes() -> None:
    for count in (0, 1, 5, 40):
        found = work.spread(partial(doubled_or_killed, -1), tuple(range(count)), 2)
        assert sorted(found) == [2 * number for number in range(count)]


@pytest.mark.parametrize("fatal", [0, 19, 39])
def test_a_process_that_is_killed_leaves_it_undecided(fatal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PATIENCE", 0.2)
    with pytest.raises(Finding) as caught:
        list(work.spread(partial(doubled_or_killed, fatal), tuple(range(40)), 2))
    found = caught.value
    assert (found.verdict, found.rule, found.where) == ("undecided", "processes", "one of them was killed")


def slow(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


def test_a_class_may_take_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PATIENCE", 0.02)
    assert list(work.spread(slow, (0.2,), 2)) == [0.2]


def test_too_few_processes_leave_it_undecided(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(work, "Pool", refused)
    found = audit(*files, jobs=3)
    assert (found.verdict, found.rule) == ("undecided", "processes")
    assert found.where == "this machine has not 3 more: Too many open files"


def elsewhere(files: tuple[str, str], shell: str) -> subprocess.CompletedProcess[str]:
    command = f'set -o pipefail; "{sys.executable}" -m certkit.kernel "{files[0]}" "{files[1]}" {shell}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(
    ("shell", "code", "last"),
    [
        ("> /dev/full", 4, "certkit audit: [Errno 28] No space left on device"),
        ("--json > /dev/full", 4, "certkit audit: [Errno 28] No space left on device"),
        ("> /dev/full 2>&1", 4, ""),
        ("2> /dev/full | cat", 0, "s VERIFIED"),
        ("2>&- | cat", 0, "s VERIFIED"),
    ],
)
def test_python_dash_m_where_the_answer_cannot_be_written(
    shell: str, code: int, last: str, files: tuple[str, str]
) -> None:
    """Python's own exit code would be 1, which says that the certificate is false."""
    done = elsewhere(files, shell)
    assert (done.returncode, (done.stdout + done.stderr).splitlines()[-1:]) == (code, [last] if last else [])


def test_a_path_in_another_alphabet_is_printed(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["\udcff.cert", files[1]]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "path            \\udcff.cert" in lines
    assert "where           \\udcff.cert: No such file or directory" in lines


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own that SIGINT interrupts, also where a shell has us ignore it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe, command = subprocess.PIPE, [sys.executable, *arguments]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        signal.signal(signal.SIGINT, handler)
        try:
            yield process
        finally:
            process.kill()


def test_python_dash_m_interrupted_says_one_line(files: tuple[str, str], tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    with running("-m", "certkit.kernel", str(fifo), files[1]) as process:
        writer = os.open(fifo, os.O_WRONLY)  # returns when the auditor has begun to read
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)
        os.close(writer)
    assert (process.returncode, printed) == (130, ("", "certkit audit: interrupted\n"))


SLEEPERS = """
import os
import time
from certkit.kernel.work import spread

def sleep(number):
    os.write(1, b"asleep\\n")  # at once, unlike print
    time.sleep(600)

try:
    list(spread(sleep, [1, 2], 2))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_processes_that_are_interrupted_together_are_quiet(tmp_path: Path) -> None:
    """As by Ctrl-C, which a terminal sends to all of them: the first one speaks."""
    (script := tmp_path / "sleepers.py").write_text(SLEEPERS)
    with running(str(script)) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["asleep\n"] * 2
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60) == ("interrupted\n", "")
    assert process.returncode == 0
