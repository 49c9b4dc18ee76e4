"""Write accuracy.json: how often each model of the zoo is right, in float64. References, not proofs.

Run from the project root: ``python tests/zoo/measure.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from proofs import Model, load_model
from proofs.accuracy import can_count, count_correct, sampled_accuracy

ZOO = Path(__file__).parent
SAMPLES = 2_000_000


def measured(model: Model) -> dict[str, object]:
    """What accuracy.json says of one model."""
    if can_count(model.vocab, model.n_ctx):
        count = count_correct(model)
        return {"sha256": model.sha256, "correct": count.correct, "total": count.total}
    estimate = sampled_accuracy(model, SAMPLES)
    low, high = estimate.interval
    return {
        "sha256": model.sha256,
        "sampled_correct": estimate.correct,
        "sampled": estimate.sampled,
        "confidence": estimate.confidence,
        "interval": [low, high],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    report = {path.name: measured(load_model(path)) for path in sorted(ZOO.glob("*.safetensors"))}
    (ZOO / "accuracy.json").write_text(json.dumps(report, indent=1) + "\n")
