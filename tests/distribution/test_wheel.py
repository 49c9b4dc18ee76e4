"""The built wheel, installed in environments that never see the checkout, is all a user needs."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.distribution.conftest import ROOT, Installed

PACKAGES = ("certkit", "proofs")
NO_WHEEL_FILES = {".pyc"}


def files_of(package: Path) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in NO_WHEEL_FILES
    }


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(build: Path) -> None:
    (wheel,) = (build / "wheel").glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == set().union(*(files_of(ROOT / package) for package in PACKAGES))
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_what_is_imported_is_the_wheel(user: Installed, auditor: Installed) -> None:
    for place in (user, auditor):
        paths = place.python("import certkit, proofs; print(certkit.__file__); print(proofs.__file__)")
        assert all(Path(path).is_relative_to(place.prefix) for path in paths.splitlines()), paths
        place.output("python", "-m", "pip", "check", "--disable-pip-version-check")


def test_help_and_version(user: Installed) -> None:
    assert "prove" in user.output("certkit", "--help")
    assert user.output("certkit", "--version").startswith("0.")


def test_help_and_version_of_the_auditor_alone(user: Installed, auditor: Installed) -> None:
    assert auditor.output("certkit", "--version") == user.output("certkit", "--version")
    text = auditor.output("certkit", "--help")
    assert "certkit audit CERT" in text
    assert "pip install 'certkit[prove]'" in text
    done = auditor.run("certkit", "prove", "x")
    assert (done.returncode, done.stdout) == (4, "")
    assert "certkit[prove]" in done.stderr


TRAIN = "train --k 3 --vocab 8 --seeds 0 --steps 400 --out models"
MODEL = "models/k3-v8-s0.safetensors"


def test_the_example_is_a_strategy_like_any_other(user: Installed, auditor: Installed) -> None:
    listed = [json.loads(line) for line in user.output("certkit", "strategies", "--json").splitlines()]
    assert [row["family"] for row in listed if row["name"] == "my-strategy"] == ["plug-in"]

    user.output("certkit", *TRAIN.split())
    names = "my-strategy,cubic"
    printed = user.output("certkit", "prove", MODEL, "--strategy", names, "--json")
    mine, cubic = sorted(map(json.loads, printed.splitlines()), key=lambda row: row["strategy"] == "cubic")
    assert 0 < mine["correct"] <= cubic["correct"] <= 512

    for place in (user, auditor):  # the auditor's environment has neither torch nor the strategy
        assert place.output("certkit", "audit", mine["path"], MODEL).endswith("s VERIFIED\n")

    user.output("certkit", "sweep", MODEL, "--strategy", names, "--out", "results")
    (ledger,) = (user.folder / "results").glob("*.sqlite*")
    rows = sqlite3.connect(ledger).execute("SELECT strategy, status, correct FROM results").fetchall()
    assert sorted(rows) == [
        ("cubic", "proved", str(cubic["correct"])),
        ("my-strategy", "proved", str(mine["correct"])),
    ]


def test_the_example_passes_check_strategy_and_a_broken_one_does_not(user: Installed) -> None:
    code = """
import my_strategy
from certkit.testing import check_strategy, zoo

(strategy,) = my_strategy.STRATEGIES
print(check_strategy(strategy, specimens=[s for s in zoo() if s.sequences <= 27], stop_after=1))
"""
    assert user.python(code).endswith("no law broken")
    source = (ROOT / "examples" / "my_strategy" / "my_strategy.py").read_text(encoding="utf-8")
    (user.folder / "my_strategy.py").write_text(source.replace(" + f[q, -1]", ""), encoding="utf-8")
    broken = user.python(f"import sys; sys.path.insert(0, '')\n{code}")
    assert "sound: on " in broken
    assert "≥ logit[" in broken


def test_the_example_s_own_tests_pass(user: Installed) -> None:
    test = ROOT / "examples" / "my_strategy" / "test_my_strategy.py"
    (user.folder / test.name).write_text(test.read_text(encoding="utf-8"), encoding="utf-8")
    user.output("python", "-m", "pytest", "-q", "-k", "audited", test.name)


def type_check(place: Installed, file: str) -> subprocess.CompletedProcess[str]:
    """mypy of the developers' environment, reading the types that the user's environment offers."""
    python = str(place.prefix / "bin" / "python")
    cache = str(place.folder / "cache")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", cache, file],
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


MISUSE = """
import proofs
from certkit import Certificate, Estimate

def publish(proof: Certificate) -> None: ...

certificate = proofs.prove(proofs.load_model("x"), "cubic")
publish(certificate)
publish(Estimate(9, 10))
reveal_type(certificate.bound)
"""


def test_the_installed_packages_carry_their_types(user: Installed) -> None:
    example = ROOT / "examples" / "my_strategy" / "my_strategy.py"
    (user.folder / example.name).write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    (user.folder / "misuse.py").write_text(MISUSE, encoding="utf-8")
    passed = type_check(user, example.name)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    refused = type_check(user, "misuse.py")
    assert refused.returncode == 1
    assert 'has incompatible type "Estimate"; expected "Certificate"' in refused.stdout
    assert 'Revealed type is "fractions.Fraction"' in refused.stdout
    assert refused.stdout.count(": error: ") == 1, refused.stdout


def test_the_audit_needs_nothing_but_flint(auditor: Installed) -> None:
    installed = json.loads(auditor.output("python", "-m", "pip", "list", "--format", "json"))
    names = {row["name"].lower().replace("_", "-") for row in installed}
    assert names - {"pip", "setuptools"} == {"certkit", "python-flint"}
    assert "CERT" in auditor.output("certkit", "audit", "--help")
    refused = auditor.run("certkit", "prove", "x.safetensors")
    assert refused.returncode == 4
    assert "pip install 'certkit[prove]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
