"""The completion scripts, run by the shells they are for."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from certkit.cli.audit import audit
from certkit.cli.main import main


def script(shell: str, capsys: pytest.CaptureFixture[str], folder: Path, name: str) -> Path:
    assert main(["completion", shell]) == 0
    path = folder / name
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def run(shell: str, *arguments: str) -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pro"], "prove"),
        (["prove", "--se"], "--semantics"),
        (["prove", "--semantics", "fl"], "float32"),
        (["audit", "--jo"], "--jobs"),
        (["completion", "z"], "zsh"),
    ],
)
def test_bash(words: list[str], offered: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = script("bash", capsys, tmp_path, "certkit")
    typed = " ".join(["certkit", *words])
    ask = f"""
source {path}
function=$(complete -p certkit | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=({typed}) COMP_CWORD={len(words)} COMP_LINE={typed!r} COMP_POINT={len(typed)}
$function certkit {words[-1]} {["certkit", *words][-2]}
echo "${{COMPREPLY[@]}}"
"""
    assert run("bash", "--norc", "-c", ask).split() == [offered]


def test_zsh_takes_the_script_sourced_and_from_its_function_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = script("zsh", capsys, tmp_path, "_certkit")
    start = f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D;"
    assert run("zsh", "-f", "-c", f"{start} print $_comps[certkit]").strip() == "_certkit"
    called = f"{start} _arguments() {{ print called; }}; _certkit"
    assert "called" in run("zsh", "-f", "-c", called)
    sourced = f"autoload -U compinit; compinit -u -D; source {path}; print $_comps[certkit]"
    assert run("zsh", "-f", "-c", sourced).strip() == "_cyclopts_certkit"


def test_what_is_offered_for_the_audit_is_what_the_auditor_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--help"]) == 0  # the auditor's own
    taken = set(re.findall(r"--(\w+)", capsys.readouterr().out)) - {"help"}
    assert taken == set(inspect.signature(audit).parameters) - {"files"}
