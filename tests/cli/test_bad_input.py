"""Bad input, one row each: a clear line on stderr, the documented exit code, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from certkit.certificate import Certificate, Claim
from certkit.cli.exits import CliError, Exit
from certkit.cli.kinds import is_certificate
from certkit.cli.main import main
from certkit.cli.train import parse_seeds
from certkit.content import CertifiedSet, full_content
from proofs.model import Model, save_model

ROOT = Path(__file__).resolve().parents[2]


def tiny_model(seed: int = 0, vocab: int = 3, n_ctx: int = 2, width: int = 4) -> Model:
    """A random model; what it computes does not matter here."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Model(
        W_E=draw(vocab, width),
        W_pos=draw(n_ctx, width),
        W_Q=draw(width, width),
        W_K=draw(width, width),
        W_V=draw(width, width),
        W_O=draw(width, width),
        W_U=draw(width, vocab),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good and bad files."""
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    save_model(model, "good.safetensors")
    Path("other").mkdir()
    save_model(tiny_model(1), "other/good.safetensors")
    _bad_weights()
    Path("hollow").mkdir()
    Path("empty").write_bytes(b"")
    Path("text").write_text("hello")
    Path("cut.safetensors").write_bytes(Path("good.safetensors").read_bytes()[:-3])
    content = CertifiedSet(2, 3, (full_content(0, 0, 2),))
    Certificate(Claim(2, 3, model.sha256, content.correct_at_least), "none", 1, content).save("good.cert")
    Path("cut.cert").write_bytes(Path("good.cert").read_bytes()[:-9])
    Path("edited.cert").write_bytes(Path("good.cert").read_bytes().replace(b'"vocab":3', b'"vocab":4'))
    return tmp_path


def _bad_weights() -> None:
    """Files that are safetensors, but no models."""
    good = safetensors.torch.load_file("good.safetensors")
    bad: dict[str, dict[str, torch.Tensor]] = {
        "nan": {"W_E": torch.full((3, 4), torch.nan)},
        "wide": {"W_U": torch.zeros(4, 7)},
        "biased": {"b_U": torch.ones(3)},
        "lens": {"blocks.0.attn.b_Q": torch.ones(4)},
        "none": {"W_E": torch.zeros(0, 4), "W_U": torch.zeros(4, 0)},
    }
    for name, changed in bad.items():
        safetensors.torch.save_file(good | changed, f"{name}.safetensors")


_MODEL_NOT = "good.safetensors is a model, not a certificate;"
_CERTIFICATE_NOT = "good.cert is a certificate, not a model;"

TABLE: list[tuple[str, int, str]] = [
    # command line, exit code, what stderr must name
    ("prov good.safetensors", 2, "did you mean 'prove'"),
    ("prove", 2, "no model given"),
    ("prove absent.safetensors", 2, "absent.safetensors"),
    ("prove other", 2, "other is a folder; name the files in it"),
    ("prove hollow", 2, "hollow is a folder; it holds no"),
    ("prove *.safetensor", 2, "*.safetensor: no such file"),
    ("prove nan.safetensors", 2, "nan.safetensors: W_E[0, 0] is nan"),
    ("prove wide.safetensors", 2, "wide.safetensors: W_U has shape [4, 7]"),
    ("prove biased.safetensors", 2, "biased.safetensors: unexpected tensor 'b_U'"),
    ("prove lens.safetensors", 2, "from_transformer_lens"),
    ("prove none.safetensors", 2, "none.safetensors: W_E has shape [0, 4]"),
    ("prove text", 2, "text"),
    ("prove empty", 2, "empty"),
    ("prove cut.safetensors", 2, "cut.safetensors"),
    ("prove good.safetensors --strategy cubick", 2, "did you mean 'cubic'"),
    ("prove good.safetensors --strategy zzz*", 2, "zzz*"),
    ("prove good.safetensors --semantics complex", 2, "complex"),
    ("prove good.safetensors --strategie cubic", 2, "--strategie"),
    ("prove good.safetensors --out text", 2, "text"),
    ("prove good.safetensors --threads 0", 2, "--threads 0"),
    ("prove good.safetensors --out text/below", 4, "text"),
    ("prove good.safetensors --out /proc/certs", 4, "/proc/certs"),
    ("prove good.safetensors other/good.safetensors", 2, "same name"),
    ("show", 2, "CERTIFICATE"),
    ("show absent.cert", 2, "absent.cert"),
    ("show empty", 2, "empty"),
    ("show other", 2, "other is a folder; name a certificate in it"),
    ("show cut.cert", 2, "cut.cert"),
    ("show edited.cert", 2, "edited.cert"),
    ("show good.cert --content --json", 2, "--json"),
    ("show good.cert good.cert", 2, "good.cert"),
    ("strategies extra", 2, "extra"),
    ("audit good.safetensors good.cert", 2, f"{_MODEL_NOT} write certkit audit CERT… MODEL"),
    ("audit good.cert good.safetensors good.cert", 2, f"{_MODEL_NOT} write certkit audit CERT… MODEL"),
    ("audit --jobs 2 good.safetensors good.cert --json", 2, f"{_MODEL_NOT} write certkit audit"),
    ("audit good.safetensors good.safetensors", 2, f"{_MODEL_NOT} write certkit audit CERT… MODEL"),
    ("audit good.cert good.cert", 2, f"{_CERTIFICATE_NOT} write certkit audit CERT… MODEL"),
    ("attack good.safetensors good.cert", 2, f"{_MODEL_NOT} write certkit attack CERT MODEL"),
    ("attack good.cert good.cert", 2, f"{_CERTIFICATE_NOT} write certkit attack CERT MODEL"),
    ("explain good.safetensors good.cert", 2, f"{_MODEL_NOT} write certkit explain CERT MODEL"),
    ("explain good.cert good.cert", 2, f"{_CERTIFICATE_NOT} write certkit explain CERT MODEL"),
    ("show good.safetensors", 2, f"{_MODEL_NOT} certkit prove good.safetensors makes one"),
    ("diff good.cert good.safetensors", 2, f"{_MODEL_NOT} certkit prove good.safetensors makes one"),
    ("combine good.safetensors good.cert --out c", 2, f"{_MODEL_NOT} certkit prove"),
    ("prove good.cert", 2, f"{_CERTIFICATE_NOT} certkit prove takes models"),
    ("sweep good.safetensors good.cert", 2, f"{_CERTIFICATE_NOT} certkit sweep takes models"),
    ("attack good.cert other/good.safetensors", 2, "is about model"),
    ("attack good.cert good.safetensors --tries -1", 2, "--tries -1"),
    ("explain good.cert other/good.safetensors", 2, "is about model"),
    ("sweep", 2, "no model given"),
    ("sweep hollow", 2, "hollow is a folder"),
    ("sweep good.safetensors absent.safetensors", 2, "absent.safetensors: no such file"),
    ("sweep good.safetensors --workers 1 --scheduler x", 2, "--scheduler"),
    ("sweep good.safetensors --workers 0", 2, "workers=0"),
    ("sweep good.safetensors --seconds 0", 2, "--seconds 0"),
    ("sweep good.safetensors --megabytes 5", 2, "--megabytes 5"),
    ("sweep good.safetensors --strategy cubick", 2, "did you mean 'cubic'"),
    ("sweep good.safetensors --out text", 2, "text"),
    ("report absent", 2, "holds no sweep"),
    ("doctor --verbose", 2, "--verbose"),
    ("train --k 0 --vocab 4 --steps 1 --seeds 0 --out m", 2, "--k 0: it must be at least 1"),
    ("train --k 2 --vocab 0 --steps 1 --out m", 2, "--vocab 0: it must be at least 1"),
    ("train --k 2 --vocab 4 --seeds=-1 --out m", 2, "--seeds '-1'"),
    ("train --k x --vocab 4", 2, "x"),
    ("train --k 2 --vocab 4 --seeds 3-1 --out m", 2, "3-1"),
    ("train --k 2 --vocab 4 --seeds a --out m", 2, "'a'"),
    ("train --k 2 --vocab 4 --seeds 0 --steps 0 --out m", 2, "--steps 0: it must be at least 1"),
    ("train --k 2 --vocab 4 --seeds 0 --steps 1 --out /proc/models", 4, "/proc/models"),
    ("train --k 2 --vocab 4 --seeds 0 --steps 1 --out text", 2, "text"),
    ("train --k 2 --vocab 4 --seeds 0 --steps 1 --out m --device quantum", 2, "quantum"),
]


@pytest.mark.parametrize(("line", "code", "named"), TABLE, ids=[row[0] for row in TABLE])
def test_bad_input(
    line: str, code: int, named: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == code
    printed = capsys.readouterr()
    message = [text for text in printed.err.splitlines() if text.startswith("certkit: ")]
    assert len(message) == 1, printed.err
    assert named in message[0]
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_seeds_are_numbers_and_ranges_up_to_a_limit() -> None:
    assert parse_seeds("3-3,1, 8-10") == [1, 3, 8, 9, 10]
    assert len(parse_seeds("0-9999")) == 10_000
    with pytest.raises(CliError, match="10001 seeds at once"):
        parse_seeds("0-10000")


@pytest.mark.parametrize("line", ["audit good.cert good.safetensors", "audit text good.safetensors"])
def test_files_in_the_right_order_reach_the_auditor(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Telling files apart is for messages: nothing is refused or accepted by it."""
    Path("7").write_bytes(Path("good.safetensors").read_bytes())
    for options in ("", " --jobs 7", " --json", " --sample 7 --json"):
        main((line + options).split())
        printed = capsys.readouterr()
        assert printed.err == ""
        assert "verdict" in printed.out


