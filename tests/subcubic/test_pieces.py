"""The law of each choice, against exact rationals and balls, for witnesses from anywhere."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import attrs
import flint
import pytest
import torch
from flint import arb, fmpq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certkit.exact import Truth, truth_of
from certkit.interval import Interval
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.model import Model
from proofs.subcubic.attention import attention_on_max
from proofs.subcubic.cells import gap_cells
from proofs.subcubic.direct import DIRECT_PATHS, direct_bound
from proofs.subcubic.errors import ATTENTION_ERRORS, AttentionError, LowRank
from proofs.subcubic.handling import DropAverage, MeanQueryDiff
from proofs.subcubic.tables import OutputTables, position_weights, wrong_tokens
from tests.subcubic.support import QUICK, all_cells, model_of, random_witness

_KINDS = st.sampled_from([Kind.SKILLED, Kind.GAUSSIAN, Kind.INTEGER, Kind.TWIN, Kind.SHARP])
_SEEDS = st.integers(0, 2**32 - 1)
_ERRORS = st.sampled_from(ATTENTION_ERRORS)


def case(kind: Kind, seed: int) -> tuple[Model, Truth, torch.Generator]:
    weights = tiny_weights(kind, Sizes(4, 3), seed % 997)
    return model_of(weights), truth_of(weights), torch.Generator().manual_seed(seed)


def directions_for(
    error: AttentionError, model: Model, generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """Singular vectors or anything, by the seed."""
    strategy = next(s for s in QUICK if s.error.name == error.name)
    if torch.rand((), generator=generator) < 0.5:
        return strategy.error.propose(model)
    return random_witness(strategy, model, generator).directions


def exactly(value: float) -> fmpq:
    return fmpq(*Fraction(value).as_integer_ratio())


def above(interval: Interval, *index: int) -> fmpq | None:
    """The upper end as a rational; None if it is infinite."""
    value = float(interval.hi[index])
    return None if value == float("inf") else exactly(value)


@given(_KINDS, _SEEDS)
def test_direct_path_bounds_every_difference(kind: Kind, seed: int) -> None:
    model, truth, generator = case(kind, seed)
    others = wrong_tokens(model.vocab)
    for path in DIRECT_PATHS:
        strategy = next(s for s in QUICK if s.path == path)
        bound = direct_bound(model, path, random_witness(strategy, model, generator).direct)
        for q, m, column in product(range(model.vocab), range(model.vocab), range(model.vocab - 1)):
            x = int(others[m, column])
            offset = fmpq(0) if bound.offset is None else above(bound.offset, m, column)
            error = above(bound.error, q)
            difference = truth.eupu[q, x] - truth.eupu[q, m]
            assert offset is None or error is None or difference <= offset + error, (path.name, q, m, x)
            alone = above(bound.alone, m, column)
            assert q != m or alone is None or difference <= alone


@given(_KINDS, _SEEDS, _ERRORS)
def test_peeling_is_an_identity(kind: Kind, seed: int, error: AttentionError) -> None:
    """approx + F₁F₂… contains EQKE, for any directions."""
    model, truth, generator = case(kind, seed)
    if not isinstance(error, LowRank):
        return
    peeled = error.factoring.peel(model, directions_for(error, model, generator))
    total, *rest = peeled.factors
    for factor in rest:
        total = total @ factor
    total = total + peeled.approx
    with flint.ctx.workprec(256):
        root = arb(model.d_head).sqrt()
        for q, k in product(range(model.vocab), repeat=2):
            score = arb(truth.eqke[q, k]) / root
            assert not (arb(float(total.lo[q, k])) > score), (error.name, q, k)
            assert not (arb(float(total.hi[q, k])) < score), (error.name, q, k)


@given(_KINDS, _SEEDS, _ERRORS)
def test_attention_of_every_sequence_lies_between_the_ends(
    kind: Kind, seed: int, error: AttentionError
) -> None:
    model, truth, generator = case(kind, seed)
    split = error.split(model, directions_for(error, model, generator))
    gap = int(torch.randint(1, model.vocab, (), generator=generator))
    cells = gap_cells(torch.full((model.vocab, model.vocab, model.n_ctx), gap))
    ends = attention_on_max(split, position_weights(model), cells)
    assert not bool(ends.lo.isnan().any() | ends.hi.isnan().any())
    assert bool((ends.lo >= 0).all() & (ends.lo <= ends.hi).all())
    index = {
        key: i for i, key in enumerate(zip(cells.q.tolist(), cells.m.tolist(), cells.n.tolist(), strict=True))
    }
    for sequence in truth.sequences():
        q, m = sequence[-1], max(sequence)
        n = sum(token != m for token in sequence[:-1])
        cell = index.get((q, m, n))
        if cell is None or any(m - gap < token < m for token in sequence):
            continue
        with flint.ctx.workprec(256):
            weights = [truth.weight(q, token, p, 256) for p, token in enumerate(sequence)]
            on_max = sum((w for w, token in zip(weights, sequence, strict=True) if token == m), arb(0))
            attention = on_max / sum(weights, arb(0))
            assert not (attention < arb(float(ends.lo[0, cell]))), (error.name, sequence)
            assert not (attention > arb(float(ends.hi[1, cell]))), (error.name, sequence)


def random_tables(generator: torch.Generator, vocab: int = 5) -> tuple[OutputTables[Interval], Interval]:
    def points(*shape: int) -> Interval:
        return Interval.exact(torch.randint(-8, 9, shape, generator=generator).double())

    slope = points(vocab, vocab - 1)
    tables = OutputTables(
        slope=slope,
        slope_max=slope.amax(-1),
        slope_min=slope.amin(-1),
        position=points(vocab, vocab - 1),
        spread=points(vocab).abs().cummax(0),
    )
    return tables, points(vocab, vocab - 1)


@given(_SEEDS)
def test_handling_bounds_the_worst_wrong_token(seed: int) -> None:
    """Against ``max_x [L(x) + α R(x)]`` in exact rationals; anchors anywhere, α in [0, 1] and its ends."""
    generator = torch.Generator().manual_seed(seed)
    tables, constant = random_tables(generator)
    anchors = torch.randn(3, 5, generator=generator, dtype=torch.float64) * 3
    alpha = torch.randint(0, 17, (2, 40), generator=generator).double() / 16
    m = torch.randint(0, 5, (40,), generator=generator)
    for handling, given_anchors in ((MeanQueryDiff(), anchors), (DropAverage(), anchors[:0])):
        bound = handling.wrong_logit(
            tables, constant, Interval.exact(given_anchors), Interval.exact(alpha), m
        )
        for end, cell in product(range(2), range(40)):
            row = int(m[cell])
            worst = max(
                Fraction(l_x) + Fraction(float(alpha[end, cell])) * Fraction(r_x)
                for l_x, r_x in zip(constant.lo[row].tolist(), tables.slope.lo[row].tolist(), strict=True)
            )
            assert worst <= Fraction(float(bound.hi[end, cell])), handling.name


@given(_SEEDS)
def test_anchors_at_zero_are_the_dropped_average(seed: int) -> None:
    tables, constant = random_tables(torch.Generator().manual_seed(seed))
    m = torch.arange(5)
    alpha = Interval.exact(torch.rand(2, 5, generator=torch.Generator().manual_seed(seed)).double())
    zero = Interval.exact(torch.zeros(1, 5))
    anchored = MeanQueryDiff().wrong_logit(tables, constant, zero, alpha, m)
    dropped = DropAverage().wrong_logit(tables, constant, zero[:0], alpha, m)
    assert bool((anchored.hi == dropped.hi).all())


# ------------------------------------------------------------------ what theory says about the order


@given(_KINDS, _SEEDS)
@pytest.mark.parametrize("cheap", ["svd", "max-diff", "mean+max-diff"])
def test_two_factors_the_range_multiplied_out_is_the_least(cheap: str, kind: Kind, seed: int) -> None:
    model, _, generator = case(kind, seed)
    exact, other = (next(e for e in ATTENTION_ERRORS if e.name == name) for name in ("max-diff-exact", cheap))
    assert isinstance(exact, LowRank)
    assert isinstance(other, LowRank)
    factors = exact.factoring.peel(model, directions_for(exact, model, generator)).factors
    assert bool((exact.bound.row_range(factors).lo <= other.bound.row_range(factors).hi).all())


@given(_KINDS, _SEEDS)
def test_four_factors_multiplying_out_never_hurts(kind: Kind, seed: int) -> None:
    """Recursive bounds are no better than the product split at any one place."""
    model, _, generator = case(kind, seed)
    names = ("max-diff-subproduct", "max-diff-subproduct-recursive")
    split, recursive = (next(e for e in ATTENTION_ERRORS if e.name == name) for name in names)
    assert isinstance(split, LowRank)
    assert isinstance(recursive, LowRank)
    factors = split.factoring.peel(model, directions_for(split, model, generator)).factors
    slack = 1 + 1e-9  # both are upper bounds, rounded up by their own amounts
    better, worse = split.bound.row_range(factors).hi, recursive.bound.row_range(factors).hi
    assert bool((better <= worse * slack + 1e-280).all())


@settings(max_examples=10)
@given(_KINDS, _SEEDS)
@example(Kind.GAUSSIAN, 151)  # with three different anchors the split with exact ranges is the better one
def test_the_margin_of_exact_handling_is_the_least(kind: Kind, seed: int) -> None:
    """At equal cells and witnesses: a global range is no better than the row's, and the split with exact
    ranges no better than exact scores; margins are compared as intervals.

    With one anchor the bound is convex in the attention, so that a narrower range of it is no worse. The
    least over several anchors is not convex: both ends are still bounds, but those of a range inside
    another may be larger.
    """
    model, _, generator = case(kind, seed)
    cells = all_cells(model)
    handling = "--attn-mean-query+diff--attn-err-"
    anchors = torch.rand(1, model.vocab, generator=generator, dtype=torch.float64).repeat(3, 1)

    def margin(path: str, error: str) -> Interval:
        strategy = next(s for s in QUICK if s.name == f"EUPU-{path}{handling}{error}")
        witness = attrs.evolve(random_witness(strategy, model, generator), anchors=anchors)
        return strategy.margin(model, witness, cells)

    best = margin("max-diff-exact", "exact-EQKE+max-diff-exact")
    for path, error in (
        ("global-max-diff-exact", "exact-EQKE+max-diff-exact"),
        ("max-diff-exact", "max-diff-exact"),
        ("max-diff-exact", "svd"),
        ("max-diff-exact", "mean-recursive+max-diff-subproduct-recursive"),
    ):
        assert bool(best.possibly_le(margin(path, error)).all()), (path, error)
