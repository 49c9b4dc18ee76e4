"""The float references agree with evaluating the model sequence by sequence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from proofs import Model, load_model
from proofs.accuracy import (
    FloatPaths,
    can_count,
    count_correct,
    failing_sequences,
    is_correct,
    sampled_accuracy,
)
from proofs.training import Recipe, train


def written_out(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    """Correctness by the model's definition, no path tables."""
    w = {n: t.double() for n, t in model.tensors().items()}
    r = w["W_E"][tokens] + w["W_pos"]
    scores = torch.einsum("nh,nkh->nk", r[:, -1] @ w["W_Q"], r @ w["W_K"]) / math.sqrt(model.d_head)
    logits = (r[:, -1] + torch.einsum("nk,nkd->nd", scores.softmax(1), r @ w["W_V"] @ w["W_O"])) @ w["W_U"]
    target = tokens.amax(1)
    others = logits.scatter(1, target[:, None], -math.inf).amax(1)
    return logits.gather(1, target[:, None])[:, 0] > others


def all_tokens(vocab: int, n_ctx: int) -> torch.Tensor:
    grids = torch.meshgrid(*[torch.arange(vocab)] * n_ctx, indexing="ij")
    return torch.stack([g.flatten() for g in grids], 1)


@pytest.mark.parametrize(("n_ctx", "vocab"), [(1, 4), (2, 5), (3, 5), (4, 4), (5, 3), (6, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("steps", [1, 60])
def test_counting_is_enumeration(n_ctx: int, vocab: int, steps: int) -> None:
    recipe = Recipe(n_ctx=n_ctx, vocab=vocab, d_model=8, d_head=4, steps=steps, batch=16)
    for model in train(recipe, range(3)).values():
        tokens = all_tokens(vocab, n_ctx)
        correct = written_out(model, tokens)
        paths = FloatPaths.of(model)
        assert torch.equal(is_correct(paths, tokens), correct)
        count = count_correct(model)
        assert (count.correct, count.total) == (int(correct.sum()), vocab**n_ctx)
        listed = set()
        for q in range(vocab):
            for m in range(q, vocab):
                for number in failing_sequences(paths, q, m).tolist():
                    listed.add((*(number // (m + 1) ** p % (m + 1) for p in range(n_ctx - 1)), q))
        assert listed == {tuple(t) for t in tokens[~correct].tolist()}


def test_a_tie_is_wrong() -> None:
    zero = Model.from_tensors(
        {n: torch.zeros(s) for n, s in Recipe(n_ctx=2, vocab=3, d_model=2, d_head=2).shapes().items()}
    )
    assert count_correct(zero).correct == 0
    assert sampled_accuracy(zero, 50).correct == 0


def test_samples_are_reproducible_and_counted() -> None:
    model = train(Recipe(n_ctx=3, vocab=5, steps=50), [0])[0]
    first = sampled_accuracy(model, 20_000)
    assert first == sampled_accuracy(model, 20_000)
    low, high = first.interval
    assert low < count_correct(model).accuracy < high


def test_what_cannot_be_counted() -> None:
    assert can_count(64, 5)
    assert not can_count(64, 10)
    model = Model.from_tensors(
        {n: torch.ones(s) for n, s in Recipe(n_ctx=10, vocab=64, d_model=1).shapes().items()}
    )
    with pytest.raises(ValueError, match="use sampled_accuracy"):
        count_correct(model)


@pytest.mark.shared
def test_reference_counts(reference_dir: Path) -> None:
    known = json.loads((reference_dir / "k4-v64-a.json").read_text())["exact"]
    count = count_correct(load_model(reference_dir / "k4-v64-a.safetensors"))
    assert (count.correct, count.total) == (known["correct"], known["total"])
    small = count_correct(load_model(reference_dir / "unsound_mean_diff.safetensors"))
    assert (small.correct, small.total) == (485, 1296)
    sampled = json.loads((reference_dir / "sampled-accuracy.json").read_text())
    for name, value in sampled.items():
        low, high = sampled_accuracy(load_model(reference_dir / f"{name}.safetensors"), 20_000).interval
        assert low < value["sampled_correct"] / value["sampled"] < high
