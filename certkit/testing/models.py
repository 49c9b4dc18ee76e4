"""Tiny models by the seed: random at every scale, nearly right, and built to be on the edge.

A model here is just its seven weight tensors by name (float32), so that this room knows no task's classes.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping

import attrs
import torch
from torch import Tensor

__all__ = ["Kind", "Sizes", "skilled_weights", "tiny_weights"]

Weights = dict[str, Tensor]


class Kind(enum.StrEnum):
    """How a tiny model is made."""

    GAUSSIAN = "gaussian"
    """Every matrix normal, with its own scale between 1e-3 and 1e3: mostly wrong, scores up to 1e12."""
    SKILLED = "skilled"
    """Attends to large tokens and copies them, with noise: mostly right, many margins near 0."""
    SHARP = "sharp"
    """Skilled with hard attention and little noise: nearly always right, few hidden failures."""
    INTEGER = "integer"
    """Small integers, zeros among them: many exact ties."""
    TWIN = "twin"
    """Skilled, with duplicated tokens or output columns: exact ties by symmetry."""
    NEAR_TWIN = "near-twin"
    """As twin, one duplicate off by one unit in the last place."""
    HUGE = "huge"
    """Skilled, then scaled so that exponentials overflow binary64 on their own."""
    SUBNORMAL = "subnormal"
    """Integers times powers of two so small that products of weights underflow."""


@attrs.frozen
class Sizes:
    """Shapes of a tiny model: V, K, d_model and d_head."""

    vocab: int
    n_ctx: int
    d_model: int = 4
    d_head: int = 3

    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of each weight tensor."""
        v, k, d, h = self.vocab, self.n_ctx, self.d_model, self.d_head
        by_head = dict.fromkeys(("W_Q", "W_K", "W_V"), (d, h))
        return {"W_E": (v, d), "W_pos": (k, d), **by_head, "W_O": (h, d), "W_U": (d, v)}


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def _gaussian(sizes: Sizes, generator: torch.Generator) -> Weights:
    shapes = sizes.shapes().items()
    return {name: _normal(generator, *shape) * 10 ** _uniform(generator, -3, 3) for name, shape in shapes}


def skilled_weights(sizes: Sizes, sharpness: float, strength: float) -> Weights:
    """A model that is right wherever its attention is hard enough, float64, without noise.

    Dimension 0 of the residual stream is the token's rank, dimension 1 is constant. The score of token t is
    ``sharpness · t``; with r the attended mean rank, ``logit[x] = strength · (r + c) · x − strength · x²/2``
    is largest near ``x = r``. Needs ``d_model ≥ 2`` for the constant.
    """
    tensors = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in sizes.shapes().items()}
    rank = torch.arange(sizes.vocab, dtype=torch.float64)
    one = 1 % sizes.d_model
    tensors["W_E"][:, 0] = rank
    tensors["W_E"][:, one] += 1.0
    tensors["W_Q"][one, 0] = sharpness * math.sqrt(sizes.d_head)
    tensors["W_K"][0, 0] = tensors["W_V"][0, 0] = tensors["W_O"][0, 0] = 1.0
    # The direct path adds rank(q)·x; reading a third dimension that only the head writes avoids it.
    read = 2 if sizes.d_model > 2 else 0
    if read:
        tensors["W_O"][0, 0], tensors["W_O"][0, read] = 0.0, 1.0
    tensors["W_U"][read], tensors["W_U"][one] = strength * rank, -strength * rank.square() / 2
    return tensors


def _noisy(sizes: Sizes, generator: torch.Generator, sharpness: float, noise: float) -> Weights:
    weights = skilled_weights(sizes, sharpness, _uniform(generator, 0.5, 30.0))
    return {name: tensor + noise * _normal(generator, *tensor.shape) for name, tensor in weights.items()}


def _skilled(sizes: Sizes, generator: torch.Generator) -> Weights:
    return _noisy(sizes, generator, _uniform(generator, 0.3, 4.0), 10 ** _uniform(generator, -4, -0.5))


def _sharp(sizes: Sizes, generator: torch.Generator) -> Weights:
    return _noisy(sizes, generator, _uniform(generator, 2.0, 6.0), 10 ** _uniform(generator, -3, -1))


def _integer(sizes: Sizes, generator: torch.Generator) -> Weights:
    reach = int(_uniform(generator, 1, 4))
    return {
        name: torch.randint(-reach, reach + 1, shape, generator=generator).double()
        for name, shape in sizes.shapes().items()
    }


def _twin(sizes: Sizes, generator: torch.Generator) -> Weights:
    tensors = {name: tensor.float() for name, tensor in _sharp(sizes, generator).items()}
    if sizes.vocab > 1:
        first, second = torch.randperm(sizes.vocab, generator=generator)[:2].tolist()
        which = int(_uniform(generator, 0, 3))
        if which != 1:
            tensors["W_U"][:, second] = tensors["W_U"][:, first]
        if which != 0:
            tensors["W_E"][second] = tensors["W_E"][first]
    if _uniform(generator, 0, 1) < 0.3:
        tensors["W_pos"][:] = tensors["W_pos"][0].clone()
    return tensors


def _near_twin(sizes: Sizes, generator: torch.Generator) -> Weights:
    tensors = _twin(sizes, generator)
    column = tensors["W_U"][:, int(_uniform(generator, 0, sizes.vocab))]
    column.view(torch.int32)[0] += 1  # the next float32 in magnitude: subnormals included
    return tensors


def _huge(sizes: Sizes, generator: torch.Generator) -> Weights:
    tensors = _skilled(sizes, generator)
    tensors["W_Q"] *= 10 ** _uniform(generator, 1, 5)
    return tensors


def _subnormal(sizes: Sizes, generator: torch.Generator) -> Weights:
    tensors = _integer(sizes, generator)
    for name, exponent in (("W_Q", -149), ("W_V", -140), ("W_U", -145)):
        tensors[name] *= 2.0 ** (exponent + int(_uniform(generator, 0, 4)))
    return tensors


_MAKERS: Mapping[Kind, Callable[[Sizes, torch.Generator], Weights]] = {
    Kind.GAUSSIAN: _gaussian,
    Kind.SKILLED: _skilled,
    Kind.SHARP: _sharp,
    Kind.INTEGER: _integer,
    Kind.TWIN: _twin,
    Kind.NEAR_TWIN: _near_twin,
    Kind.HUGE: _huge,
    Kind.SUBNORMAL: _subnormal,
}


def tiny_weights(kind: Kind, sizes: Sizes, seed: int) -> Weights:
    """The tiny model of this kind, these sizes and this seed, as float32 tensors.

    >>> tiny_weights(Kind.TWIN, Sizes(vocab=3, n_ctx=2), seed=0)["W_U"].shape
    torch.Size([4, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: tensor.float() for name, tensor in _MAKERS[kind](sizes, generator).items()}