def test_a_pipe_is_left_to_its_reader(folder: Path) -> None:
    """Looking at the first bytes of a pipe would take them away."""
    os.mkfifo("pipe")
    read, written = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK), os.open("pipe", os.O_WRONLY)
    os.write(written, Path("good.cert").read_bytes())
    assert not is_certificate("pipe")
    assert os.read(read, 11) == b'{"certkit":'
    os.close(read), os.close(written)


def test_interrupted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("certkit.cli.app.run", interrupt)
    assert main(["prove", "good.safetensors"]) == Exit.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ValueError("plain"), TypeError("t"), AssertionError(), ZeroDivisionError()]
)
def test_a_defect_of_ours_shows_its_traceback_and_never_looks_like_an_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr("certkit.cli.app.run", fail)
    assert main(["prove"]) == Exit.DEFECT
    assert "Traceback" in capsys.readouterr().err


def test_an_error_that_nobody_can_be_told_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    assert main(["prove", "nowhere"]) == Exit.USAGE
    monkeypatch.setattr("certkit.cli.main._dispatch", lambda _: [][0])
    assert main(["prove"]) == Exit.DEFECT


def test_a_closed_output_is_no_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["audit", str(tmp_path / "no.cert"), str(tmp_path / "no.safetensors")]) == Exit.USAGE


def _program(*arguments: str, stdout: int, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "certkit.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, env=environment, timeout=120, check=False
    )


def _full_device() -> int:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    return os.open("/dev/full", os.O_WRONLY)


def _pipe_nobody_reads() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(
    ("make", "code", "named"),
    [(_full_device, Exit.ENVIRONMENT, b"disk is full"), (_pipe_nobody_reads, Exit.INTERRUPTED, b"")],
)
def test_output_that_cannot_be_written_is_not_success(
    make: Callable[[], int], code: int, named: bytes, tmp_path: Path
) -> None:
    stdout = make()
    done = _program("strategies", "--json", stdout=stdout, cwd=tmp_path)
    os.close(stdout)
    assert done.returncode == code, done.stderr
    assert named in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
