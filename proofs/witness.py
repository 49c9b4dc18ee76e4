"""The checks that make every witness safe to verify; how it is stored is told in `certkit.witness`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from certkit.witness import NoWitness, WitnessError, witness_from_json, witness_to_json

__all__ = [
    "NoWitness",
    "WitnessError",
    "require_range",
    "require_tensor",
    "witness_from_json",
    "witness_to_json",
]


def require_tensor(
    name: str, value: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float64
) -> Tensor:
    """``value`` if it is a finite tensor of exactly this shape and dtype, and `WitnessError` otherwise.

    >>> require_tensor("u", torch.tensor([0.0, float("nan")], dtype=torch.float64), [2])
    Traceback (most recent call last):
    certkit.witness.WitnessError: witness u[1] is nan; every value must be finite
    """
    if not isinstance(value, Tensor):
        raise WitnessError(f"witness {name} is a {type(value).__name__}; it must be a tensor")
    if tuple(value.shape) != tuple(shape) or value.dtype is not dtype:
        raise WitnessError(
            f"witness {name} is {value.dtype} of shape {list(value.shape)}; "
            f"it must be {dtype} of shape {list(shape)}"
        )
    if value.requires_grad:
        raise WitnessError(f"witness {name} requires grad; detach it")
    bad = ~torch.isfinite(value)
    if bool(bad.any()):
        index = bad.nonzero()[0].tolist()
        raise WitnessError(
            f"witness {name}{index} is {value[tuple(index)].item()}; every value must be finite"
        )
    return value


def require_range(name: str, value: Tensor, low: int | float, high: int | float) -> Tensor:
    """``value`` if ``low <= value <= high`` everywhere, and `WitnessError` naming the first offender
    otherwise.

    >>> require_range("gap", torch.tensor([1, 0]), 1, 4)
    Traceback (most recent call last):
    certkit.witness.WitnessError: witness gap[1] is 0; it must be between 1 and 4
    """
    bad = ~((value >= low) & (value <= high))
    if bool(bad.any()):
        index = bad.nonzero()[0].tolist()
        found = value[tuple(index)].item()
        raise WitnessError(f"witness {name}{index} is {found}; it must be between {low} and {high}")
    return value
