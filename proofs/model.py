"""The model a proof is about: seven tensors, checked once, here.

A :class:`Model` is a one-layer, one-head, attention-only transformer without layer norm, MLP or biases.
Its weights are float32 tensors whose values are taken as **exact reals**; nothing is rounded on the way in:

* ``F32`` is taken as it is;
* ``BF16`` and ``F16`` are widened to float32, which is exact for every finite value;
* ``F64`` is accepted only where every value is exactly a float32 (nothing is ever rounded silently).

The *model digest* names the weights in a certificate. It is the SHA-256 over, for the tensor names in
sorted order, ``name NUL dtype NUL shape NUL bytes``, where dtype is the safetensors spelling (``F32``,
``BF16`` …), shape is decimal and comma-separated, and bytes are little-endian and row-major. It is the digest
of the tensors **as stored**: the same numbers stored as bfloat16 and as float32 are two models with two
digests. A `Model` remembers the stored dtypes, so that `save_model` followed by `load_model` gives the same
digest back. File metadata and padding are not part of it.

A `Model` is valid by construction. Its tensors are private copies; writing into them in place is a
programming error (the digest would no longer name them, and an auditor would refuse the certificate).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from certkit.atomic import write_atomically
from certkit.display import facts_html, grouped, short_digest

TENSOR_NAMES: Final = ("W_E", "W_K", "W_O", "W_Q", "W_U", "W_V", "W_pos")
"""The tensors of a model, in sorted order (the order of the digest)."""

LAYOUT: Final[Mapping[str, tuple[str, str]]] = {
    "W_E": ("vocab", "d_model"),
    "W_pos": ("n_ctx", "d_model"),
    "W_Q": ("d_model", "d_head"),
    "W_K": ("d_model", "d_head"),
    "W_V": ("d_model", "d_head"),
    "W_O": ("d_head", "d_model"),
    "W_U": ("d_model", "vocab"),
}
"""What the two axes of each tensor are."""

_DTYPES: Final[Mapping[str, torch.dtype]] = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F64": torch.float64,
}
_SPELLING: Final[Mapping[torch.dtype, str]] = {dtype: name for name, dtype in _DTYPES.items()}


_DESERIALIZE: Final[Callable[[bytes], list[tuple[str, dict[str, Any]]]]] = safetensors.deserialize


class ModelError(ValueError):
    """The weights are not a model these proofs are about; the message names the tensor and the remedy."""


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def check_names(names: Iterable[str]) -> None:
    """Raise `ModelError` unless ``names`` are exactly the seven tensor names."""
    given = set(names)
    missing, extra = set(TENSOR_NAMES) - given, given - set(TENSOR_NAMES)
    if any(name.startswith(("embed.", "blocks.")) for name in extra):
        raise ModelError(
            f"found {sorted(extra)[0]!r} and {len(extra) - 1} others: a TransformerLens state dict; "
            "convert it with proofs.from_transformer_lens, then proofs.save_model"
        )
    if missing:
        also = f" (found {_names(extra)} instead)" if extra else ""
        raise ModelError(
            f"missing tensor {_names(missing)}{also}; a model holds exactly {', '.join(TENSOR_NAMES)}"
        )
    if extra:
        raise ModelError(
            f"unexpected tensor {_names(extra)}; a model holds exactly {', '.join(TENSOR_NAMES)}, "
            "and nothing (a bias, say) is added to them"
        )


def check_shapes(tensors: Mapping[str, Tensor]) -> None:
    """Raise `ModelError` unless all shapes agree on one vocab, n_ctx, d_model and d_head, none of them 0."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, axes in LAYOUT.items():
        shape = tuple(tensors[name].shape)
        if len(shape) != 2:
            raise ModelError(f"{name} has shape {list(shape)}; it must be [{', '.join(axes)}]")
        for axis, size in zip(axes, shape, strict=True):
            if size == 0:
                raise ModelError(f"{name} has shape {list(shape)}: {axis} = 0; every size must be at least 1")
            first, where = sizes.setdefault(axis, (size, name))
            if size != first:
                raise ModelError(
                    f"{name} has shape {list(shape)}: {axis} = {size}, but {where} has {axis} = {first}; "
                    f"{name} must be [{', '.join(axes)}]"
                )


