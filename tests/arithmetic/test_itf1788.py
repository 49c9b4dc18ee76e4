"""The conformance runner: what it counts as failed, and what it finds on the public vectors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from certkit.testing.itf1788 import OPERATIONS, as_markdown, main, read_vectors, run

ROOT = Path(__file__).resolve().parents[2]


def folder_with(tmp_path: Path, body: str) -> Path:
    (tmp_path / "some.itl").write_text(
        "/* testcase no { no; } */\ntestcase some {\n" + body + "\n}\n", "utf-8"
    )
    return tmp_path


def test_statements_are_read_with_their_lines(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path, "  add [1.0, 2.0] [empty] = [empty]; // add [1] = [2];\n\n  mid [0x1p-1,\n 1.5] = 1.0;"
    )
    first, second = read_vectors(folder / "some.itl")
    assert (first.operation, first.arguments, first.line) == ("add", ("[1.0, 2.0]", "[empty]"), 3)
    assert (second.operation, second.expected, second.line) == ("mid", ("1.0",), 5)


@pytest.mark.parametrize(
    ("statement", "passed", "failed", "missing"),
    [
        ("add [1.0,2.0] [1.0,2.0] = [2.0,4.0];", 1, 0, 0),
        ("add [1.0,2.0] [1.0,2.0] = [2.0,4.5];", 0, 1, 0),
        ("add [1.0,2.0] [1.0,2.0] = [2.5,4.0];", 0, 1, 0),
        ("exp [0.0,0.0] = [1.0,1.0];", 1, 0, 0),
        ("exp [1.0,1.0] = [0X1.5BF0A8B145769P+1,0X1.5BF0A8B14576AP+1];", 1, 0, 0),
        ("exp [1.0,1.0] = [0X1.5BF0A8B145760P+1,0X1.5BF0A8B14576AP+1];", 0, 1, 0),
        ("exp [1.0,1.0] = [0X1.5BF0A8B145769P+1,0X1.5BF0A8B14577AP+1];", 0, 1, 0),
        ("wid [1.0,2.0] = 1.5;", 0, 1, 0),
        ("wid [empty] = NaN;", 1, 0, 0),
        ("midRad [0.0,2.0] = 1.0 1.5;", 0, 1, 0),
        ("subset [1.0,2.0] [0.0,4.0] = false;", 0, 1, 0),
        ("overlap [1.0,2.0] [3.0,4.0] = meets;", 0, 1, 0),
        ("overlap [1.0,2.0] [3.0,4.0] = before;", 1, 0, 0),
        ('b-textToInterval "[ foo ]" = [empty] signal UndefinedOperation;', 1, 0, 0),
        ('b-textToInterval "[1]" = [empty] signal UndefinedOperation;', 0, 1, 0),
        ('b-textToInterval "[ foo ]" = [empty];', 0, 1, 0),
        ("add [1.0,2.0]_com [1.0,2.0]_com = [2.0,4.0]_com;", 0, 0, 1),
        ("add [nai] [1.0,2.0] = [nai];", 0, 0, 1),
        ("gamma [1.0,2.0] = [1.0,1.0];", 0, 0, 1),
    ],
)
def test_what_passes_and_what_fails(
    tmp_path: Path, statement: str, passed: int, failed: int, missing: int
) -> None:
    (tally,) = run(folder_with(tmp_path, statement)).values()
    assert (tally.passed, tally.failed, tally.not_implemented) == (passed, failed, missing)
    assert [failure["line"] for failure in tally.failures] == [3] * failed


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_with(tmp_path, "neg [1.0,2.0] = [-2.0,-1.0];\nneg [1.0,2.0] = [1.0,2.0];")
    assert main([str(folder), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["operations"]["neg"]["passed"] == 1
    assert report["operations"]["neg"]["failures"][0]["line"] == 4
    assert (report["passed"], report["failed"], report["not_implemented"]) == (1, 1, 0)
    assert main([str(folder_with(tmp_path, "neg [1.0,2.0] = [-2.0,-1.0];"))]) == 0


def test_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path), "--yaml"]) == 2
    (tmp_path / "bad.itl").write_text("testcase x { add [1.0,2.0]; }", "utf-8")
    assert main([str(tmp_path)]) == 2
    assert "bad.itl:1: no expected result" in capsys.readouterr().err


def test_the_command(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "neg [1.0,2.0] = [-2.0,-1.0];")
    command = [sys.executable, "-m", "certkit.testing.itf1788", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout)["passed"] == 1


@pytest.mark.shared
def test_every_public_vector_of_an_operation_we_have_passes(shared_dir: Path) -> None:
    tallies = run(shared_dir / "data" / "itf1788")
    assert [failure for tally in tallies.values() for failure in tally.failures] == []
    counted = {name: tally.passed for name, tally in tallies.items()}
    assert sum(counted.values()) >= 2015
    assert {name for name in OPERATIONS if not counted.get(name)} == set()
    least = {"add": 31, "sub": 31, "mul": 116, "div": 341, "fma": 564, "sqr": 12, "sqrt": 13, "neg": 11}
    assert {name for name, count in least.items() if counted[name] < count} == set()
    page = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    assert page.strip() == as_markdown(tallies).strip()
