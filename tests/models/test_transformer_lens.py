"""TransformerLens state dicts: both layouts are read exactly, any other model is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from proofs import Model, ModelError
from proofs.transformer_lens import Layout, from_transformer_lens, load_transformer_lens

V, K, D, H = 7, 3, 5, 4
ATTN = "blocks.0.attn."


def original(d: int = D, v: int = V, k: int = K, h: int = H) -> Model:
    generator = torch.Generator().manual_seed(1)
    shapes = {"W_E": (v, d), "W_pos": (k, d), "W_O": (h, d), "W_U": (d, v)} | dict.fromkeys(
        ("W_Q", "W_K", "W_V"), (d, h)
    )
    return Model.from_tensors({n: torch.randn(s, generator=generator) for n, s in shapes.items()})


def right(model: Model) -> dict[str, Tensor]:
    """A state dict as HookedTransformer writes it: zero biases, causal mask, heads in front."""
    k, h, d, v = model.n_ctx, model.d_head, model.d_model, model.vocab
    return {
        "embed.W_E": model.W_E,
        "pos_embed.W_pos": model.W_pos,
        **{f"{ATTN}{n}": getattr(model, n).unsqueeze(0) for n in ("W_Q", "W_K", "W_V", "W_O")},
        **{f"{ATTN}{n}": torch.zeros(1, h) for n in ("b_Q", "b_K", "b_V")},
        f"{ATTN}b_O": torch.zeros(d),
        f"{ATTN}mask": torch.ones(k, k, dtype=torch.bool).tril(),
        f"{ATTN}IGNORE": torch.tensor(-torch.inf),
        "unembed.W_U": model.W_U,
        "unembed.b_U": torch.zeros(v),
    }


def left(model: Model) -> dict[str, Tensor]:
    """The same model as EasyTransformer wrote it: every matrix transposed."""
    return {n: (t.mT.contiguous() if ".W_" in n else t) for n, t in right(model).items()}


def grouped(model: Model) -> dict[str, Tensor]:
    """The grouped-query variant: keys and values under underscored names."""
    names = {f"{ATTN}{n}": f"{ATTN}_{n}" for n in ("W_K", "W_V", "b_K", "b_V")}
    return {names.get(n, n): t for n, t in right(model).items()}


def squeezed(model: Model) -> dict[str, Tensor]:
    """No head axis, no biases, no buffers."""
    return {n: (t.squeeze(0) if "attn.W_" in n else t) for n, t in right(model).items() if ".W_" in n}


def prefixed(model: Model) -> dict[str, Tensor]:
    return {f"model.{n}": t for n, t in right(model).items()}


def new_mask(model: Model) -> dict[str, Tensor]:
    return right(model) | {f"{ATTN}mask": torch.empty(0, 0, dtype=torch.bool)}


def long_mask(model: Model) -> dict[str, Tensor]:
    return right(model) | {f"{ATTN}mask": torch.ones(9, 9, dtype=torch.bool).tril()}


@pytest.mark.parametrize("layout", [right, left, grouped, squeezed, prefixed, new_mask, long_mask])
@pytest.mark.parametrize("container", ["dict", "pt", "safetensors", "checkpoint"])
def test_every_layout_gives_the_same_model(tmp_path: Path, layout, container: str) -> None:
    model = original()
    state = {n: t.contiguous() for n, t in layout(model).items()}
    if container == "dict":
        assert from_transformer_lens(state) == model
        return
    path = tmp_path / {"pt": "m.pt", "safetensors": "m.safetensors", "checkpoint": "m.ckpt"}[container]
    if container == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"model": state, "epoch": 3} if container == "checkpoint" else state, path)
    assert load_transformer_lens(path) == model


def test_the_left_layout_computes_what_easy_transformer_computed() -> None:
    """Scores and values by EasyTransformer's own contractions equal ours on the imported model."""
    model = original()
    state = left(model)
    imported = from_transformer_lens(state)
    residual = torch.randn(2, D, dtype=torch.float64)
    theirs = torch.einsum("ihm,pm->pih", state[f"{ATTN}W_Q"].double(), residual)[:, 0]
    assert torch.equal(theirs, torch.einsum("mh,pm->ph", imported.W_Q.double(), residual))
    logits = torch.einsum("vm,pm->pv", state["unembed.W_U"].double(), residual)
    assert torch.equal(logits, torch.einsum("mv,pm->pv", imported.W_U.double(), residual))


def test_shapes_that_fit_both_layouts_need_to_be_told() -> None:
    square = original(4, 4, 4, 4)
    with pytest.raises(ModelError, match="fit both layouts"):
        from_transformer_lens(right(square))
    assert from_transformer_lens(right(square), Layout.RIGHT) == square
    assert from_transformer_lens(left(square), Layout.LEFT) == square


