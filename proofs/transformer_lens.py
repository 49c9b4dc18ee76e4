"""Models saved by TransformerLens, read without TransformerLens.

Two parameter layouts exist. Since October 2022 weights multiply from the right (`Layout.RIGHT`):
``embed.W_E [vocab, d_model]``, ``blocks.0.attn.W_Q [heads, d_model, d_head]``,
``blocks.0.attn.W_O [heads, d_head, d_model]``, ``unembed.W_U [d_model, vocab]``. Its grouped-query variant
stores keys and values as ``_W_K`` and ``_W_V``. Before, in EasyTransformer, weights multiplied from the left
and every matrix was the transpose (`Layout.LEFT`). The shapes say which one a file uses, except where
vocab = n_ctx = d_head; then they fit both, and the caller must say.

Only the model class of these proofs is imported: one layer, one head, no layer norm, no MLP, learned
positions, every bias exactly zero. Anything else is refused by name; nothing is dropped or folded in. A state
dict does not record the scale of the attention scores: it is taken to be TransformerLens's default,
``1/sqrt(d_head)``.
"""

from __future__ import annotations

import enum
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from proofs.model import Model, ModelError

_ATTENTION: Final = "blocks.0.attn."
_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "W_E": ("embed.W_E",),
    "W_pos": ("pos_embed.W_pos",),
    "W_Q": (f"{_ATTENTION}W_Q",),
    "W_K": (f"{_ATTENTION}W_K", f"{_ATTENTION}_W_K"),
    "W_V": (f"{_ATTENTION}W_V", f"{_ATTENTION}_W_V"),
    "W_O": (f"{_ATTENTION}W_O",),
    "W_U": ("unembed.W_U",),
}
_BIASES: Final = (*(f"{_ATTENTION}{b}" for b in ("b_Q", "b_K", "_b_K", "b_V", "_b_V", "b_O")), "unembed.b_U")
_BUFFERS: Final = (f"{_ATTENTION}mask", f"{_ATTENTION}IGNORE")
_REFUSED: Final[tuple[tuple[str, str], ...]] = (
    (r"^blocks\.(?!0\.)", "several layers"),
    (r"(^|\.)(ln\d?|ln1_post|ln2_post|ln_final|q_norm|k_norm)\.", "layer norm"),
    (r"\.mlp\.", "an MLP"),
    (r"rotary|rel_pos|alibi", "positions other than learned ones"),
    (r"\.weight$", "a layout that does not record the number of heads (save HookedTransformer.state_dict())"),
)


_MALFORMED: Final = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)
"""What torch's weights-only reader raises on bytes that are not a state dict."""


class Layout(enum.Enum):
    """How a state dict lays its matrices out."""

    RIGHT = "x @ W"
    """Rows in, columns out: TransformerLens since October 2022."""
    LEFT = "W @ x"
    """Every matrix transposed: EasyTransformer before."""


def _refuse_foreign_names(names: list[str]) -> None:
    known = {source for sources in _SOURCES.values() for source in sources} | {*_BIASES, *_BUFFERS}
    for name in names:
        if name in known:
            continue
        for pattern, what in _REFUSED:
            if re.search(pattern, name):
                raise ModelError(
                    f"{name!r} is part of {what}; the model must be one attention-only layer without it"
                )
        raise ModelError(
            f"{name!r} is no parameter of a one-layer attention-only TransformerLens model; remove it"
        )


def _pick(state: Mapping[str, Tensor], target: str) -> Tensor:
    """The state dict's entry for ``target``, under whichever of its names is present."""
    present = [name for name in _SOURCES[target] if name in state]
    if not present:
        raise ModelError(f"the state dict has no {' or '.join(map(repr, _SOURCES[target]))}")
    if len(present) > 1:
        raise ModelError(f"the state dict has both {' and '.join(map(repr, present))}; keep one")
    return state[present[0]]


def _one_head(target: str, tensor: Tensor) -> Tensor:
    """``tensor`` without its head axis, which must count one head."""
    if tensor.dim() == 3:
        if tensor.shape[0] != 1:
            raise ModelError(
                f"{target} has shape {list(tensor.shape)}: {tensor.shape[0]} heads; the model must have one"
            )
        return tensor[0]
    if tensor.dim() != 2:
        raise ModelError(
            f"{target} has shape {list(tensor.shape)}; it must have two axes, or a leading head axis of 1"
        )
    return tensor


