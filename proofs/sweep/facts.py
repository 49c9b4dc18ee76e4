"""What a report compares bounds with, measured in floating point: accuracy and the shape of EQKE."""

from __future__ import annotations

import torch

from proofs.accuracy import FloatPaths, can_count, count_correct, sampled_accuracy
from proofs.model import Model
from proofs.sweep.jobs import Facts

SAMPLES = 1_000_000


def measure(model: Model) -> Facts:
    """Accuracy at Max-of-K, counted in float64 where that can be done, else sampled; σ₁ and σ₂ of EQKE."""
    sigma = [*torch.linalg.svdvals(FloatPaths.of(model).eqke)[:2].tolist(), 0.0]
    if can_count(model.vocab, model.n_ctx):
        count = count_correct(model)
        exact = float(count.accuracy)
        return Facts(str(count.correct), str(count.total), False, exact, exact, sigma[0], sigma[1])
    estimate = sampled_accuracy(model, SAMPLES)
    low, high = estimate.interval
    return Facts(str(estimate.correct), str(estimate.sampled), True, low, high, sigma[0], sigma[1])
