"""Arithmetic that forgets its rounding errors, and comparisons that forget to be undecided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from certkit.interval import Interval
from proofs.mutants.patching import Mutant, Patch
from proofs.mutants.producers.names import TABLES, constant


def _point_product(original: Callable[..., Any]) -> Callable[..., Any]:
    """Matrix products without their error bound."""

    def matmul(a: Any, b: Any) -> Any:
        lo, hi = original(a, b)
        middle = lo * 0.5 + hi * 0.5
        return middle, middle

    return matmul


_FLOATS: Final = (
    Patch("certkit.linalg:matmul", _point_product),
    Patch("certkit.rounding:add_up", constant(torch.add)),
    Patch("certkit.rounding:add_down", constant(torch.add)),
    Patch("certkit.rounding:sub_up", constant(torch.sub)),
    Patch("certkit.rounding:sub_down", constant(torch.sub)),
    Patch("certkit.rounding:mul_up", constant(torch.mul)),
    Patch("certkit.rounding:mul_down", constant(torch.mul)),
    Patch("certkit.rounding:add_both", constant(lambda a, b: (a + b, a + b))),
    Patch("certkit.rounding:mul_both", constant(lambda a, b: (a * b, a * b))),
)
"""Floating point in place of directed rounding."""


def _undecided_is_proved(original: Any) -> Any:
    """``not (self ≥ other)`` where ``self < other`` was asked for."""
    return lambda self, other: ~self.certainly_ge(other)


def _without_error(original: Callable[..., tuple[Tensor, Tensor]]) -> Any:
    def centre(table: Interval, terms: int) -> tuple[Tensor, Tensor]:
        middle, error = original(table, terms)
        return middle, torch.zeros_like(error)

    return centre


def arithmetic_mutants() -> list[Mutant]:
    everywhere = ("brute-force", "cubic", "separable-exact", "separable-tail", "separable-gap", TABLES)
    mutants = []
    for strategy in everywhere:
        short = "sub-cubic" if strategy == TABLES else strategy
        why = "a product of matrices is exact only up to γ_k |A||B|"
        product = (Patch("certkit.linalg:matmul", _point_product),)
        mutants.append(Mutant(f"{short}: products without error bound", strategy, why, product))
        why = "round-to-nearest may land on the wrong side of 0"
        mutants.append(Mutant(f"{short}: floats for intervals", strategy, why, _FLOATS))
    why = "an undecided comparison proves nothing"
    lt = (Patch("certkit._interval.comparisons:Comparisons.certainly_lt", _undecided_is_proved),)
    mutants += [Mutant(f"{s}: undecided counts as proved", s, why, lt) for s in ("brute-force", "cubic")]
    why = "computed sums are off by up to ε"
    threshold = (Patch("proofs.brute_force:_centre", _without_error),)
    return [*mutants, Mutant("brute-force: error threshold dropped", "brute-force", why, threshold)]