def exact_float32(name: str, tensor: Tensor) -> Tensor:
    """The float32 tensor with exactly the values of ``tensor``: a contiguous copy on the CPU.

    Raises:
        ModelError: another dtype, a NaN or infinity, or a float64 that float32 does not hold exactly.
    """
    if tensor.dtype not in _SPELLING:
        raise ModelError(
            f"{name} is {tensor.dtype}; store it as float32 (bfloat16, float16 are accepted too)"
        )
    source = tensor.detach().cpu()
    bad = ~torch.isfinite(source)
    if bool(bad.any()):
        index = bad.nonzero()[0].tolist()
        raise ModelError(
            f"{name}{index} is {source[tuple(index)].item()}; every weight must be a finite number"
        )
    result = source.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    changed = result.to(torch.float64) != source.to(torch.float64)
    if bool(changed.any()):
        index = changed.nonzero()[0].tolist()
        value = source[tuple(index)].item()
        raise ModelError(
            f"{name}{index} = {value!r} is not exactly a float32; round the weights yourself "
            "(tensor.float()), so that the proof is about the rounded model"
        )
    return result


def _stored_bytes(tensor: Tensor, spelling: str) -> bytes:
    """Little-endian row-major bytes of ``tensor`` in the dtype it was widened from."""
    raw = tensor.to(_DTYPES[spelling]).contiguous().view(torch.uint8)
    return raw.numpy().tobytes()


def model_digest(parts: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> str:
    """SHA-256 of ``{name: (dtype spelling, shape, little-endian row-major bytes)}``, names in sorted order.

    >>> model_digest({"W_E": ("F32", (1, 1), bytes(4))})[:16]
    'e36cd20d03aa07f0'
    """
    digest = hashlib.sha256()
    for name in sorted(parts):
        dtype, shape, data = parts[name]
        digest.update(f"{name}\0{dtype}\0{','.join(map(str, shape))}\0".encode("ascii"))
        digest.update(data)
    return digest.hexdigest()


@attrs.frozen(eq=False)
class Model:
    """A one-layer, one-head, attention-only transformer; sizes are read from the shapes.

    Construct it from tensors of any accepted dtype; they are checked, copied and widened to float32. Two
    models are equal when their digests are.

    Attributes:
        W_E: token embedding, ``[vocab, d_model]``.
        W_pos: position embedding, ``[n_ctx, d_model]``.
        W_Q: query weights, ``[d_model, d_head]`` (likewise ``W_K``, ``W_V``).
        W_O: output weights, ``[d_head, d_model]``.
        W_U: unembedding, ``[d_model, vocab]``.
        stored: the dtype each tensor is stored in (safetensors spelling), in the order of ``TENSOR_NAMES``.
        sha256: the model digest.

    Raises:
        ModelError: sizes that disagree or are 0, NaN or infinity, a dtype that is not accepted.

    >>> one = torch.ones(1, 1)
    >>> Model(W_E=one, W_pos=one, W_Q=one, W_K=one, W_V=one, W_O=one, W_U=one)
    Model(vocab=1, n_ctx=1, d_model=1, d_head=1, sha256='f703a3f23f02…')
    """

    W_E: Tensor
    W_pos: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_U: Tensor
    stored: tuple[str, ...] = attrs.field(init=False)
    sha256: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        given = self.tensors()
        check_shapes(given)
        exact = {name: exact_float32(name, tensor) for name, tensor in given.items()}
        stored = {name: _SPELLING[tensor.dtype] for name, tensor in given.items()}
        for name, tensor in exact.items():
            object.__setattr__(self, name, tensor)
        object.__setattr__(self, "stored", tuple(stored[name] for name in TENSOR_NAMES))
        parts = {n: (stored[n], tuple(t.shape), _stored_bytes(t, stored[n])) for n, t in exact.items()}
        object.__setattr__(self, "sha256", model_digest(parts))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Model:
        """The model with these named tensors, exactly the seven of ``TENSOR_NAMES``.

        Raises:
            ModelError: a missing or extra name, or anything the constructor refuses.
        """
        check_names(tensors)
        return cls(**tensors)

    def tensors(self) -> dict[str, Tensor]:
        """The seven tensors by name, in the order of ``TENSOR_NAMES``."""
        return {name: getattr(self, name) for name in TENSOR_NAMES}

    @property
    def vocab(self) -> int:
        """V, the number of tokens."""
        return self.W_E.shape[0]

    @property
    def n_ctx(self) -> int:
        """K, the sequence length."""
        return self.W_pos.shape[0]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.W_E.shape[1]

    @property
    def d_head(self) -> int:
        """Width of the attention head."""
        return self.W_Q.shape[1]

    @property
    def total(self) -> int:
        """Number of input sequences, ``vocab ** n_ctx``."""
        return int(self.vocab**self.n_ctx)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        sizes = f"vocab={self.vocab}, n_ctx={self.n_ctx}, d_model={self.d_model}, d_head={self.d_head}"
        return f"Model({sizes}, sha256='{short_digest(self.sha256)}')"

    def _repr_html_(self) -> str:
        parameters = sum(getattr(self, name).numel() for name in TENSOR_NAMES)
        facts = [
            ("tokens", f"{self.vocab}, in sequences of {self.n_ctx} ({grouped(self.total)} of them)"),
            ("widths", f"d_model {self.d_model}, d_head {self.d_head}"),
            ("weights", grouped(parameters)),
            ("digest", short_digest(self.sha256)),
        ]
        return facts_html("Model: one layer, one head, attention only", facts)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, refused where it names a key twice (the safetensors library would keep the last)."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ModelError(
            f"the file's header names {twice!r} twice; save the model again with proofs.save_model"
        )
    return result


