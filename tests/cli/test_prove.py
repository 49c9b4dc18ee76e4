"""What `certkit prove` writes, prints and refuses, to the last number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import certkit.cli.prove as prove_module
from certkit import environment
from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.cli.main import main
from certkit.content import Count, CountContent, full_content
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.model import Model, save_model
from proofs.progress import Lines

Captured = pytest.CaptureFixture[str]


def run(line: str) -> int:
    return main(line.split())


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models that get some sequences wrong, and one with too many sequences to decide each."""
    monkeypatch.chdir(tmp_path)
    for name, sizes in (("a", Sizes(4, 3)), ("b", Sizes(3, 3)), ("long", Sizes(3, 40))):
        save_model(Model.from_tensors(tiny_weights(Kind.SKILLED, sizes, seed=6)), f"{name}.safetensors")


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def made_up(most: int, least: int = 3, **remarks: Any) -> prove_module.Proved:
    """A certificate of so many at least and at most of 9 sequences."""
    fails = Count(0, 1.0, 0.0, 1, 1)
    right = [full_content(q, q, 1) for q in range(least)]
    wrong = [CountContent(q, q, 0.0, (fails,)) for q in range(most, 9)]
    content = CertifiedSet(1, 9, (*right, *wrong), two_sided=True)
    claim = Claim(1, 9, "0" * 64, content.correct_at_least, content.correct_at_most)
    certificate = Certificate(claim, "made-up", 1, content, remarks=remarks)
    return prove_module.Proved(Path("m.safetensors"), certificate, Path("x/m.cert"))


COST = {"flops": 123_456, "comparisons": 77, "int_ops": 5, "unexplained_dimension": 9}


def test_numbers_of_the_record_are_those_of_the_certificate() -> None:
    proved = made_up(7, 5, time_us={"search": 2_500_000, "verify": 1_500}, cost=COST, family="published")
    record = prove_module._record(proved)
    expected = {"search_s": 2.5, "verify_s": 0.0015, "correct": 5, "correct_at_most": 7, "total": 9}
    assert record | expected | COST == record
    bound = record["bound"]
    assert isinstance(bound, float)
    assert Fraction(5, 9) - Fraction(1, 2**53) <= Fraction(bound) <= Fraction(5, 9) < Fraction(5 / 9)


def test_a_row_never_says_too_much() -> None:
    row = prove_module._columns(made_up(5, time_us={"search": 2_500_000, "verify": 21_600}, cost=COST))
    assert (row["at least"], row["at most"]) == ("33.3333 %", "55.5556 %")
    assert (row["search"], row["verify"], row["operations"]) == ("2.5 s", "22 ms", "1.23e+05")
    assert prove_module._columns(made_up(3))["at most"] == "the same"
    assert [prove_module._columns(made_up(3))[name] for name in ("search", "operations")] == ["–", "–"]
    assert [prove_module._magnitude(count) for count in (9_999, 10_000)] == ["9999", "1.00e+04"]
    assert [prove_module._time(seconds) for seconds in (0.999, 1.0)] == ["999 ms", "1.0 s"]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_best_of_each_model_comes_first(order: str, capsys: Captured) -> None:
    models = " ".join(f"{name}.safetensors" for name in order)
    assert run(f"prove {models} --strategy cubic,brute-force --out certs") == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if "cubic" in line or "brute" in line]
    found = [(row[-2], row[-1]) for row in rows if "certkit" not in row]
    assert [name for name, _ in found] == [name for name in order for _ in range(2)]
    for model, (_, first) in zip(order, found[::2], strict=True):
        bounds = {s: Certificate.load(f"certs/{model}--{s}.cert").bound for s in ("cubic", "brute-force")}
        assert bounds["brute-force"] > bounds["cubic"], "another seed is wanted"
        assert first == "brute-force"
    assert "sequences" in printed
    assert ", of " not in printed  # they have not as many


def test_the_command_it_names_works(capsys: Captured) -> None:
    assert run("prove a.safetensors --strategy cubic,brute-force --out certs") == 0
    printed = capsys.readouterr().out
    assert "Certified correct, of 64 sequences" in printed
    assert " model" not in printed.splitlines()[1]
    assert "the same" in printed  # only one of two rows has an upper bound
    (line,) = [line.strip() for line in printed.splitlines() if "certkit audit" in line]
    assert run(line.removeprefix("certkit ")) == 0


def test_json_and_nothing_else(capsys: Captured) -> None:
    assert run("prove a.safetensors a.safetensors --strategy cubic --out certs --json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["path"] for record in records] == ["certs/a--cubic.cert"] * 2  # twice is no mistake


def test_other_semantics_are_in_the_name() -> None:
    for semantics, name in (("real", "a--cubic.cert"), ("float32", "a--cubic--float32.cert")):
        assert run(f"prove a.safetensors --strategy cubic --semantics {semantics} --out certs") == 0
        assert Certificate.load(f"certs/{name}").claim.semantics == semantics


def test_a_pattern_that_reaches_nothing_is_an_error(capsys: Captured) -> None:
    assert run("prove long.safetensors --strategy brute-f* --out certs") == 2
    assert "certkit: long.safetensors: brute-force would decide all 3^40" in capsys.readouterr().err
    Path("more.safetensors").write_bytes(Path("long.safetensors").read_bytes())
    assert run("prove more.safetensors long.safetensors --strategy brute-f* --out certs") == 2
    assert "certkit: more.safetensors" in capsys.readouterr().err
    assert run("prove long.safetensors a.safetensors --strategy brute-f*,cubic --out certs") == 0
    assert "at most" in capsys.readouterr().out  # only the last row has one


def test_what_a_search_leaves_is_not_what_is_verified_with(monkeypatch: pytest.MonkeyPatch) -> None:
    proving, spaces = prove_module.prove_with, list[object]()

    def watched(*arguments: Any) -> Certificate:
        spaces.extend(arguments[2:])
        return proving(*arguments)

    monkeypatch.setattr(prove_module, "prove_with", watched)
    assert run("prove a.safetensors b.safetensors --strategy cubic --out certs") == 0
    assert len({id(space) for space in spaces}) == len(spaces) == 4


@pytest.mark.usefixtures("threads")
def test_threads_are_those_asked_for() -> None:
    for asked in ("", " --threads 2"):
        assert run(f"prove b.safetensors --strategy cubic --out certs{asked}") == 0
        assert torch.get_num_threads() == (2 if asked else 1)


def test_an_unsound_machine_proves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def refuse(device: str = "cpu") -> None:
        raise environment.EnvironmentRefused("sums are not rounded to nearest")

    monkeypatch.setattr(environment, "require_sound", refuse)
    assert run("prove a.safetensors --strategy cubic --out certs") == 4
    assert "not rounded to nearest (certkit doctor shows all checks)" in capsys.readouterr().err
    assert not Path("certs").exists()


def test_progress_on_a_terminal_and_elsewhere() -> None:
    terminal = Console(force_terminal=True)
    with terminal.status("begins") as status:
        prove_module._listener("title", status, terminal)(2, 5_000)
        assert str(status.status) == "title, query 2 of 5,000"
        assert isinstance(prove_module._listener("title", status, Console(force_terminal=False)), Lines)
