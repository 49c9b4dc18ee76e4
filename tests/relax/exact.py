"""Cases for the relaxations: many small integer problems as one tensor (int64 is exact), and adversarial
floats."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from certkit import Interval


def integers(shape: tuple[int, ...], seed: int, reach: int = 50) -> Tensor:
    """Random integers in [-reach, reach], with some rows and whole matrices made equal or zero."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-reach, reach + 1, shape, generator=generator)
    if len(shape) >= 2:
        same = torch.rand(shape[:-1], generator=generator) < 0.1
        x = torch.where(same.unsqueeze(-1), x[..., :1], x)
    return x


def around(x: Tensor, seed: int, reach: int = 5) -> Interval:
    """Integer intervals that contain ``x``, point intervals among them."""
    generator = torch.Generator().manual_seed(seed)
    below = torch.randint(0, reach, x.shape, generator=generator)
    above = torch.randint(0, reach, x.shape, generator=generator)
    return Interval.hull((x - below).double(), (x + above).double())


def floats(shape: tuple[int, ...], seed: int) -> Tensor:
    """Full-precision floats whose magnitudes span many orders."""
    generator = torch.Generator().manual_seed(seed)
    mantissa = torch.randn(shape, generator=generator, dtype=torch.float64)
    exponent = torch.randint(-30, 30, shape, generator=generator)
    return mantissa * ((exponent + 1023) << 52).view(torch.float64)


def fractions(x: Tensor) -> list[list[Fraction]]:
    return [[Fraction(v) for v in row] for row in x.tolist()]


def product(a: list[list[Fraction]], b: list[list[Fraction]]) -> list[list[Fraction]]:
    columns = list(zip(*b, strict=True))
    return [
        [sum((p * q for p, q in zip(row, column, strict=True)), Fraction(0)) for column in columns]
        for row in a
    ]


def exact_range(rows: list[list[Fraction]]) -> list[Fraction]:
    return [max(row) - min(row) for row in rows]
