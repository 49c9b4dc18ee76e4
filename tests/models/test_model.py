"""A model is checked completely when it is loaded, and its digest is that of the published definition."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from proofs import Model, ModelError, load_model, save_model
from proofs.model import TENSOR_NAMES, model_bytes, model_digest, parse_model

SHAPES = {
    "W_E": (5, 4),
    "W_pos": (3, 4),
    "W_Q": (4, 2),
    "W_K": (4, 2),
    "W_V": (4, 2),
    "W_O": (2, 4),
    "W_U": (4, 5),
}


def weights(dtype: torch.dtype = torch.float32, **replace: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in SHAPES.items()}
    return made | replace


def digest_by_definition(data: bytes) -> str:
    """The model digest from the raw bytes of a safetensors file, written from its definition alone."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    sha = hashlib.sha256()
    for name in sorted(header):
        start, end = header[name]["data_offsets"]
        shape = ",".join(str(size) for size in header[name]["shape"])
        sha.update(name.encode() + b"\0" + header[name]["dtype"].encode() + b"\0" + shape.encode() + b"\0")
        sha.update(data[8 + length + start : 8 + length + end])
    return sha.hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_round_trip_keeps_values_dtypes_and_digest(tmp_path: Path, dtype: torch.dtype) -> None:
    given_weights = weights(dtype)
    model = Model.from_tensors(given_weights)
    path = tmp_path / "new folder" / "model.safetensors"
    save_model(model, path)
    again = load_model(path)
    assert again == model
    assert hash(again) == hash(model)
    assert again.sha256 == digest_by_definition(path.read_bytes())
    for name in TENSOR_NAMES:
        loaded = getattr(again, name)
        assert loaded.dtype == torch.float32
        assert torch.equal(loaded.double(), given_weights[name].double())
    assert (model.vocab, model.n_ctx, model.d_model, model.d_head, model.total) == (5, 3, 4, 2, 125)


def test_the_stored_dtype_is_part_of_the_digest() -> None:
    half = weights(torch.float16)
    as_half = Model.from_tensors(half)
    as_float = Model.from_tensors({name: tensor.float() for name, tensor in half.items()})
    assert torch.equal(as_half.W_E, as_float.W_E)
    assert as_half != as_float
    assert as_half != "another thing"


def test_dtypes_may_be_mixed_and_metadata_is_not_hashed() -> None:
    mixed = weights(W_E=weights(torch.bfloat16)["W_E"], W_pos=weights()["W_pos"].double())
    model = Model.from_tensors(mixed)
    plain = parse_model(safetensors.torch.save(mixed))
    noted = parse_model(safetensors.torch.save(mixed, {"note": "trained on a rainy day"}))
    assert model == plain == noted
    assert dict(zip(TENSOR_NAMES, model.stored, strict=True))["W_pos"] == "F64"


def test_the_digest_does_not_depend_on_the_order_of_the_tensors() -> None:
    parts = {name: ("F32", tuple(t.shape), t.numpy().tobytes()) for name, t in weights().items()}
    backwards = dict(sorted(parts.items(), reverse=True))
    assert model_digest(backwards) == Model.from_tensors(weights()).sha256


def test_the_same_model_gives_the_same_bytes() -> None:
    model = Model.from_tensors(weights())
    assert model_bytes(model) == model_bytes(parse_model(model_bytes(model)))


def test_a_model_owns_its_tensors() -> None:
    given_weights = weights()
    model = Model.from_tensors(given_weights)
    before = model.W_E.clone()
    given_weights["W_E"].zero_()
    assert torch.equal(model.W_E, before)
    viewed = Model.from_tensors(weights(W_Q=torch.randn(2, 4).T))
    assert viewed.W_Q.is_contiguous()


def test_k_1_and_v_1_are_models() -> None:
    one = torch.ones(1, 1)
    model = Model.from_tensors(dict.fromkeys(TENSOR_NAMES, one))
    assert (model.vocab, model.n_ctx, model.total) == (1, 1, 1)


def test_subnormals_survive() -> None:
    tiny = torch.full((4, 2), 2.0**-149)
    assert Model.from_tensors(weights(W_Q=tiny)).W_Q[0, 0].item() == 2.0**-149
    tiny_half = torch.full((4, 2), 2.0**-24, dtype=torch.float16)
    assert Model.from_tensors(weights(W_Q=tiny_half)).W_Q[0, 0].item() == 2.0**-24


