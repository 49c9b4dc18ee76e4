"""The unsound variants: one wrong step each, in arithmetic, in the published family, in the separable
family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import torch
from torch import Tensor

from certkit.content import Cell, CertifiedSet, SetContent, TailContent
from certkit.interval import Interval
from certkit.relax import split_directions
from proofs.mutants.patching import Mutant, Patch
from proofs.strategy import strategies

_SUB_CUBIC: Final = "EUPU-{}--attn-{}--attn-err-{}".format
_EXACT: Final = _SUB_CUBIC("mean-query+max-diff", "mean-query+diff", "exact-EQKE+max-diff-exact")
_MEAN: Final = _SUB_CUBIC("mean-query+max-diff", "mean-query+diff", "exact-EQKE+max-diff-exact")
_LOW_RANK: Final = _SUB_CUBIC("mean-query+max-diff", "mean-query+diff", "max-diff")
_SPECTRAL: Final = _SUB_CUBIC("mean-query+max-diff", "mean-query+diff", "svd")
_RECURSIVE: Final = _SUB_CUBIC("mean-query+max-diff", "mean-query+diff", "max-diff-subproduct-recursive")


def _constant(result: Any) -> Callable[[Any], Any]:
    """Replace a function by another one, whatever it was."""
    return lambda original: result


# --- arithmetic ---


def _point_product(original: Callable[..., Any]) -> Callable[..., Any]:
    """Matrix products without their error bound."""

    def matmul(a: Any, b: Any) -> Any:
        lo, hi = original(a, b)
        middle = lo * 0.5 + hi * 0.5
        return middle, middle

    return matmul


_FLOATS: Final = (
    Patch("certkit.linalg:matmul", _point_product),
    Patch("certkit.rounding:add_up", _constant(torch.add)),
    Patch("certkit.rounding:add_down", _constant(torch.add)),
    Patch("certkit.rounding:sub_up", _constant(torch.sub)),
    Patch("certkit.rounding:sub_down", _constant(torch.sub)),
    Patch("certkit.rounding:mul_up", _constant(torch.mul)),
    Patch("certkit.rounding:mul_down", _constant(torch.mul)),
    Patch("certkit.rounding:add_both", _constant(lambda a, b: (a + b, a + b))),
    Patch("certkit.rounding:mul_both", _constant(lambda a, b: (a * b, a * b))),
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


def _arithmetic() -> list[Mutant]:
    everywhere = ("brute-force", "cubic", "separable-exact", "separable-tail", "separable-gap", _EXACT)
    mutants = []
    for strategy in everywhere:
        short = "sub-cubic" if strategy == _EXACT else strategy
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


# --- cells and counts of any strategy ---


def _larger_sets(entry: Any) -> Any:
    """Every cell also takes the next token below m, if there is one."""
    if not isinstance(entry, SetContent):
        return entry
    cells = tuple(
        Cell(c.n, (*c.allowed[:-1], c.allowed[-1] + 1)) if c.n and c.allowed[-1] + 1 < entry.m else c
        for c in entry.cells
    )
    return attrs.evolve(entry, cells=cells)


def _one_more_slot(entry: Any) -> Any:
    """The cell of n slots is claimed for n + 1."""
    if not isinstance(entry, SetContent) or not entry.cells:
        return entry
    cell = entry.cells[-1]
    return (
        attrs.evolve(entry, cells=(*entry.cells[:-1], attrs.evolve(cell, n=cell.n + 1))) if cell.n else entry
    )


def _on_entries(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change what a verification certifies, entry by entry."""

    def replace(original: Callable[..., CertifiedSet]) -> Callable[..., CertifiedSet]:
        def verify(self: Any, model: Any, witness: Any) -> CertifiedSet:
            certified = original(self, model, witness)
            entries = tuple(map(change, certified.entries))
            within = all(c.n < certified.k for e in entries if isinstance(e, SetContent) for c in e.cells)
            return attrs.evolve(certified, entries=entries) if within else certified

        return verify

    return replace


def _no_exceptions(entry: Any) -> Any:
    if not isinstance(entry, SetContent):
        return entry
    return attrs.evolve(
        entry, boxes=tuple(attrs.evolve(b, exceptions=b.exceptions[:-1]) for b in entry.boxes)
    )


