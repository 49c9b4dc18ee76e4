"""Steps left out of the published bounds, those of the published code among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from torch import Tensor

from certkit.interval import Interval
from certkit.relax import split_directions
from proofs.mutants.patching import Mutant
from proofs.mutants.producers.names import LOW_RANK, MEAN_QUERY, RECURSIVE, SPECTRAL, Row


def _scaled(factor: float) -> Callable[[Any], Any]:
    """A function whose interval result is multiplied by a factor."""

    def replace(original: Callable[..., Interval]) -> Callable[..., Interval]:
        return lambda *arguments, **named: original(*arguments, **named) * factor

    return replace


def _one_end(end: int) -> Callable[[Any], Any]:
    """One end of the attention interval in place of both."""

    def replace(original: Any) -> Any:
        def attention_on_max(split: Any, weights: Any, cells: Any) -> Any:
            both = original(split, weights, cells)
            return both[end : end + 1].expand(*both.shape)

        return attention_on_max

    return replace


def _no_residual(original: Any) -> Any:
    return lambda approx, row_range: original(approx, row_range * 0.0)


def _steepest_always(original: Any) -> Any:
    """The published step: ``δ·max_x R_m`` for every δ."""

    def wrong_logit(self: Any, tables: Any, constant: Any, anchors: Any, attention: Any, m: Tensor) -> Any:
        return original(
            self, attrs.evolve(tables, slope_min=tables.slope_max), constant, anchors, attention, m
        )

    return wrong_logit


def _changed(field: str, factor: float) -> Callable[[Any], Any]:
    """A bound with one of its parts multiplied by a factor."""

    def replace(original: Any) -> Any:
        def compute(*arguments: Any, **named: Any) -> Any:
            result = original(*arguments, **named)
            return attrs.evolve(result, **{field: getattr(result, field) * factor})

        return compute

    return replace


def _other_centre(original: Any) -> Any:
    """c from one vector, dev from another."""

    def around(model: Any, centre: Any) -> Any:
        bound = original(model, centre)
        elsewhere = original(model, None if centre is None else centre * -1.0)
        return attrs.evolve(bound, offset=elsewhere.offset)

    return around


def _without_cross_terms(original: Any) -> Any:
    """``Ã = A₀B₀``: the cross terms vanish for exact singular vectors only."""

    def peel(self: Any, model: Any, directions: Any) -> Any:
        peeled = original(self, model, directions)
        left, right = self._factors(model)
        a, b = (
            split_directions(matrix, direction.unsqueeze(0))
            for matrix, direction in zip((left, right.mT), directions, strict=True)
        )
        return attrs.evolve(peeled, approx=a.left * (a.right @ b.right.mT) * b.left.mT)

    return peel


_HOME: Final = "proofs.subcubic"
_ENDS, _HANDLING = f"{_HOME}.search:attention_on_max", f"{_HOME}.handling:MeanQueryDiff.wrong_logit"

_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "least attention only",
        MEAN_QUERY,
        "the bound is convex in α: either end may be the larger",
        _ENDS,
        _one_end(0),
    ),
    Row(
        "most attention only",
        MEAN_QUERY,
        "the bound is convex in α: either end may be the larger",
        _ENDS,
        _one_end(1),
    ),
    Row(
        "δ·max R for negative δ",
        MEAN_QUERY,
        "for δ < 0 the larger product is δ·min R",
        _HANDLING,
        _steepest_always,
    ),
    Row(
        "query error dropped",
        MEAN_QUERY,
        "EUPU[q] is not 0",
        f"{_HOME}.family:direct_bound",
        _changed("error", 0.0),
    ),
    Row(
        "query error halved",
        MEAN_QUERY,
        "e(q) = Σ |dev_j| range_j",
        f"{_HOME}.family:direct_bound",
        _changed("error", 0.5),
    ),
    Row(
        "dev and c from two vectors",
        MEAN_QUERY,
        "EUPU = v W_U + dev W_U for one v",
        f"{_HOME}.direct:_around",
        _other_centre,
    ),
    Row(
        "spread dropped",
        MEAN_QUERY,
        "the other tokens write too: (1−α) W",
        f"{_HOME}.family:output_tables",
        _changed("spread", 0.0),
    ),
    Row(
        "positions dropped",
        MEAN_QUERY,
        "positions write too: max_p PVOU",
        f"{_HOME}.family:output_tables",
        _changed("position", 0.0),
    ),
    Row(
        "residual dropped",
        LOW_RANK,
        "EQKE = Ã + R",
        f"{_HOME}.errors:score_split",
        _no_residual,
    ),
    Row(
        "residual dropped, recursive",
        RECURSIVE,
        "EQKE = Ã + R",
        f"{_HOME}.errors:score_split",
        _no_residual,
    ),
    Row(
        "σ₁ instead of its bound",
        SPECTRAL,
        "R[q,i] − R[q,j] ≤ √2 σ₁(R)",
        "certkit.relax:product_singular_value",
        _scaled(0.05),
    ),
    Row(
        "cross terms dropped",
        LOW_RANK,
        "u, v need not be singular vectors",
        f"{_HOME}.split:TwoFactors.peel",
        _without_cross_terms,
    ),
)


def published_mutants() -> list[Mutant]:
    """The published family's mutants."""
    return [row.mutant("sub-cubic: ") for row in _ROWS]