def _check_biases(state: Mapping[str, Tensor]) -> None:
    for name in _BIASES:
        if name in state and not bool((state[name] == 0).all()):
            raise ModelError(
                f"{name} is not zero; these proofs are about models without biases, and none is dropped"
            )


def _check_mask(state: Mapping[str, Tensor], n_ctx: int) -> None:
    """The last position must see every position (a mask of size 0 is built when the model runs)."""
    mask = state.get(f"{_ATTENTION}mask")
    if mask is None or mask.numel() == 0:
        return
    if mask.dim() != 2 or min(mask.shape) < n_ctx or not bool(mask[n_ctx - 1, :n_ctx].all()):
        raise ModelError(
            f"{_ATTENTION}mask hides some of the {n_ctx} positions from the last; it must see them all"
        )


def _fits(tensors: Mapping[str, Tensor], layout: Layout) -> bool:
    """Whether all shapes agree when the matrices are read as ``layout``."""
    shape = {name: tuple(t.shape if layout is Layout.RIGHT else t.mT.shape) for name, t in tensors.items()}
    (vocab, d_model), d_head = shape["W_E"], shape["W_Q"][1]
    inner = all(shape[name] == (d_model, d_head) for name in ("W_Q", "W_K", "W_V"))
    outer = shape["W_U"] == (d_model, vocab) and shape["W_pos"][1] == d_model
    return inner and outer and shape["W_O"] == (d_head, d_model)


def _choose_layout(tensors: Mapping[str, Tensor]) -> Layout:
    fitting = [layout for layout in Layout if _fits(tensors, layout)]
    shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
    if not fitting:
        raise ModelError(f"the shapes agree in neither TransformerLens layout: {shapes}")
    if len(fitting) > 1:
        raise ModelError(f"the shapes fit both layouts; pass layout=Layout.RIGHT or Layout.LEFT: {shapes}")
    return fitting[0]


def from_transformer_lens(state_dict: Mapping[str, Tensor], layout: Layout | None = None) -> Model:
    """The model a TransformerLens state dict holds; the weights are taken over bit for bit.

    Args:
        state_dict: as `HookedTransformer.state_dict()` returns it, in either parameter layout; names may
            carry the prefix ``model.`` that training frameworks add.
        layout: needed only where the shapes fit both layouts.

    Raises:
        ModelError: several layers or heads, layer norm, an MLP, a bias that is not zero, other positions than
            learned ones, shapes that disagree, or anything `Model` refuses.

    >>> eye, row = torch.eye(2), torch.ones(3, 2)
    >>> attention = {f"blocks.0.attn.W_{name}": eye.unsqueeze(0) for name in "QKVO"}
    >>> state = {"embed.W_E": row, "pos_embed.W_pos": torch.ones(5, 2), "unembed.W_U": row.T, **attention}
    >>> from_transformer_lens(state).n_ctx
    5
    """
    prefixed = bool(state_dict) and all(name.startswith("model.") for name in state_dict)
    state = {name.removeprefix("model.") if prefixed else name: value for name, value in state_dict.items()}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{name!r} is a {type(value).__name__}, not a tensor; pass model.state_dict()")
    _refuse_foreign_names(list(state))
    _check_biases(state)
    tensors = {target: _one_head(target, _pick(state, target)) for target in _SOURCES}
    chosen = layout or _choose_layout(tensors)
    if chosen is Layout.LEFT:
        tensors = {name: tensor.mT for name, tensor in tensors.items()}
    model = Model.from_tensors(tensors)
    _check_mask(state, model.n_ctx)
    return model


def _read(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a ``.safetensors`` file or a ``torch.save`` file (never unpickling code)."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(path.read_bytes())
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read the file ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"not a safetensors file ({error})") from error
    except _MALFORMED as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            "not a plain state dict: only tensors are read, never pickled objects; save "
            f"model.state_dict() alone with torch.save or safetensors ({reason[:200]})"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise ModelError(f"it holds a {type(loaded).__name__}, not a state dict; save model.state_dict()")
    return loaded


def load_transformer_lens(path: str | os.PathLike[str], layout: Layout | None = None) -> Model:
    """Read a TransformerLens state dict from a ``.safetensors``, ``.pt``, ``.pth`` or ``.ckpt`` file.

    A checkpoint that wraps the state dict under ``"model"`` or ``"state_dict"`` is unwrapped. Files are read
    with ``weights_only=True``: no code in them is run, and a file that holds other objects is refused.

    Raises:
        ModelError: as `from_transformer_lens`; the message starts with the path.
    """
    try:
        return from_transformer_lens(_read(Path(path)), layout)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
