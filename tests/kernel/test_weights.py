"""What the auditor refuses in a weights file, and the number formats it reads."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from certkit.fileformat import encode
from certkit.kernel import audit
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import read_weights
from proofs.model import Model, save_model
from tests.kernel.test_refusals import DATA, MODEL, STATEMENT, Document, edited, judge, set_field
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, saved, write
from tests.support.models import Kind, Sizes, tiny_model


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(MODEL, tmp_path_factory.mktemp("model"))


def test_another_model_is_refuted(tmp_path: Path) -> None:
    other = saved(tiny_model(Kind.SKILLED, Sizes(4, 3), 2), tmp_path)
    verdict = judge(DATA, other, tmp_path)
    assert (verdict.verdict, verdict.rule, verdict.exit_code) == ("refuted", "model", 1)


def test_every_flipped_bit_of_a_tensor_is_refused(model_path: str, tmp_path: Path) -> None:
    raw = Path(model_path).read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    rng = random.Random(2)
    for place in rng.sample(range(8 * start, 8 * len(raw)), 200):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "m").write_bytes(flipped)
        verdict = judge(DATA, str(tmp_path / "m"), tmp_path)
        assert (verdict.verdict, verdict.rule) in (("refuted", "model"), ("refused", "model")), verdict


def _rewritten(raw: bytes, change: Callable[[Document], object], tail: bytes = b"") -> bytes:
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + raw[8 + size :] + tail


def _shape(name: str, shape: object) -> Callable[[Document], object]:
    return set_field(name, "shape", value=shape)


BAD_MODELS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "seven bytes": lambda raw: raw[:7],
    "header cut": lambda raw: raw[:40],
    "header too long": lambda raw: struct.pack("<Q", 1 << 62) + raw[8:],
    "data cut": lambda raw: raw[:-1],
    "data longer": lambda raw: raw + b"\0",
    "header a list": lambda raw: struct.pack("<Q", 2) + b"[]",
    "header not json": lambda raw: struct.pack("<Q", 2) + b"{x",
    "tensor missing": lambda raw: _rewritten(raw, lambda h: h.pop("W_E")),
    "tensor more": lambda raw: _rewritten(raw, set_field("b_U", value={})),
    "no dtype": lambda raw: _rewritten(raw, lambda h: h["W_E"].pop("dtype")),
    "dtype a list": lambda raw: _rewritten(raw, set_field("W_E", "dtype", value=["F32"])),
    "dtype I32": lambda raw: _rewritten(raw, set_field("W_E", "dtype", value="I32")),
    "dtype F16": lambda raw: _rewritten(raw, set_field("W_E", "dtype", value="F16")),
    "shape a vector": lambda raw: _rewritten(raw, _shape("W_E", [16])),
    "shape a bool": lambda raw: _rewritten(raw, _shape("W_E", [16, True])),
    "shape negative": lambda raw: _rewritten(raw, _shape("W_E", [-4, -4])),
    "shape empty": lambda raw: _rewritten(raw, _shape("W_E", [0, 4])),
    "shape huge": lambda raw: _rewritten(raw, _shape("W_E", [1 << 40, 1 << 40])),
    "shape smaller": lambda raw: _rewritten(raw, _shape("W_E", [2, 4])),
    "offsets overlap": lambda raw: _rewritten(raw, lambda h: _move(h, -1)),
    "offsets a hole": lambda raw: _rewritten(raw, lambda h: _move(h, 1)),
    "offsets shifted": lambda raw: _rewritten(raw, _shift_one),
    "offsets backwards": lambda raw: _rewritten(raw, set_field("W_E", "data_offsets", value=[64, 0])),
    "a NaN": lambda raw: raw[:-4] + struct.pack("<f", float("nan")),
    "an infinity": lambda raw: raw[:-4] + struct.pack("<f", float("inf")),
}


def _shift_one(header: Document) -> None:
    """One tensor begins before the last one ends and leaves a hole behind; the file is as long as before."""
    header.pop("__metadata__", None)
    tensors = sorted(header.values(), key=lambda tensor: tensor["data_offsets"])
    tensors[2]["data_offsets"] = [place - 4 for place in tensors[2]["data_offsets"]]


def _move(header: Document, by: int) -> None:
    header.pop("__metadata__", None)
    for tensor in header.values():
        start, stop = tensor["data_offsets"]
        tensor["data_offsets"] = [start + by if start else start, stop + by]


@pytest.mark.parametrize("name", BAD_MODELS)
def test_models_that_are_none(name: str, model_path: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(BAD_MODELS[name](Path(model_path).read_bytes()))
    verdict = judge(DATA, str(tmp_path / "m"), tmp_path)
    assert (verdict.verdict, verdict.exit_code) == ("refused", 2), verdict
    assert verdict.rule in ("model", "json", "schema")


def test_sides_from_one_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tiny_model(Kind.GAUSSIAN, Sizes(1, 1, 1, 1), 1), tmp_path)
    monkeypatch.setattr("certkit.kernel.weights.MAX_SIDE", 1)
    assert read_weights(path).matrices["W_E"].rows[0][0] != 0
    path = saved(tiny_model(Kind.GAUSSIAN, Sizes(5, 3, 2, 2), 1), tmp_path)
    for limit in (5, 4):
        monkeypatch.setattr("certkit.kernel.weights.MAX_SIDE", limit)
        if limit == 5:
            assert len(read_weights(path).matrices["W_E"].rows) == 5
        else:
            with pytest.raises(Finding, match="1 to 4 rows"):
                read_weights(path)


def test_shapes_that_do_not_fit_together(tmp_path: Path) -> None:
    """A file whose tensors are each fine, sealed into a certificate under its own digest."""
    raw = Path(saved(MODEL, tmp_path)).read_bytes()
    (tmp_path / "m").write_bytes(_rewritten(raw, _shape("W_U", [2, 8])))
    change = set_field(STATEMENT, "model", value=read_weights(str(tmp_path / "m")).sha256)
    verdict = judge(edited(change), str(tmp_path / "m"), tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "model")


def test_more_sequences_than_python_prints(tmp_path: Path) -> None:
    import torch

    tensors = {name: torch.zeros(1, 1) for name in ("W_Q", "W_K", "W_V", "W_O")}
    model = Model(W_E=torch.zeros(4096, 1), W_pos=torch.zeros(4096, 1), W_U=torch.zeros(1, 4096), **tensors)
    change = set_field(STATEMENT, "model", value=model.sha256)
    verdict = judge(edited(change), saved(model, tmp_path), tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "model")


@pytest.mark.parametrize("missing", ["certificate", "model"])
def test_files_that_are_not_there(missing: str, model_path: str, tmp_path: Path) -> None:
    cert = write(DATA, tmp_path)
    absent = str(tmp_path / "absent")
    verdict = audit(
        absent if missing == "certificate" else cert, absent if missing == "model" else model_path
    )
    assert (verdict.verdict, verdict.rule) == ("refused", "read")
    assert audit(str(tmp_path), model_path).verdict == "refused"  # a folder


@pytest.mark.parametrize("room", ["reader", "weights"])
def test_files_over_the_limit_are_not_read(
    room: str, model_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA if room == "reader" else Path(model_path).read_bytes()
    monkeypatch.setattr(f"certkit.kernel.{room}.MAX_BYTES", len(data))
    assert judge(DATA, model_path, tmp_path).verdict == "verified"
    monkeypatch.setattr(f"certkit.kernel.{room}.MAX_BYTES", len(data) - 1)
    verdict = judge(DATA, model_path, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "read")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_number_formats_are_the_reals_they_hold(dtype: str, tmp_path: Path) -> None:
    import torch

    names = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U")
    tensors = {name: getattr(MODEL, name).to(torch.bfloat16).to(getattr(torch, dtype)) for name in names}
    if dtype == "float16":
        tensors = {name: tensor.clamp(-60000, 60000) for name, tensor in tensors.items()}
    model = Model(**tensors)
    save_model(model, tmp_path / "m")
    verdict = judge(encode(certificate(model, whole_content(model), True)), str(tmp_path / "m"), tmp_path)
    assert verdict.verdict == "verified", verdict


def test_float64_that_is_not_float32_is_refused(tmp_path: Path) -> None:
    import safetensors.torch
    import torch

    names = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U")
    for number in (0.1, 1e300):
        tensors = {name: getattr(MODEL, name).double() for name in names}
        tensors["W_E"][0, 0] = number
        safetensors.torch.save_file(tensors, tmp_path / "m")
        verdict = judge(DATA, str(tmp_path / "m"), tmp_path)
        assert (verdict.verdict, verdict.rule) == ("refused", "model")
        assert verdict.where == "tensor W_E is float64 and not exactly float32"
    assert torch.is_tensor(tensors["W_E"])
