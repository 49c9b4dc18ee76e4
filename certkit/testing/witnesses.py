"""Witnesses nobody would search for: what an adversary hands to a verifier.

A witness is a frozen attrs class (or a tuple, list, tensor, number …) of tensors and numbers. Every number
in it is hostile ground: verification must stay sound for any value, or refuse it with a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from torch import Tensor

__all__ = ["adversarial_witnesses", "map_leaves"]


def map_leaves(witness: Any, change: Callable[[Any], Any]) -> Any:
    """The same witness with `change` applied to every tensor, int and float in it; other leaves stay.

    >>> map_leaves((1, 2.5, "name"), lambda leaf: leaf * 2)
    (2, 5.0, 'name')
    """
    if attrs.has(type(witness)):
        fields = {
            a.name: map_leaves(getattr(witness, a.name), change)
            for a in attrs.fields(type(witness))
            if a.init
        }
        return attrs.evolve(witness, **{name.lstrip("_"): value for name, value in fields.items()})
    if isinstance(witness, tuple | list):
        return type(witness)(map_leaves(item, change) for item in witness)
    if isinstance(witness, dict):
        return {key: map_leaves(value, change) for key, value in witness.items()}
    if isinstance(witness, Tensor) or type(witness) in (int, float):
        return change(witness)
    return witness


def _is_real(leaf: Any) -> bool:
    return leaf.is_floating_point() if isinstance(leaf, Tensor) else type(leaf) is float


def _set_all(real: float, whole: int) -> Callable[[Any], Any]:
    def change(leaf: Any) -> Any:
        value = real if _is_real(leaf) else whole
        return torch.full_like(leaf, value) if isinstance(leaf, Tensor) else value

    return change


def _scale(factor: float, add: int) -> Callable[[Any], Any]:
    return lambda leaf: leaf * factor if _is_real(leaf) else leaf + add


def _random(generator: torch.Generator, scale: float) -> Callable[[Any], Any]:
    def change(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            noise = torch.randn((), generator=generator, dtype=torch.float64).item()
            return noise * scale if type(leaf) is float else leaf + round(noise)
        if leaf.is_floating_point():
            return torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(leaf.dtype) * scale
        if leaf.dtype is torch.bool or leaf.numel() == 0:
            return leaf
        low, high = int(leaf.min()), int(leaf.max())
        return torch.randint(low, high + 1, leaf.shape, generator=generator).to(leaf.dtype)

    return change


def adversarial_witnesses(witness: Any, seed: int) -> Iterator[tuple[str, Any]]:
    """The witness as found, then hostile versions of it, each with a name.

    Whole numbers (gaps, tokens, counts) become 0, 1, one more and one less, or are shuffled within their
    range; reals (directions, multipliers, shifts) become 0, negative, tiny, huge or random. A witness
    without numbers has no hostile version.
    """
    generator = torch.Generator().manual_seed(seed)
    yield "as searched", witness
    numbers: list[Any] = []
    map_leaves(witness, numbers.append)
    if not numbers:
        return  # nothing an adversary could choose
    yield "all 1", map_leaves(witness, _set_all(1.0, 1))
    yield "random", map_leaves(witness, _random(generator, 1.0))
    yield "one less, negated", map_leaves(witness, _scale(-1.0, -1))
    yield "one more, huge", map_leaves(witness, _scale(1e150, 1))
    yield "random, large", map_leaves(witness, _random(generator, 1e3))
    yield "all 0", map_leaves(witness, _set_all(0.0, 0))
    yield "reals tiny", map_leaves(witness, _scale(1e-290, 0))