def _check_header(data: bytes) -> None:
    """Raise `ModelError` where the header of a safetensors file that the library accepts is ambiguous."""
    length = int.from_bytes(data[:8], "little")
    json.loads(data[8 : 8 + length], object_pairs_hook=_unique)


def parse_model(data: bytes) -> Model:
    """The model in the bytes of a safetensors file.

    Raises:
        ModelError: the bytes are not safetensors, or the tensors are not a model.
    """
    try:
        entries = dict(_DESERIALIZE(data))
    except safetensors.SafetensorError as error:
        raise ModelError(f"not a safetensors file ({error}); save models with proofs.save_model") from error
    _check_header(data)
    check_names(entries)
    tensors = {}
    for name, entry in entries.items():
        if entry["dtype"] not in _DTYPES:
            raise ModelError(
                f"{name} is {entry['dtype']}; store it as float32 (F32; BF16 and F16 are accepted too)"
            )
        shape = list(entry["shape"])
        raw = (
            torch.frombuffer(bytearray(entry["data"]), dtype=_DTYPES[entry["dtype"]])
            if entry["data"]
            else torch.empty(0)
        )
        tensors[name] = raw.reshape(shape)
    return Model.from_tensors(tensors)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model from a safetensors file and check all of it.

    Raises:
        ModelError: the file cannot be read or is not a model; the message starts with the path.
    """
    try:
        return parse_model(Path(path).read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error.strerror or error})") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def load_notes(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file: remarks of whoever wrote it, no part of the model.

    Raises:
        ModelError: the file cannot be read or is not safetensors.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error}); delete it") from error


def model_bytes(model: Model, notes: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file of ``model``, dtypes as stored: the same model and notes give the same bytes."""
    pairs = zip(model.tensors().items(), model.stored, strict=True)
    entries = {name: tensor.to(_DTYPES[stored]) for (name, tensor), stored in pairs}
    return bytes(safetensors.torch.save(entries, {"task": "max-of-k", **(notes or {})}))


def save_model(model: Model, path: str | os.PathLike[str], notes: Mapping[str, str] | None = None) -> None:
    """Write ``model`` as safetensors in its stored dtypes, atomically: the file is complete or not there.

    Args:
        model: what to write.
        path: where; missing parent folders are made.
        notes: remarks kept in the file's metadata; they are no part of the model's digest.

    Raises:
        OSError: the folder cannot be written or the disk is full; an older file is then untouched.
    """
    write_atomically(path, model_bytes(model, notes))
