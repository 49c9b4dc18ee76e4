"""The commands on good input: what they write, print and return, to the letter of the interface."""

from __future__ import annotations

import errno
import json
import os
import re
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import certkit.cli.prove as prove_module
from certkit.certificate import Certificate, Claim
from certkit.cli.main import main
from certkit.content import CertifiedSet, class_size, full_content
from certkit.display import percent_down
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.model import Model, load_model, save_model
from proofs.mutants import KillRow
from proofs.progress import Lines

MODEL = "models/k2-v5-s0.safetensors"


def run(line: str) -> int:
    return main(line.split())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model and two certificates of it."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert run("train --k 2 --vocab 5 --seeds 0 --steps 60 --out models") == 0
        assert run(f"prove {MODEL} --strategy cubic,brute-force --out certs") == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(work)
    return work


Captured = pytest.CaptureFixture[str]


def lines(captured: Captured) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


def test_train_prints_the_paths_and_keeps_what_is_there(here: Path, capsys: Captured) -> None:
    before = Path(MODEL).stat().st_mtime_ns
    assert run("train --k 2 --vocab 5 --seeds 0-1 --steps 60 --out models") == 0
    assert capsys.readouterr().out == f"{MODEL}\nmodels/k2-v5-s1.safetensors\n"
    assert Path(MODEL).stat().st_mtime_ns == before


def test_prove_prints_a_table(here: Path, capsys: Captured) -> None:
    assert run(f"prove --strategy c*,brute* {MODEL} --out all") == 0
    printed = capsys.readouterr().out
    assert "brute-force" in printed
    assert "cubic" in printed
    assert "certkit audit all/k2-v5-s0--" in printed


def test_percentages_never_say_too_much(tmp_path: Path, capsys: Captured) -> None:
    """Of 9 sequences: no share but 0 and 1 has a finite decimal."""
    model = Model.from_tensors(tiny_weights(Kind.SKILLED, Sizes(3, 2), seed=1))
    save_model(model, tmp_path / "m.safetensors")
    assert run(f"prove {tmp_path}/m.safetensors --strategy cubic --out {tmp_path}") == 0
    shown = Fraction(re.findall(r"([0-9.]+) %", capsys.readouterr().out)[0]) / 100
    certificate = Certificate.load(tmp_path / "m--cubic.cert")
    assert 0 < certificate.bound < 1
    assert certificate.bound - Fraction(1, 10**6) < shown < certificate.bound
    assert run(f"show {tmp_path}/m--cubic.cert") == 0
    assert f"({percent_down(shown)} or more)" in capsys.readouterr().out


