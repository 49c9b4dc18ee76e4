"""The environments in which the built wheel is installed, as users have it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "CERTKIT_WHEEL"


@attrs.frozen
class Installed:
    """One virtual environment with the wheel in it, and a folder outside the checkout to work in."""

    prefix: Path
    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; nothing of the checkout is importable."""
        program = self.prefix / "bin" / command[0]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(program), *command[1:]],
            cwd=self.folder,
            env={**kept, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def output(self, *command: str) -> str:
        """What the command prints; it must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, code: str) -> str:
        """What a program prints."""
        return self.output("python", "-c", code).strip()


@pytest.fixture(scope="session")
def build() -> Path:
    """The folder `make wheel` fills. Only `make unit` can know that it is of these sources, so it says so."""
    named = os.environ.get(VARIABLE)
    if named is None:
        pytest.skip(f"{VARIABLE} is not set: `make unit` builds and installs the wheel for these tests")
    folder = ROOT / named
    assert (folder / "user" / ".installed").exists(), f"{folder} holds no installed wheel; run `make wheel`"
    return folder


@pytest.fixture
def user(build: Path, tmp_path: Path) -> Installed:
    """``certkit[prove,report,test]`` and the example's own package."""
    return Installed(build / "user", tmp_path)


@pytest.fixture
def auditor(build: Path, tmp_path: Path) -> Installed:
    """``certkit[audit]``: python-flint and nothing else."""
    return Installed(build / "auditor", tmp_path)
