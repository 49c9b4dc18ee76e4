"""Training: seeds are independent, an interrupted run goes on exactly, and the models are good."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from proofs import load_model
from proofs.model import load_notes
from proofs.progress import training_bar
from proofs.training import (
    Progress,
    Recipe,
    TrainingError,
    batched_logits,
    batches,
    initial_weights,
    train,
    train_into,
)

SMALL = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=60, batch=16)


def test_a_seed_does_not_notice_its_neighbours() -> None:
    alone = train(SMALL, [3])[3]
    assert train(SMALL, [0, 3, 40])[3] == alone
    assert train(SMALL, range(20))[3] == alone


def test_a_seed_does_not_notice_its_neighbours_at_full_width() -> None:
    recipe = Recipe(n_ctx=4, vocab=64, steps=20)
    assert train(recipe, range(17))[3] == train(recipe, [3])[3]


def test_seeds_settings_and_steps_differ() -> None:
    models = train(SMALL, [0, 1])
    assert models[0] != models[1]
    assert not torch.equal(batches(SMALL, 0, 0), batches(SMALL, 1, 0))
    assert not torch.equal(batches(SMALL, 0, 0), batches(SMALL, 0, 1))
    assert batches(SMALL, 0, 0).min() == 0
    assert batches(SMALL, 0, 0).max() == 4


def test_the_start_has_the_spread_of_the_recipe() -> None:
    weights = initial_weights(Recipe(n_ctx=4, vocab=512), 0)
    spread = weights["W_E"].std().item()
    assert abs(spread / (0.8 / math.sqrt(32)) - 1) < 0.05


def test_logits_are_those_of_the_model_written_out() -> None:
    """The saved work in `batched_logits` changes nothing but rounding."""
    recipe = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4)
    weights = {n: w.double().unsqueeze(0) for n, w in initial_weights(recipe, 1).items()}
    tokens = torch.cartesian_prod(*[torch.arange(5)] * 3)
    w = {n: x[0] for n, x in weights.items()}
    r = w["W_E"][tokens] + w["W_pos"]
    scores = torch.einsum("bh,bkh->bk", r[:, -1] @ w["W_Q"], r @ w["W_K"]) / math.sqrt(4)
    mixed = torch.einsum("bk,bkd->bd", scores.softmax(-1), r @ w["W_V"] @ w["W_O"])
    expected = (r[:, -1] + mixed) @ w["W_U"]
    torch.testing.assert_close(batched_logits(weights, tokens.unsqueeze(0))[0], expected)


def test_one_step_is_one_step_of_adamw_as_published() -> None:
    """A first step of AdamW moves every weight by lr against the sign of its gradient, after decay."""
    recipe = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=1, batch=16)
    weights = {n: w.unsqueeze(0).requires_grad_() for n, w in initial_weights(recipe, 0).items()}
    tokens = batches(recipe, 0, 0)[:1]
    target = tokens.amax(-1).long()
    logits = batched_logits(weights, tokens).double().flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, target.flatten()).backward()
    model = train(recipe, [0])[0]
    for name, weight in weights.items():
        assert weight.grad is not None
        step = weight.grad / (weight.grad.abs() + 1e-8)
        expected = (weight * (1 - 1e-3 * 0.01) - 1e-3 * step).detach()[0]
        torch.testing.assert_close(getattr(model, name), expected, atol=1e-6, rtol=1e-5)


def test_training_teaches() -> None:
    recipe = Recipe(n_ctx=3, vocab=5, d_model=16, d_head=16, steps=400)
    seen: list[Progress] = []
    train(recipe, [0, 1], watch=seen.append)
    assert seen[-1].step == 400
    assert seen[-1].accuracy > 0.97
    assert seen[-1].loss < seen[0].loss / 4


def test_models_are_kept_and_others_never_overwritten(tmp_path: Path) -> None:
    paths = train_into(tmp_path, SMALL, [0, 1])
    assert [p.name for p in paths.values()] == ["k3-v5-s0.safetensors", "k3-v5-s1.safetensors"]
    assert load_notes(paths[1])["seed"] == "1"
    before = paths[0].read_bytes()
    calls: list[Progress] = []
    again = train_into(tmp_path, SMALL, [1, 0, 2], watch=calls.append)
    assert paths[0].read_bytes() == before
    assert {c.seeds for c in calls} == {(2,)}
    assert load_model(again[2]) == train(SMALL, [2])[2]
    other = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=61, batch=16)
    with pytest.raises(TrainingError, match="is not this recipe's seed 0; move it"):
        train_into(tmp_path, other, [0])
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"k3-v5-s{s}.safetensors" for s in range(3)]


class Stop(Exception):
    """What a test interrupts training with."""


@pytest.mark.parametrize("then", [[0, 1, 2], [0, 1], [2, 1, 0, 5]])
def test_an_interrupted_run_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: list[int]
) -> None:
    monkeypatch.setattr("proofs.training._CHECKPOINT_SECONDS", 0.0)
    recipe = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=160, batch=16)

    def interrupt(progress: Progress) -> None:
        if progress.step == 100:
            raise Stop

    with pytest.raises(Stop):
        train_into(tmp_path, recipe, [0, 1, 2], watch=interrupt)
    assert [p.name[:9] for p in tmp_path.iterdir()] == [".training"]
    steps: list[Progress] = []
    paths = train_into(tmp_path, recipe, then, watch=steps.append)
    # a checkpoint is taken up where all its seeds are still wanted
    assert steps[0].step == (100 if {0, 1, 2} <= set(then) else 50)
    unbroken = train(recipe, then)
    assert {s: load_model(p) for s, p in paths.items()} == unbroken
    train_into(tmp_path, recipe, [0, 1, 2])
    assert not list(tmp_path.glob(".*"))


def test_kill_9_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    program = f"""
import proofs.training as t; from pathlib import Path; import torch; torch.set_num_threads(1)
t._CHECKPOINT_SECONDS = 0.0
t.train_into(Path({str(tmp_path)!r}), t.Recipe(3, 5, 8, 4, steps=100000, batch=16), [0, 1])
"""
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".training-*.safetensors")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    recipe = Recipe(3, 5, 8, 4, steps=100000, batch=16)

    def stop(progress: Progress) -> None:
        assert progress.step > 50
        raise Stop

    with pytest.raises(Stop):
        train_into(tmp_path, recipe, [0, 1], watch=stop)


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no seeds given"):
        train(SMALL, [])
    with pytest.raises(TrainingError, match="seed -1 is negative"):
        train(SMALL, [0, -1])
    with pytest.raises(TrainingError, match="device 'tpu9' is unknown"):
        train(SMALL, [0], device="tpu9")
    with pytest.raises(TrainingError, match="device 'meta' is not supported"):
        train(SMALL, [0], device="meta")
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match="no CUDA device is available"):
            train(SMALL, [0], device="cuda")
    for bad in (0, -1, True, 2.5):
        with pytest.raises(TrainingError, match=r"n_ctx = .*at least 1"):
            Recipe(n_ctx=bad, vocab=4)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train_into(tmp_path / "file" / "models", SMALL, [0])


def test_a_diverged_seed_is_named(tmp_path: Path) -> None:
    wild = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=60, batch=16, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"seed 0 diverged .* seed 1 diverged"):
        train_into(tmp_path, wild, [0, 1])
    assert list(tmp_path.iterdir()) == []


def test_k_1_and_v_1_train() -> None:
    assert train(Recipe(n_ctx=1, vocab=3, steps=2), [0])[0].n_ctx == 1
    assert train(Recipe(n_ctx=2, vocab=1, steps=2), [0])[0].vocab == 1


def test_the_bar_goes_to_its_console() -> None:
    stream = io.StringIO()
    with training_bar(2, 60, Console(file=stream, force_terminal=True, width=160)) as watch:
        train(SMALL, [0, 1], watch=watch)
    assert "seeds 0…1" in stream.getvalue()
    assert "120/120" in stream.getvalue()


@pytest.mark.cuda
def test_cuda_trains_too(tmp_path: Path) -> None:
    recipe = Recipe(n_ctx=4, vocab=64, steps=20)
    once = train(recipe, range(5), device="cuda")
    assert once == train(recipe, range(5), device="cuda")
    for name, weight in initial_weights(recipe, 0).items():
        assert (getattr(once[0], name) - weight).abs().max() < 0.05