def _fewer_failures(entry: Any) -> Any:
    if not isinstance(entry, TailContent):
        return entry
    tails = tuple(attrs.evolve(t, failing_at_most=t.failing_at_most // 2) for t in entry.tails)
    return attrs.evolve(entry, tails=tails)


def _no_rows(entry: Any) -> Any:
    return attrs.evolve(entry, tails=entry.tails[1:]) if isinstance(entry, TailContent) else entry


def _counting() -> list[Mutant]:
    cubic, family = "proofs.cubic:Cubic.verify", "proofs.subcubic.family:SubCubic.verify"
    exact, tail = "proofs.separable.exact:SeparableExact.verify", "proofs.separable.tail:SeparableTail.verify"
    rows = [
        (
            "cubic: one token more in each set",
            "cubic",
            "S must hold passing tokens only",
            cubic,
            _larger_sets,
        ),
        ("cubic: n off by one", "cubic", "n of the d_p are added, not n − 1", cubic, _one_more_slot),
        ("sub-cubic: gap off by one", _EXACT, "tokens are ≤ m − gap", family, _larger_sets),
        ("separable-exact: an exception lost", "separable-exact", "it fails", exact, _no_exceptions),
        (
            "brute-force: an exception lost",
            "brute-force",
            "it fails",
            "proofs.brute_force:BruteForce.verify",
            _no_exceptions,
        ),
        (
            "separable-tail: failures halved",
            "separable-tail",
            "the tail bound is not that small",
            tail,
            _fewer_failures,
        ),
        (
            "separable-tail: an output left out",
            "separable-tail",
            "an x without a row must never fail",
            tail,
            _no_rows,
        ),
    ]
    return [
        Mutant(name, s, why, (Patch(target, _on_entries(change)),)) for name, s, why, target, change in rows
    ]


# --- the published family ---


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


def _published() -> list[Mutant]:
    family = "proofs.subcubic"
    ends, handling = f"{family}.search:attention_on_max", f"{family}.handling:MeanQueryDiff.wrong_logit"
    rows = [
        (
            "least attention only",
            _EXACT,
            "the bound is convex in α: either end may be the larger",
            ends,
            _one_end(0),
        ),
        (
            "most attention only",
            _EXACT,
            "the bound is convex in α: either end may be the larger",
            ends,
            _one_end(1),
        ),
        (
            "δ·max R for negative δ",
            _EXACT,
            "for δ < 0 the larger product is δ·min R",
            handling,
            _steepest_always,
        ),
        (
            "query error dropped",
            _EXACT,
            "EUPU[q] is not 0",
            f"{family}.family:direct_bound",
            _changed("error", 0.0),
        ),
        (
            "query error halved",
            _MEAN,
            "e(q) = Σ |dev_j| range_j",
            f"{family}.family:direct_bound",
            _changed("error", 0.5),
        ),
        (
            "dev and c from two vectors",
            _MEAN,
            "EUPU = v W_U + dev W_U for one v",
            f"{family}.direct:_around",
            _other_centre,
        ),
        (
            "spread dropped",
            _EXACT,
            "the other tokens write too: (1−α) W",
            f"{family}.family:output_tables",
            _changed("spread", 0.0),
        ),
        (
            "positions dropped",
            _EXACT,
            "positions write too: max_p PVOU",
            f"{family}.family:output_tables",
            _changed("position", 0.0),
        ),
        (
            "residual dropped",
            _LOW_RANK,
            "EQKE = Ã + R",
            f"{family}.errors:score_split",
            _no_residual,
        ),
        (
            "residual dropped, recursive",
            _RECURSIVE,
            "EQKE = Ã + R",
            f"{family}.errors:score_split",
            _no_residual,
        ),
        (
            "σ₁ instead of its bound",
            _SPECTRAL,
            "R[q,i] − R[q,j] ≤ √2 σ₁(R)",
            "certkit.relax:product_singular_value",
            _scaled(0.05),
        ),
        (
            "cross terms dropped",
            _LOW_RANK,
            "u, v need not be singular vectors",
            f"{family}.split:TwoFactors.peel",
            _without_cross_terms,
        ),
    ]
    return [
        Mutant(f"sub-cubic: {name}", s, why, (Patch(target, change),))
        for name, s, why, target, change in rows
    ]


# --- cubic and the separable family ---


def _upper_weight_always(lower: Tensor, upper: Tensor, value: Tensor) -> Tensor:
    """The sign rule ignored: the upper end of the weight for negative values, too."""
    return torch.where(value == -torch.inf, value, upper * value)


def _lower_weight_always(lower: Tensor, upper: Tensor, value: Tensor) -> Tensor:
    return torch.where(value == -torch.inf, value, lower * value)


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


def _separable() -> list[Mutant]:
    home = "proofs.separable"
    numerator, bands = f"{home}.numerator:scale_up", f"{home}.bands:scale_up"
    sign = "a negative value is largest with the least weight"
    rows = [
        (
            "cubic: one position for all",
            "cubic",
            "PVOU differs by position",
            "proofs.cubic:_bounds",
            _first_position,
        ),
        ("cubic: direct path dropped", "cubic", "EUPU[q] is not 0", "proofs.cubic:_bounds", _without_direct),
        (
            "cubic: mean for maximum over x",
            "cubic",
            "every x must be beaten",
            "proofs.cubic:max_over_others",
            _less_than_max,
        ),
        (
            "separable-gap: sign rule ignored",
            "separable-gap+low-rank",
            sign,
            bands,
            _constant(_upper_weight_always),
        ),
        (
            "separable-gap: lower weights",
            "separable-gap+low-rank",
            sign,
            bands,
            _constant(_lower_weight_always),
        ),
        (
            "separable-exact: lower weights",
            "separable-exact",
            sign,
            numerator,
            _constant(lambda lo, hi, v: _lower_weight_always(lo * 0.5, hi, v)),
        ),
        (
            "separable-tail: query term dropped",
            "separable-tail",
            "the query's term is part of the sum",
            f"{home}.alive:class_worst",
            _free_of_max,
        ),
        (
            "separable-tail: query factor dropped",
            "separable-tail",
            "e^{λ f(q)} is a factor",
            f"{home}.tail:failing_upper",
            _no_query_term,
        ),
        (
            "separable-tail: sums halved",
            "separable-tail",
            "Σ_t runs over all tokens",
            f"{home}.tail:sum_positive_up",
            _half_the_tokens,
        ),
        (
            "separable-gap: norms halved",
            "separable-gap+low-rank",
            "Cauchy–Schwarz",
            f"{home}.scores:norm_upper",
            lambda f: lambda x, dim: f(x, dim) * 0.1,
        ),
    ]
    return [Mutant(name, s, why, (Patch(target, change),)) for name, s, why, target, change in rows]


PRODUCERS: tuple[Mutant, ...] = (*_arithmetic(), *_counting(), *_published(), *_separable())
"""Every mutant."""

_KNOWN = {strategy.name for strategy in strategies()}
if missing := {mutant.strategy for mutant in PRODUCERS} - _KNOWN:
    raise LookupError(f"mutants of unknown strategies: {sorted(missing)}")
