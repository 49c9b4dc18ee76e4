"""Tiny models by the seed: random at every scale, nearly right, and built to be on the edge.

Kinds that `certkit.testing.models` has too are made there. The skilled ones differ: these attend harder, have
noise at more scales, and read the rank in the dimension that tokens write. What tests know by seed is theirs.
"""

from __future__ import annotations

import enum
import math

import torch
from torch import Tensor

from certkit.testing.models import Kind as Shipped
from certkit.testing.models import Sizes, tiny_weights
from proofs.model import TENSOR_NAMES, Model


class Kind(enum.StrEnum):
    """How a tiny model is made."""

    GAUSSIAN = "gaussian"
    """Every matrix normal, with its own scale between 1e-3 and 1e3: mostly wrong, scores up to 1e12."""
    SKILLED = "skilled"
    """Attends to large tokens and copies them, with noise: mostly right, many margins near 0."""
    INTEGER = "integer"
    """Small integers, zeros among them: many exact ties."""
    TWIN = "twin"
    """Skilled, with duplicated tokens or output columns: exact ties by symmetry."""
    NEAR_TWIN = "near-twin"
    """As twin, one duplicate off by one unit in the last place."""
    HUGE = "huge"
    """Skilled, then scaled so that exponentials overflow binary64 on their own."""
    EXTREME = "extreme"
    """Weights up to the largest of binary32, or down to its subnormals."""


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def _skilled(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
    """Dimension 0 is the token's rank, dimension 1 is constant; the output reads the rank.

    ``logit[x] = r x − x²/2·c`` is largest at the x nearest to r/c, and attention grows with the token.
    """
    v, d, h = sizes.vocab, sizes.d_model, sizes.d_head
    rank = torch.arange(v, dtype=torch.float64)
    tensors = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in sizes.shapes().items()}
    tensors["W_E"][:, 0], tensors["W_E"][:, 1 % d] = rank, tensors["W_E"][:, 1 % d] + 1.0
    tensors["W_Q"][1 % d, 0] = _uniform(generator, 1.0, 12.0) * math.sqrt(h)
    tensors["W_K"][0, 0] = 1.0
    tensors["W_V"][0, 0], tensors["W_O"][0, 0] = 1.0, 1.0
    if h > 1 and d > 1:
        tensors["W_V"][1, 1], tensors["W_O"][1, 1] = 1.0, 1.0
    strength = _uniform(generator, 0.5, 30.0)
    tensors["W_U"][0], tensors["W_U"][1 % d] = strength * rank, -strength * rank.square() / 2
    noise = 10 ** _uniform(generator, -4, 0)
    return {name: tensor + noise * _normal(generator, *tensor.shape) for name, tensor in tensors.items()}


def _twin(sizes: Sizes, generator: torch.Generator, ulp: bool) -> dict[str, Tensor]:
    tensors = {name: tensor.float() for name, tensor in _skilled(sizes, generator).items()}
    if sizes.vocab > 1:
        first, second = torch.randperm(sizes.vocab, generator=generator)[:2].tolist()
        which = int(_uniform(generator, 0, 3))
        if which != 1:
            tensors["W_U"][:, second] = tensors["W_U"][:, first]
        if which != 0:
            tensors["W_E"][second] = tensors["W_E"][first]
        if ulp:
            column = tensors["W_U"][:, second]
            column[0] = torch.nextafter(column[0], torch.tensor(math.inf))
    if _uniform(generator, 0, 1) < 0.3:
        tensors["W_pos"][:] = tensors["W_pos"][0].clone()
    return tensors


def _huge(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
    tensors = _skilled(sizes, generator)
    tensors["W_Q"] *= 10 ** _uniform(generator, 1, 5)
    return tensors


def _extreme(sizes: Sizes, generator: torch.Generator) -> dict[str, Tensor]:
    largest = torch.finfo(torch.float32).max
    return {
        name: (_normal(generator, *shape) * 10 ** _uniform(generator, -44, 38.5)).clamp(-largest, largest)
        for name, shape in sizes.shapes().items()
    }


def tiny_model(kind: Kind, sizes: Sizes, seed: int) -> Model:
    """The tiny model of this kind, these sizes and this seed."""
    generator = torch.Generator().manual_seed(seed)
    makers = {
        Kind.GAUSSIAN: lambda: tiny_weights(Shipped.GAUSSIAN, sizes, seed),
        Kind.SKILLED: lambda: _skilled(sizes, generator),
        Kind.INTEGER: lambda: tiny_weights(Shipped.INTEGER, sizes, seed),
        Kind.TWIN: lambda: _twin(sizes, generator, ulp=False),
        Kind.NEAR_TWIN: lambda: _twin(sizes, generator, ulp=True),
        Kind.HUGE: lambda: _huge(sizes, generator),
        Kind.EXTREME: lambda: _extreme(sizes, generator),
    }
    tensors = makers[kind]()
    return Model(**{name: tensors[name].float() for name in TENSOR_NAMES})