@pytest.mark.parametrize(("strategies", "code"), [("brute-force,cubic", 2), ("brute-f*,cubic", 0)])
def test_a_strategy_asked_for_by_name_must_prove_something(
    strategies: str, code: int, tmp_path: Path, capsys: Captured
) -> None:
    """One that a pattern brought in may be out of reach; the others are proved in either case."""
    model = Model.from_tensors(tiny_weights(Kind.SKILLED, Sizes(3, 40), seed=1))
    save_model(model, tmp_path / "m.safetensors")
    assert run(f"prove {tmp_path}/m.safetensors --strategy {strategies} --out {tmp_path}/out") == code
    told = capsys.readouterr()
    assert "passed over" in told.err
    assert ("certkit: " in told.err) == (code != 0)
    assert told.err.count("brute-force would decide all 3^40") == 1 + (code != 0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m--cubic.cert"]


def test_the_default_strategy_is_at_least_as_tight_as_cubic(here: Path, capsys: Captured) -> None:
    for semantics in ("real", "float32"):
        assert run(f"prove {MODEL} --json --out default --semantics {semantics}") == 0
        (record,) = lines(capsys)
        assert record["semantics"] == semantics
        cubic = Certificate.load("certs/k2-v5-s0--cubic.cert").claim.correct_at_least
        assert record["correct"] >= cubic or semantics == "float32"


def test_a_large_vocabulary_has_another_default(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certkit.cli.prove.LARGE", 5)
    for semantics, strategy in (("real", "separable-pool"), ("float32", "cubic")):
        assert run(f"prove {MODEL} --json --out large --semantics {semantics}") == 0
        (record,) = lines(capsys)
        assert record["strategy"] == strategy


def test_each_model_has_the_default_of_its_own_size(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certkit.cli.prove.LARGE", 5)
    save_model(Model.from_tensors(tiny_weights(Kind.SKILLED, Sizes(3, 2), seed=1)), "small.safetensors")
    assert run(f"prove small.safetensors {MODEL} --json --out both") == 0
    assert [record["strategy"] for record in lines(capsys)] == ["separable-tail", "separable-pool"]


def test_a_default_that_cannot_reach_a_model_is_an_error(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it reached another one, whose certificate stays."""
    monkeypatch.setattr("certkit.cli.prove.DEFAULTS", ("brute-force",))
    for name, k in (("small", 2), ("long", 40)):
        model = Model.from_tensors(tiny_weights(Kind.SKILLED, Sizes(3, k), seed=1))
        save_model(model, tmp_path / f"{name}.safetensors")
    assert run(f"prove {tmp_path}/small.safetensors {tmp_path}/long.safetensors --out {tmp_path}/out") == 2
    assert "certkit: " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small--brute-force.cert"]


def test_long_proofs_say_how_far_they_are(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certkit.cli.prove.Lines", partial(Lines, every=0.0))
    assert run(f"prove {MODEL} --out told --strategy separable-union") == 0
    told = capsys.readouterr().err
    assert "k2-v5-s0: separable-union (1/1): 1 of 5 in 0:00:00" in told
    assert "k2-v5-s0: separable-union (1/1): 5 of 5 in 0:00:00" in told


PROVE_FIELDS = [
    "model",
    "model_sha256",
    "strategy",
    "family",
    "semantics",
    "content",
    "correct",
    "total",
    "bound",
    "correct_at_most",
    "search_s",
    "verify_s",
    "flops",
    "comparisons",
    "int_ops",
    "unexplained_dimension",
    "path",
]
STRATEGY_FIELDS = ["name", "family", "version", "complexity_class", "semantics", "description"]


def test_prove_json_has_the_documented_fields(here: Path, capsys: Captured) -> None:
    assert run(f"prove {MODEL} --strategy cubic --strategy brute-force --json --out certs") == 0
    records = lines(capsys)
    assert [record["strategy"] for record in records] == ["brute-force", "cubic"]
    for record in records:
        assert list(record) == PROVE_FIELDS
        certificate = Certificate.load(record["path"])
        assert record["model_sha256"] == load_model(MODEL).sha256 == certificate.claim.model_sha256
        assert (record["correct"], record["total"]) == (certificate.claim.correct_at_least, 25)
        assert Fraction(record["bound"]) <= certificate.bound
        assert record["family"] == "published"
        assert record["semantics"] == "real"
        assert record["flops"] > 0
        assert record["verify_s"] > 0


def test_the_two_bounds_are_in_order(here: Path) -> None:
    exact, cheap = (Certificate.load(f"certs/k2-v5-s0--{s}.cert") for s in ("brute-force", "cubic"))
    assert cheap.bound <= exact.bound


def test_audit_verifies_both(here: Path, capsys: Captured) -> None:
    certificates = ["certs/k2-v5-s0--brute-force.cert", "certs/k2-v5-s0--cubic.cert"]
    assert main(["audit", *certificates, MODEL]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "s VERIFIED"
    assert main(["audit", *certificates, MODEL, "--json"]) == 0
    for record in lines(capsys):
        assert record["verdict"] == "verified"
        assert record["total"] == 25


def test_show_in_words(here: Path, capsys: Captured) -> None:
    assert main(["show", "certs/k2-v5-s0--cubic.cert"]) == 0
    printed = capsys.readouterr().out
    assert "of the 25 sequences of 2 tokens below 5" in printed
    assert "certkit audit" in printed


def test_show_json(here: Path, capsys: Captured) -> None:
    assert main(["show", "certs/k2-v5-s0--cubic.cert", "--json"]) == 0
    (record,) = lines(capsys)
    assert record["strategy"] == "cubic"
    assert record["total"] == 25
    assert set(record["remarks"]["cost"]) >= {"flops", "comparisons", "int_ops"}


@pytest.mark.parametrize("strategy", ["cubic", "brute-force"])
def test_show_content_sums_to_the_claim(strategy: str, here: Path, capsys: Captured) -> None:
    path = f"certs/k2-v5-s0--{strategy}.cert"
    assert main(["show", path, "--content"]) == 0
    records = lines(capsys)
    failing: dict[tuple[int, int], int] = {}
    for record in records:
        if "failing_at_most" in record:
            place = record["q"], record["m"]
            failing[place] = failing.get(place, 0) + int(record["failing_at_most"])
    total = sum(int(record.get("count", 0)) for record in records)
    total += sum(class_size(q, m, 2) - count for (q, m), count in failing.items())
    assert total == Certificate.load(path).claim.correct_at_least


def test_strategies_json(capsys: Captured) -> None:
    assert main(["strategies", "--json"]) == 0
    records = lines(capsys)
    assert {"cubic", "brute-force"} <= {
        record["strategy" if "strategy" in record else "name"] for record in records
    }
    for record in records:
        assert list(record) == STRATEGY_FIELDS
        assert record["family"] in {"published", "separable", "plug-in"}
        assert record["semantics"] in {"real", "float32"}


def test_strategies_table(capsys: Captured) -> None:
    assert main(["strategies"]) == 0
    assert "cubic" in capsys.readouterr().out


def test_explain(here: Path, capsys: Captured) -> None:
    certificate = "certs/k2-v5-s0--cubic.cert"
    assert main(["explain", certificate, MODEL]) == 0
    assert "sequences certified" in capsys.readouterr().out
    assert main(["explain", certificate, MODEL, "--q", "1", "--m", "3", "--json"]) == 0
    (record,) = lines(capsys)  # one non-query position, and it must hold the maximum
    assert (record["q"], record["m"], record["n"], record["sequences"]) == (1, 3, 0, 1)
    assert record["closest"]["sequence"] == [3, 1]
    assert main(["explain", certificate, MODEL, "--q", "3", "--m", "1"]) == 2
    assert main(["explain", certificate, MODEL, "--q", "3"]) == 2


def test_attack_finds_nothing_in_a_true_certificate(here: Path, capsys: Captured) -> None:
    certificate = "certs/k2-v5-s0--cubic.cert"
    assert main(["attack", certificate, MODEL, "--tries", "100"]) == 0
    assert "proves nothing" in capsys.readouterr().out
    assert main(["attack", certificate, MODEL, "--json"]) == 0
    (record,) = lines(capsys)
    assert record["refuted"] is False
    assert record["tried"] > 0


def test_attack_refutes_a_false_certificate(here: Path, capsys: Captured) -> None:
    """Brute force lists what fails; a certificate of everything is false there."""
    exact = Certificate.load("certs/k2-v5-s0--brute-force.cert")
    classes = [(q, m) for q in range(5) for m in range(q, 5)]
    content = CertifiedSet(2, 5, tuple(full_content(q, m, 2) for q, m in classes))
    claim = Claim(2, 5, exact.claim.model_sha256, content.correct_at_least)
    Certificate(claim, "wishful", 1, content).save("false.cert")
    assert exact.claim.correct_at_least < 25, "train the model less: nothing fails"
    assert main(["attack", "false.cert", MODEL]) == 1
    assert "counterexample" in capsys.readouterr().out
    assert main(["attack", "false.cert", MODEL, "--json"]) == 1
    (record,) = lines(capsys)
    assert len(record["counterexample"]) == 2
    assert main(["audit", "false.cert", MODEL]) == 1


def test_sweep_is_resumable(here: Path, capsys: Captured) -> None:
    line = f"sweep {MODEL} --strategy cubic --out results"
    assert run(line) == 0
    assert "Results in results/" in capsys.readouterr().out
    assert run(line) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(line + " --resume") == 0
    capsys.readouterr()
    assert run("report results --out page") == 0
    assert capsys.readouterr().out == "page/index.html\n"
    assert "<html" in Path("page/index.html").read_text(encoding="utf-8")


def test_doctor(capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert lines(capsys)


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "prove",
        "show",
        "strategies",
        "doctor",
        "explain",
        "combine",
        "diff",
        "attack",
        "sweep",
        "report",
    ],
)
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage: certkit" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str, capsys: Captured) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert "new-strategy" in printed
    assert "--strategy" in printed or "strategy" in printed


def test_the_program_has_a_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("0.")


def test_an_interrupted_run_keeps_what_it_finished(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    proving, calls = prove_module.prove_with, []

    def interrupted(*arguments: Any) -> Certificate:
        calls.append(arguments)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return proving(*arguments)

    monkeypatch.setattr(prove_module, "prove_with", interrupted)
    assert run(f"prove {MODEL} --strategy cubic,brute-force --out kept") == 130
    assert [path.suffix for path in Path("kept").iterdir()] == [".cert"]
    printed = capsys.readouterr()
    assert "interrupted" in printed.err
    assert "kept/" in printed.out


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def full(path: object, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("certkit.fileformat.write_atomically", full)
    assert run(f"prove {MODEL} --strategy cubic --out full") == 4
    assert "the disk is full" in capsys.readouterr().err
    assert list(Path("full").iterdir()) == []


@pytest.mark.parametrize(
    ("verdict", "control", "code"), [("refuted", True, 0), ("verified", True, 1), ("refuted", False, 1)]
)
def test_a_mutant_that_is_accepted_fails_the_kill_table(
    verdict: str, control: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    row = KillRow("no-rounding", "producer", verdict != "verified", "some-model", verdict, "claim", control)
    monkeypatch.setattr("certkit.cli.mutants._rows", lambda only: iter([row]))
    for options in ("", " --json", " --markdown"):
        assert run("mutants" + options) == code
        out = capsys.readouterr().out
        assert ("1 of 1 mutants refused" in out) == (code == 0 and "json" not in options)
