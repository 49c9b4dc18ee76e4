"""The trained models of the repository are what their notes say."""

from __future__ import annotations

import json
from pathlib import Path

from proofs import load_model
from proofs.accuracy import can_count, count_correct, sampled_accuracy


def test_the_zoo_is_small_and_complete(zoo_paths: list[Path]) -> None:
    settings = [(4, 64), (5, 64), (10, 64), (10, 128), (20, 64)]
    expected = {f"k{k}-v{v}-s{seed}.safetensors" for k, v in settings for seed in (0, 1)}
    assert {path.name for path in zoo_paths} == expected
    assert sum(path.stat().st_size for path in zoo_paths) < 2_000_000


def test_the_notes_are_about_these_models(zoo_paths: list[Path]) -> None:
    notes = json.loads((zoo_paths[0].parent / "accuracy.json").read_text())
    for path in zoo_paths:
        model, note = load_model(path), notes[path.name]
        assert note["sha256"] == model.sha256
        assert path.name.startswith(f"k{model.n_ctx}-v{model.vocab}-")
        if not can_count(model.vocab, model.n_ctx):
            low, high = sampled_accuracy(model, 5_000).interval
            assert low < note["sampled_correct"] / note["sampled"] < high
            assert note["interval"][0] > 0.99
        elif model.n_ctx == 4:
            count = count_correct(model)
            assert (count.correct, count.total) == (note["correct"], note["total"])
            assert count.accuracy > 0.999
