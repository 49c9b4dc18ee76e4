"""Steps left out of the published bounds, those of the published code among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from torch import Tensor

from certkit.interval import Interval
from certkit.relax import split_directions
from proofs.mutants.patching import Mutant, Patch
from proofs.mutants.producers.names import LOW_RANK, MEAN_QUERY, RECURSIVE, SPECTRAL


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


def published_mutants() -> list[Mutant]:
    family = "proofs.subcubic"
    ends, handling = f"{family}.search:attention_on_max", f"{family}.handling:MeanQueryDiff.wrong_logit"
    rows = [
        (
            "least attention only",
            MEAN_QUERY,
            "the bound is convex in α: either end may be the larger",
            ends,
            _one_end(0),
        ),
        (
            "most attention only",
            MEAN_QUERY,
            "the bound is convex in α: either end may be the larger",
            ends,
            _one_end(1),
        ),
        (
            "δ·max R for negative δ",
            MEAN_QUERY,
            "for δ < 0 the larger product is δ·min R",
            handling,
            _steepest_always,
        ),
        (
            "query error dropped",
            MEAN_QUERY,
            "EUPU[q] is not 0",
            f"{family}.family:direct_bound",
            _changed("error", 0.0),
        ),
        (
            "query error halved",
            MEAN_QUERY,
            "e(q) = Σ |dev_j| range_j",
            f"{family}.family:direct_bound",
            _changed("error", 0.5),
        ),
        (
            "dev and c from two vectors",
            MEAN_QUERY,
            "EUPU = v W_U + dev W_U for one v",
            f"{family}.direct:_around",
            _other_centre,
        ),
        (
            "spread dropped",
            MEAN_QUERY,
            "the other tokens write too: (1−α) W",
            f"{family}.family:output_tables",
            _changed("spread", 0.0),
        ),
        (
            "positions dropped",
            MEAN_QUERY,
            "positions write too: max_p PVOU",
            f"{family}.family:output_tables",
            _changed("position", 0.0),
        ),
        (
            "residual dropped",
            LOW_RANK,
            "EQKE = Ã + R",
            f"{family}.errors:score_split",
            _no_residual,
        ),
        (
            "residual dropped, recursive",
            RECURSIVE,
            "EQKE = Ã + R",
            f"{family}.errors:score_split",
            _no_residual,
        ),
        (
            "σ₁ instead of its bound",
            SPECTRAL,
            "R[q,i] − R[q,j] ≤ √2 σ₁(R)",
            "certkit.relax:product_singular_value",
            _scaled(0.05),
        ),
        (
            "cross terms dropped",
            LOW_RANK,
            "u, v need not be singular vectors",
            f"{family}.split:TwoFactors.peel",
            _without_cross_terms,
        ),
    ]
    return [
        Mutant(f"sub-cubic: {name}", s, why, (Patch(target, change),))
        for name, s, why, target, change in rows
    ]
