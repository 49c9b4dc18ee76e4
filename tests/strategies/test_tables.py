"""Path tables and scaled weights contain the exact values."""

from __future__ import annotations

import flint
import pytest
import torch
from flint import arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

from certkit.interval import Interval
from proofs.cells import everything, largest_n, max_over_others
from proofs.model import Model
from proofs.paths import path_tables
from proofs.weights import attention_weights
from tests.support.drawn import tiny_models
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth


def _arb(value: float) -> arb:
    return arb(fmpq(*value.as_integer_ratio()))


def _contains(table: Interval, index: tuple[int, ...], exact: arb | fmpq) -> bool:
    lo, hi = table.lo[index].item(), table.hi[index].item()
    above = lo == -float("inf") or bool(_arb(lo) <= exact)
    return above and (hi == float("inf") or bool(exact <= _arb(hi)))


@given(tiny_models())
def test_path_tables_contain_the_exact_values(model: Model) -> None:
    truth, paths = Truth(model), path_tables(model)
    with flint.ctx.workprec(400):
        root = arb(model.d_head).sqrt()
        for q in range(model.vocab):
            for t in range(model.vocab):
                # d_head may be a square: an exact endpoint then equals the value
                score = (truth.eqke[q, t] / int(model.d_head**0.5)) if model.d_head in (1, 4) else None
                assert _contains(
                    paths.EQKE, (q, t), arb(truth.eqke[q, t]) / root if score is None else arb(score)
                )
                assert _contains(paths.EVOU, (q, t), arb(truth.evou[q, t]))
                assert _contains(paths.EUPU, (q, t), arb(truth.eupu[q, t]))
            for p in range(model.n_ctx):
                assert paths.EQKP.lo[q, p] <= paths.EQKP.hi[q, p]
                assert _contains(paths.PVOU, (p, q), arb(truth.pvou[p, q]))


@given(tiny_models(), st.integers(0, 10**6))
def test_scaled_weights_contain_the_exact_values(model: Model, excess: int) -> None:
    """The division by 2^reference is part of the check; a far reference gives [0, tiny]."""
    truth, weights = Truth(model), attention_weights(model)
    reference = weights.exponent.amax() + excess
    scaled = weights.over(reference)
    with flint.ctx.workprec(1200):
        unit = arb(2) ** int(reference.item())
        for q in range(model.vocab):
            for t in range(model.vocab):
                for p in range(model.n_ctx):
                    exact = truth.weight(q, t, p, 1200) / unit
                    assert scaled.lo[q, t, p] >= 0
                    assert _contains(scaled, (q, t, p), exact)


def test_weights_keep_their_accuracy_where_exponentials_overflow() -> None:
    weights = attention_weights(tiny_model(Kind.HUGE, Sizes(5, 3), 4))
    score = path_tables(tiny_model(Kind.HUGE, Sizes(5, 3), 4)).EQKE
    assert float(score.hi.abs().max()) > 1000
    assert float(weights.significand.lo.min()) > 0.4
    assert float(weights.significand.hi.max()) < 2.1


def test_a_reference_below_an_exponent_is_refused() -> None:
    weights = attention_weights(tiny_model(Kind.SKILLED, Sizes(3, 2), 0))
    with pytest.raises(ValueError, match="reference must be at least"):
        weights.over(weights.exponent.amax() - 1)


@given(st.integers(2, 7), st.integers(0, 2**31))
def test_max_over_others(width: int, seed: int) -> None:
    values = torch.randint(-3, 4, (4, width), generator=torch.Generator().manual_seed(seed)).double()
    got = max_over_others(Interval.exact(values))
    for m in range(width):
        others = [x for x in range(width) if x != m]
        assert torch.equal(got.lo[:, m], values[:, others].amax(1))
        assert torch.equal(got.hi[:, m], values[:, others].amax(1))


def test_max_over_others_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 columns"):
        max_over_others(Interval.exact(torch.zeros(3, 1)))


def test_everything_counts_everything() -> None:
    for sizes in (Sizes(1, 1), Sizes(1, 3), Sizes(3, 1), Sizes(4, 3)):
        model = tiny_model(Kind.GAUSSIAN, sizes, 0)
        assert everything(model).correct_at_least == model.total
        assert everything(model).correct_at_most == model.total


def test_largest_n() -> None:
    assert [largest_n(q, 2, 3) for q in range(3)] == [1, 1, 2]
    assert largest_n(0, 0, 3) == 0