NAN, INF = float("nan"), float("inf")
BAD = {
    "missing": (lambda w: {k: v for k, v in w.items() if k != "W_V"}, r"missing tensor 'W_V'"),
    "renamed": (lambda w: {("W_P" if k == "W_pos" else k): v for k, v in w.items()}, r"found 'W_P' instead"),
    "extra": (lambda w: w | {"ln.w": torch.ones(2)}, r"unexpected tensor 'ln.w'"),
    "empty file": (lambda w: {}, r"missing tensor"),
    "transformer_lens": (lambda w: w | {"blocks.0.attn.W_Q": torch.ones(1)}, r"from_transformer_lens"),
    "nan": (lambda w: w | {"W_E": torch.full((5, 4), NAN)}, r"W_E\[0, 0\] is nan"),
    "inf": (lambda w: w | {"W_U": w["W_U"].index_fill(1, torch.tensor(4), INF)}, r"W_U\[0, 4\] is inf"),
    "inf half": (lambda w: w | {"W_U": w["W_U"].half().index_fill(1, torch.tensor(0), -INF)}, r"is -inf"),
    "float64": (
        lambda w: w | {"W_O": torch.full((2, 4), 0.1, dtype=torch.float64)},
        r"W_O\[0, 0\] = 0\.1 is not",
    ),
    "float64 too big": (lambda w: w | {"W_O": torch.full((2, 4), 1e300, dtype=torch.float64)}, r"1e\+300"),
    "integers": (lambda w: w | {"W_O": torch.ones(2, 4, dtype=torch.int32)}, r"W_O is .*(I32|int32)"),
    "one axis": (
        lambda w: w | {"W_pos": torch.ones(12)},
        r"W_pos has shape \[12\]; it must be \[n_ctx, d_model\]",
    ),
    "scalar": (lambda w: w | {"W_pos": torch.tensor(1.0)}, r"W_pos has shape \[\]"),
    "heads": (lambda w: w | {"W_Q": torch.ones(1, 4, 2)}, r"W_Q has shape \[1, 4, 2\]"),
    "vocab": (
        lambda w: w | {"W_U": torch.ones(4, 6)},
        r"W_U has shape \[4, 6\]: vocab = 6, but W_E has vocab = 5",
    ),
    "d_model": (lambda w: w | {"W_pos": torch.ones(3, 5)}, r"W_pos .* d_model = 5, but W_E has d_model = 4"),
    "d_head": (lambda w: w | {"W_O": torch.ones(3, 4)}, r"W_O .* d_head = 3, but W_Q has d_head = 2"),
    "no positions": (lambda w: w | {"W_pos": torch.ones(0, 4)}, r"n_ctx = 0; every size must be at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_weights_are_refused_by_name(tmp_path: Path, case: str) -> None:
    edit, message = BAD[case]
    path = tmp_path / "bad.safetensors"
    safetensors.torch.save_file({k: v.contiguous() for k, v in edit(weights()).items()}, path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    data = model_bytes(Model.from_tensors(weights()))
    for name, content in {"cut": data[:-1], "longer": data + b"\0", "text": b"hello", "empty": b""}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a safetensors file"):
            load_model(path)
    with pytest.raises(ModelError, match="cannot read the model"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="cannot read the model"):
        load_model(tmp_path)


def _with_header(header: str, body: bytes) -> bytes:
    raw = header.encode()
    return struct.pack("<Q", len(raw)) + raw + body


@pytest.mark.parametrize("dtype", ["F8_E4M3", "BOOL", "NEW"])
def test_foreign_dtypes_are_refused(dtype: str) -> None:
    data = model_bytes(Model.from_tensors(weights()))
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header["W_pos"]["dtype"] = dtype
    with pytest.raises(ModelError):
        parse_model(_with_header(json.dumps(header), data[8 + length :]))


def test_a_name_given_twice_is_refused() -> None:
    """A header that names one tensor twice must not load as a model whose digest another reader disputes."""
    data = model_bytes(Model.from_tensors(weights()))
    length = struct.unpack("<Q", data[:8])[0]
    text = data[8 : 8 + length].decode().rstrip()
    doubled = text[:-1] + ',"W_E":{"dtype":"F32","shape":[5,4],"data_offsets":[0,80]}}'
    with pytest.raises(ModelError, match="'W_E' twice"):
        parse_model(_with_header(doubled, data[8 + length :]))


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_every_flipped_bit_changes_the_digest_or_is_refused(position: int, bit: int) -> None:
    data = bytearray(model_bytes(Model.from_tensors(weights())))
    original = parse_model(bytes(data))
    length = struct.unpack("<Q", bytes(data[:8]))[0]
    data[8 + length + position % (len(data) - 8 - length)] ^= 1 << bit
    try:
        changed = parse_model(bytes(data))
    except ModelError:
        return
    assert changed.sha256 != original.sha256


def test_saving_into_a_file_fails_and_changes_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        save_model(Model.from_tensors(weights()), blocked / "model.safetensors")
    assert blocked.read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.shared
def test_reference_models_load(reference_dir: Path) -> None:
    sizes = {p.stem: load_model(p) for p in reference_dir.glob("*.safetensors")}
    assert (sizes["k4-v64-a"].vocab, sizes["k4-v64-a"].n_ctx) == (64, 4)
    assert sizes["unsound_mean_diff"].d_model == 8
    for path in reference_dir.glob("*.safetensors"):
        assert load_model(path).sha256 == digest_by_definition(path.read_bytes())