@pytest.mark.parametrize(("v", "k", "h"), [(4, 3, 4), (4, 4, 3), (3, 4, 4), (1, 1, 4), (1, 4, 1)])
def test_partly_square_shapes_are_recognised(v: int, k: int, h: int) -> None:
    model = original(4, v, k, h)
    assert from_transformer_lens(right(model)) == model
    assert from_transformer_lens(left(model)) == model


def test_bfloat16_is_kept() -> None:
    state = {n: t.bfloat16() if ".W_" in n else t for n, t in right(original()).items()}
    assert set(from_transformer_lens(state).stored) == {"BF16"}


def _set(name: str, tensor: Tensor):
    return lambda s: s | {name: tensor}


BAD = {
    "b_U": (_set("unembed.b_U", torch.full((V,), 1e-30)), "unembed.b_U is not zero"),
    "b_Q": (_set(f"{ATTN}b_Q", torch.ones(1, H)), "b_Q is not zero"),
    "b_V nan": (_set(f"{ATTN}b_V", torch.full((1, H), torch.nan)), "b_V is not zero"),
    "b_O": (_set(f"{ATTN}b_O", torch.ones(D)), "b_O is not zero"),
    "_b_K": (_set(f"{ATTN}_b_K", torch.ones(1, H)), "_b_K is not zero"),
    "heads": (_set(f"{ATTN}W_Q", torch.ones(2, D, H)), "2 heads"),
    "four axes": (_set(f"{ATTN}W_Q", torch.ones(1, 1, D, H)), "W_Q has shape"),
    "layers": (
        _set("blocks.1.attn.W_Q", torch.ones(1, D, H)),
        "blocks.1.attn.W_Q' is part of several layers",
    ),
    "ten layers": (_set("blocks.10.attn.W_Q", torch.ones(1, D, H)), "several layers"),
    "layer norm": (_set("blocks.0.ln1.w", torch.ones(D)), "layer norm"),
    "final norm": (_set("ln_final.w", torch.ones(D)), "layer norm"),
    "embed norm": (_set("embed.ln.w", torch.ones(D)), "layer norm"),
    "query norm": (_set(f"{ATTN}q_norm.w", torch.ones(H)), "layer norm"),
    "mlp": (_set("blocks.0.mlp.W_in", torch.ones(D, 9)), "an MLP"),
    "rotary": (_set(f"{ATTN}rotary_sin", torch.ones(K, H)), "positions other than learned"),
    "bridge": (_set("blocks.0.attn.q.weight", torch.ones(H, D)), "number of heads"),
    "unknown": (_set("blocks.0.hook_x", torch.ones(1)), "is no parameter of"),
    "two keys": (_set(f"{ATTN}_W_K", torch.ones(1, D, H)), "has both"),
    "no keys": (lambda s: {n: t for n, t in s.items() if n != f"{ATTN}W_K"}, "has no 'blocks.0.attn.W_K' or"),
    "no positions": (lambda s: {n: t for n, t in s.items() if "pos" not in n}, "has no 'pos_embed.W_pos'"),
    "empty": (lambda s: {}, "has no 'embed.W_E'"),
    "shape": (_set("pos_embed.W_pos", torch.ones(K, D + 3)), "neither TransformerLens layout"),
    "mask": (_set(f"{ATTN}mask", torch.eye(K, dtype=torch.bool)), "mask hides some of the 3 positions"),
    "short mask": (_set(f"{ATTN}mask", torch.ones(2, 2, dtype=torch.bool)), "mask hides"),
    "nan": (_set("embed.W_E", torch.full((V, D), torch.nan)), "W_E\\[0, 0\\] is nan"),
    "quantised": (_set(f"{ATTN}W_Q", torch.ones(9, 1, dtype=torch.uint8)), "neither"),
    "no tensor": (lambda s: s | {"embed.W_E": [1.0]}, "is a list, not a tensor"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_models_are_refused_by_name(case: str) -> None:
    edit, message = BAD[case]
    with pytest.raises(ModelError, match=message) as caught:
        from_transformer_lens(edit(right(original())))
    assert "\n" not in str(caught.value)


class Harmful:
    """A pickle that would run code if anything unpickled it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def test_files_that_are_no_state_dict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": right(original()), "config": Harmful()}, tmp_path / "harmful.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_bytes(b"hello, world")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.safetensors").write_bytes(b"hello, world")
    for path in (*tmp_path.iterdir(), tmp_path / "absent.pt", tmp_path / "absent.safetensors"):
        with pytest.raises(ModelError) as caught:
            load_transformer_lens(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert "must never run" not in capsys.readouterr().out
