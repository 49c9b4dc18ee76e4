"""Steps left out of the cubic and the separable bounds."""

from __future__ import annotations

from typing import Any, Final

import attrs
import torch
from torch import Tensor

from proofs.mutants.patching import Mutant
from proofs.mutants.producers.names import Row, constant


def _upper_weight_always(lower: Tensor, upper: Tensor, value: Tensor) -> Tensor:
    """The sign rule ignored: the upper end of the weight for negative values, too."""
    return torch.where(value == -torch.inf, value, upper * value)


def _half_the_lower_weight(lower: Tensor, upper: Tensor, value: Tensor) -> Tensor:
    """Far too little weight, whatever the sign."""
    return torch.where(value == -torch.inf, value, lower * 0.5 * value)


def _first_position(original: Any) -> Any:
    """Position pessimisation skipped: position 0 stands for all of them."""

    def bounds(model: Any, offset: Tensor) -> Any:
        result = original(model, offset)
        return attrs.evolve(result, token=result.token[:, :1].expand(*result.token.shape))

    return bounds


def _without_direct(original: Any) -> Any:
    def bounds(model: Any, offset: Tensor) -> Any:
        result = original(model, offset)
        return attrs.evolve(result, direct=result.direct * 0.0)

    return bounds


def _less_than_max(original: Any) -> Any:
    """The mean over the other outputs in place of the maximum."""
    return lambda table: (table.sum(-1, keepdim=True) - table) / (table.shape[-1] - 1)


def _free_of_max(original: Any) -> Any:
    """A class q < m judged as if no position had to hold m — and the query as if it were m."""

    def worst(terms: Any, q: int) -> Tensor:
        freed: Tensor = original(terms, q) - terms.query_upper.clamp(min=0.0)
        return freed

    return worst


def _no_query_term(original: Any) -> Any:
    def failing(terms: Any, multiplier: Tensor, q: int) -> Tensor:
        result: Tensor = original(
            attrs.evolve(terms, query_upper=torch.zeros_like(terms.query_upper)), multiplier, q
        )
        return result

    return failing


def _half_the_tokens(original: Any) -> Any:
    return lambda a, dim: original(a, dim) * 0.5


_HOME: Final = "proofs.separable"
_NUMERATOR, _BANDS = f"{_HOME}.numerator:scale_up", f"{_HOME}.bands:scale_up"
_SIGN: Final = "a negative value is largest with the least weight"

_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "cubic: one position for all",
        "cubic",
        "PVOU differs by position",
        "proofs.cubic:_bounds",
        _first_position,
    ),
    Row("cubic: direct path dropped", "cubic", "EUPU[q] is not 0", "proofs.cubic:_bounds", _without_direct),
    Row(
        "cubic: mean for maximum over x",
        "cubic",
        "every x must be beaten",
        "proofs.cubic:max_over_others",
        _less_than_max,
    ),
    Row(
        "separable-gap: sign rule ignored",
        "separable-gap+low-rank",
        _SIGN,
        _BANDS,
        constant(_upper_weight_always),
    ),
    Row(
        "separable-gap: clamp missing",
        "separable-gap",
        "two separate maxima bound a product only if neither is negative",
        f"{_HOME}.bands:_band",
        constant(lambda weight, gain, direct: weight * (gain + direct)),
    ),
    Row(
        "separable-exact: weights halved",
        "separable-exact",
        _SIGN,
        _NUMERATOR,
        constant(_half_the_lower_weight),
    ),
    Row(
        "separable-tail: query term dropped",
        "separable-tail",
        "the query's term is part of the sum",
        f"{_HOME}.alive:class_worst",
        _free_of_max,
    ),
    Row(
        "separable-tail: query factor dropped",
        "separable-tail",
        "e^{λ f(q)} is a factor",
        f"{_HOME}.tail:failing_upper",
        _no_query_term,
    ),
    Row(
        "separable-tail: sums halved",
        "separable-tail",
        "Σ_t runs over all tokens",
        f"{_HOME}.tail:sum_positive_up",
        _half_the_tokens,
    ),
    Row(
        "separable-gap: norms halved",
        "separable-gap+low-rank",
        "Cauchy–Schwarz",
        f"{_HOME}.scores:norm_upper",
        lambda f: lambda x, dim: f(x, dim) * 0.1,
    ),
)


def separable_mutants() -> list[Mutant]:
    """The mutants of the cubic and the separable strategies."""
    return [row.mutant() for row in _ROWS]
