"""The command: exit codes, last line, JSON, samples, several certificates, nothing but python-flint."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from certkit.certificate import Box, SetContent
from certkit.fileformat import encode
from certkit.kernel import __main__ as command
from certkit.kernel import audit
from certkit.kernel.__main__ import main
from certkit.kernel.verdict import kernel_sha256
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model

MODEL = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
TIED = tiny_model(Kind.TWIN, Sizes(4, 3), 3)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A model, a certificate that holds, one that claims too much, one that cannot be read, a foreign one."""
    cert = certificate(MODEL, whole_content(MODEL))
    more = document(cert)
    more["statement"]["correct_at_least"] += 1
    other = certificate(TIED, whole_content(TIED))
    return {
        "model": saved(MODEL, tmp_path),
        "good": write(encode(cert), tmp_path, "good.cert"),
        "more": write(more, tmp_path, "more.cert"),
        "broken": write(encode(cert)[:-2], tmp_path, "broken.cert"),
        "foreign": write(encode(other), tmp_path, "foreign.cert"),
    }


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[str]]:
    code = main(list(argv))
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("names", "code", "last"),
    [
        (["good"], 0, "s VERIFIED"),
        (["more"], 1, "s NOT VERIFIED"),
        (["broken"], 2, "s NOT VERIFIED"),
        (["foreign"], 1, "s NOT VERIFIED"),
        (["good", "good"], 0, "s VERIFIED"),
        (["good", "more"], 1, "s NOT VERIFIED"),
        (["broken", "good"], 2, "s NOT VERIFIED"),
        (["broken", "more", "good"], 1, "s NOT VERIFIED"),
    ],
)
def test_exit_code_and_last_line(
    names: list[str], code: int, last: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    got, lines = run(capsys, *(files[name] for name in names), files["model"])
    assert (got, lines[-1]) == (code, last)
    assert sum(line.startswith("path") for line in lines) == len(names)
    assert sum(kernel_sha256() in line for line in lines) == len(names)


def test_json_lines(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(capsys, files["good"], files["more"], files["model"], "--json")
    first, second = map(json.loads, lines)
    assert code == 1
    names = (
        "verdict rule where audited_correct total sampled precision_bits seconds counterexample kernel_sha256"
    )
    assert [*first] == ["path", *names.split()]
    assert (first["verdict"], first["path"], first["total"]) == ("verified", files["good"], 64)
    assert (second["verdict"], second["rule"], second["audited_correct"]) == ("refuted", "claim", 0)


def test_a_certificate_cannot_write_to_the_terminal(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for field in ("model", "task", "semantics"):
        whole = document(certificate(MODEL, whole_content(MODEL)))
        whole["statement"][field] = "x\ns VERIFIED\n\x1b[2J\ud800"
        code, lines = run(capsys, write(whole, tmp_path), files["model"])
        assert code in (1, 2)
        assert "s VERIFIED" not in lines
        assert all(line.isprintable() for line in lines)


def test_a_sample_never_verifies(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for count, shown in (("3", "s SAMPLED 3/10"), ("10", "s SAMPLED 10/10"), ("99", "s SAMPLED 10/10")):
        code, lines = run(capsys, files["good"], files["model"], "--sample", count)
        assert any("this is no verification; all would take about" in line for line in lines)
        assert (code, lines[-1]) == (3, shown)
    code, lines = run(capsys, files["more"], files["model"], "--sample", "3")
    assert (code, lines[-1]) == (1, "s NOT VERIFIED")


def test_several_processes_agree_with_one(files: dict[str, str], tmp_path: Path) -> None:
    one, two = audit(files["good"], files["model"]), audit(files["good"], files["model"], jobs=2)
    assert one.verdict == two.verdict == "verified"
    assert one.audited_correct == two.audited_correct
    wrong = SetContent(3, 3, boxes=(Box(((0, 3), (0, 3))),))  # without its exceptions
    entries = [entry for entry in whole_content(MODEL) if (entry.q, entry.m) != (3, 3)]
    path = write(encode(certificate(MODEL, [*entries, wrong])), tmp_path)
    if any(entry.boxes[0].exceptions for entry in whole_content(MODEL) if (entry.q, entry.m) == (3, 3)):
        assert audit(path, files["model"], jobs=2).counterexample is not None


@pytest.mark.parametrize(
    "argv", [[], ["one.cert"], ["--sample", "0", "a", "b"], ["--sample", "x", "a", "b"], ["--no", "a", "b"]]
)
def test_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_a_counterexample_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = whole_content(TIED)
    full = [
        SetContent(e.q, e.m, boxes=(Box(e.boxes[0].positions, e.boxes[0].contains_max),)) for e in entries
    ]
    assert any(entry.boxes[0].exceptions for entry in entries)
    path = write(encode(certificate(TIED, full)), tmp_path)
    code, lines = run(capsys, path, saved(TIED, tmp_path))
    assert code == 1
    (line,) = (line for line in lines if line.startswith("counterexample"))
    *others, q = map(int, line.split("(")[1].rstrip(")").split(","))
    (entry,) = (e for e in entries if (e.q, e.m) == (q, max(*others, q)))
    assert tuple(others) in entry.boxes[0].exceptions


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "flint", "certkit"}:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
sys.argv[0] = "certkit"
from certkit.cli.main import main
code = main(sys.argv[1:])
print(*sorted(m for m in sys.modules if m.partition(".")[0] in ("certkit", "proofs")))
sys.exit(code)
"""


def test_the_audit_needs_python_flint_alone(files: dict[str, str]) -> None:
    """Run ``certkit audit`` where nothing else can be imported: no torch, numpy, attrs, cyclopts."""
    command = [sys.executable, "-S", "-c", BLOCKED]
    paths = [p for p in sys.path if p]
    for name, code, last in (("good", 0, "s VERIFIED"), ("more", 1, "s NOT VERIFIED")):
        done = subprocess.run(
            [*command, "audit", files[name], files["model"]],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": ":".join([str(Path(__file__).parents[2]), *paths])},
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        *lines, loaded = done.stdout.splitlines()
        assert lines[-1] == last
        modules = set(loaded.split())
        cli = {"certkit.cli"} | {f"certkit.cli.{name}" for name in ("audit", "exits", "kinds", "main")}
        assert {m for m in modules if not m.startswith("certkit.kernel")} <= {"certkit"} | cli


def test_python_dash_m(files: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "certkit.kernel", files["good"], files["model"]],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "s VERIFIED")


def test_help_says_what_the_options_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: certkit audit [-h] [--sample N] [--jobs N] [--json] CERT [CERT ...] MODEL"
    text = "\n".join(" ".join(line.split()) for line in lines)
    for line in (
        "Check certificates against a weights file, trusting neither",
        "CERT certificate files",
        "MODEL safetensors file with the weights",
        "--sample N decide N classes drawn at random",
        "--jobs N processes to use (default 1)",
        "--json one JSON object per certificate on stdout",
    ):
        assert line in text


def test_options_are_passed_on_and_positive(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, asked = audit(files["good"], files["model"], 2), list[tuple[object, ...]]()
    monkeypatch.setattr(command, "audit", lambda *given: asked.append(given) or verdict)
    for options, sample, jobs in (
        ((), None, 1),
        (("--sample", "1", "--jobs", "1"), 1, 1),
        (("--jobs", "3"), None, 3),
    ):
        _, lines = run(capsys, *options, files["good"], files["model"])
        assert lines[0] == f"path            {files['good']}"
        assert asked.pop() == (files["good"], files["model"], sample, jobs, None)
    main([files["good"], files["model"]], progress := lambda *_: None)
    assert asked.pop() == (files["good"], files["model"], None, 1, progress)
    printed: list[bool] = []
    monkeypatch.setattr(command, "print", lambda *_, flush=False: printed.append(flush), raising=False)
    main([files["good"], files["more"], files["model"]])
    assert printed == [True, True, True], "each answer is shown when it is there"
    for option, number in product(("--sample", "--jobs"), ("0", "-1", "x", "1.5")):
        with pytest.raises(SystemExit, match="2"):
            main([f"{option}={number}", files["good"], files["model"]])
        assert f"{number!r} must be a positive integer" in capsys.readouterr().err
