"""Steps left out of the pools of tails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Final

import attrs
import torch
from torch import Tensor

from proofs.mutants.patching import Mutant, Patch
from proofs.mutants.producers.names import Row, constant


def _terms(**changed: Callable[[Any], Tensor]) -> Callable[[Any], Any]:
    """Other terms of the classes of a query: each field from all the original ones."""

    def replace(original: Any) -> Any:
        def terms(paths: Any, query: Any, m: Tensor, light: Tensor) -> Any:
            found = original(paths, query, m, light)
            return attrs.evolve(found, **{name: change(found) for name, change in changed.items()})

        return terms

    return replace


def _bounds(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    """Other bounds ``[L, M, X]`` of the steps, classes and outputs; 0 where the output is m."""
    return lambda original: lambda bounds, factor: original(change(bounds), factor)


def _least_weight(original: Any) -> Any:
    """The light tokens with the weight of the least of them."""

    def terms(paths: Any, query: Any, m: Tensor, light: Tensor) -> Any:
        found = original(paths, query, m, light)
        weight = query.weight_upper[-1].expand(light.shape)
        most = weight.masked_fill(~light, 0.0).amax(1, keepdim=True)
        least = weight.masked_fill(~light, torch.inf).amin(1, keepdim=True)
        share = torch.where(light.any(1, keepdim=True) & (most > 0), least / most, 1.0)
        return attrs.evolve(found, light_upper=found.light_upper * share)

    return terms


def _below_zero(original: Any) -> Any:
    """Light tokens count for what they lose, whatever they gain."""
    return lambda *arguments: -1.0 - original(*arguments)


def _without_max(original: Any) -> Any:
    return lambda at_max, below, must_hold: original(torch.zeros_like(at_max), below, must_hold)


def _first_power(original: Any) -> Any:
    """All steps of tables of classes, the query's term among them, are the first."""

    def ladder(exponent_upper: Tensor, multiplier: Tensor) -> Iterator[Tensor]:
        steps = original(exponent_upper, multiplier)
        return repeat(next(steps)) if exponent_upper.dim() == 2 else steps

    return ladder


def _turned(original: Any) -> Any:
    """The bounds of the multiplier below 0 for the one above."""
    return lambda terms, multiplier, levels: original(terms, -multiplier, levels)


def _worst_free(bounds: Tensor) -> Tensor:
    worst = bounds.amin(0).argmax(1)
    return bounds.scatter(2, worst[None, :, None].expand(len(bounds), -1, 1), 0.0)


def _least_of_all(bounds: Tensor) -> Tensor:
    """The least bound of an output in place of the sum."""
    others = torch.where(bounds > 0, bounds, torch.inf).amin(2, keepdim=True)
    first = torch.arange(bounds.shape[2]) == 0
    return torch.where(first, others, 0.0)


def _half(original: Any) -> Any:
    return lambda argument: original(argument) * 0.5


def _one_less(original: Any) -> Any:
    return lambda *fields: original(*fields[:-1], max(fields[-1] - 1, 0))


_NAME: Final = "separable-pool"
_HOME: Final = "proofs.separable.pool"
_SUMS: Final = "proofs.separable.pool_sums"
_ALL: Final = "a sequence may fail for any output"

_ROWS: Final = (
    Row(
        "light tokens not counted",
        _NAME,
        "each light token is a term of the sum",
        f"{_HOME}:pool_terms",
        _terms(light=lambda terms: torch.zeros_like(terms.light)),
    ),
    Row(
        "light terms below 0",
        _NAME,
        "only 0 or more is above what loses",
        f"{_SUMS}:_light_gain",
        _below_zero,
    ),
    Row(
        "tokens below m dropped",
        _NAME,
        "Σ_t runs over all tokens",
        f"{_HOME}:pool_terms",
        _terms(heavy=lambda terms: torch.zeros_like(terms.heavy)),
    ),
    Row("the maximum left out", _NAME, "m is a token, too", f"{_SUMS}:_class_sums", _without_max),
    Row(
        "m before every query",
        _NAME,
        "a query that is m needs no other m",
        f"{_HOME}:pool_terms",
        _terms(must_hold=lambda terms: torch.ones_like(terms.must_hold)),
    ),
    Row(
        "query factor dropped",
        _NAME,
        "e^{λ f(q)} is a factor",
        f"{_HOME}:pool_terms",
        _terms(asked=lambda terms: torch.zeros_like(terms.asked)),
    ),
    Row(
        "the query at the first step",
        _NAME,
        "all powers are of one multiplier",
        f"{_SUMS}:_ladder",
        _first_power,
    ),
    Row(
        "a multiplier below 0",
        _NAME,
        "e^{λs} ≥ 1 for s ≥ 0 needs λ ≥ 0",
        f"{_HOME}:level_bounds",
        _turned,
    ),
    Row("the worst output left out", _NAME, _ALL, f"{_HOME}:_shortest", _bounds(_worst_free)),
    Row("the least of all outputs", _NAME, _ALL, f"{_HOME}:_shortest", _bounds(_least_of_all)),
    Row("exponentials halved", _NAME, "an upper bound of e^v is above it", f"{_SUMS}:exp_up", _half),
    Row(
        "what overflows is nothing",
        _NAME,
        "beyond the range is no bound",
        f"{_HOME}:_shortest",
        _bounds(lambda bounds: bounds.nan_to_num(posinf=0.0)),
    ),
    Row("one failure less", _NAME, "rounded down to the next integer", f"{_HOME}:PoolContent", _one_less),
)


_LEAST_WEIGHT: Final = Mutant(
    f"{_NAME}: the least of light weights",
    _NAME,
    "the greatest weight bounds them all",
    (Patch(f"{_HOME}:pool_terms", _least_weight), Patch(f"{_HOME}:LIGHT", constant(1.0))),
)


def pool_mutants() -> list[Mutant]:
    """The mutants of ``separable-pool``."""
    return [*(row.mutant(f"{_NAME}: ") for row in _ROWS), _LEAST_WEIGHT]
