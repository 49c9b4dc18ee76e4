"""The sums of ``separable-pool`` against rationals and long decimals: every rounding, and no underflow."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import attrs
import mpmath
import pytest
import torch
from torch import Tensor

from certkit import cost, rounding
from proofs.paths import path_tables
from proofs.separable import pool
from proofs.separable.numerator import query_tables
from proofs.separable.pool_sums import PoolTerms, level_bounds, pool_terms, slack, steps
from tests.separable.rationals import VOCAB, K, cancelling_tables, numerator, rational, worst
from tests.support.models import Kind, Sizes, tiny_model

MULTIPLIER = torch.tensor(1.0, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(16))
def test_terms_are_above_rational_ones(seed: int) -> None:
    paths, query = cancelling_tables(seed)
    q, m = query.q, torch.arange(1, VOCAB)
    light = (torch.arange(VOCAB) < m[:, None]) & (torch.arange(VOCAB) % 2 == seed % 2)
    terms = pool_terms(paths, query, m, light)
    tokens = sorted(
        {*m.tolist()} | set((~light & (torch.arange(VOCAB) < m[:, None])).any(0).nonzero()[:, 0].tolist())
    )
    place = max(rational(query.position_upper, p) for p in range(K - 1))
    for i, maximum in enumerate(m.tolist()):
        shared = [t for t in range(VOCAB) if light[i, t]]
        weight = max((rational(query.weight_upper, -1, t) for t in shared), default=Fraction(0))
        for x in range(VOCAB):
            for j, t in enumerate(tokens):
                for p in range(K - 1):
                    bound = rational(terms.outer, p, j, x) + rational(terms.inner, p, j, i)
                    assert bound >= worst(query, -1, p, t, numerator(paths, p, t, x, maximum))
            assert rational(terms.asked, i, x) >= worst(
                query, -1, K - 1, q, numerator(paths, K - 1, q, x, maximum)
            )
            # the largest of the tokens and the largest of the positions need not meet
            gain = max((numerator(paths, 0, t, x, maximum) for t in shared), default=Fraction(0))
            if shared:
                first = numerator(paths, 0, shared[0], x, maximum)
                gain += max(numerator(paths, p, shared[0], x, maximum) - first for p in range(K - 1))
            assert rational(terms.light_upper, i, x) >= place * weight * max(Fraction(0), gain)


MODES = (-800.0, -333.0, -200.0), (-1.0, 0.0, 1.0), (150.0, 165.0, 170.0)


def extreme_terms(rng: random.Random) -> PoolTerms:
    """Two classes, m = 2 at the last of three tokens, with terms far from 0 that differ by position."""
    places = [rng.choice(MODES) for _ in range(rng.randint(1, 6))]

    def drawn(*shape: int, of: tuple[float, ...]) -> Tensor:
        numbers = [rng.choice(of) for _ in range(math.prod(shape))]
        return torch.tensor(numbers, dtype=torch.float64).reshape(shape)

    outer, inner = (torch.stack([drawn(3, 2, of=mode) for mode in places]) for _ in range(2))
    two = torch.tensor([2, 2])
    return PoolTerms(
        m=two,
        at=two,
        outer=outer,
        inner=inner,
        heavy=torch.tensor([[rng.random() < 0.5] * 2, [rng.random() < 0.5] * 2, [False] * 2]),
        asked=drawn(2, 2, of=(-500.0, -300.0, 0.0, 200.0)),
        light=torch.tensor([rng.randint(0, 2), rng.randint(0, 2)]),
        light_upper=drawn(2, 2, of=(0.0, 1.0, 100.0)),
        must_hold=torch.tensor([True, False]),
    )


def true_sum(terms: PoolTerms, step: int, i: int, x: int) -> mpmath.mpf:
    """Of one class and output, to 60 digits."""

    def power(exponent: float) -> mpmath.mpf:
        return mpmath.exp(mpmath.mpf(exponent) * step)

    whole, having = mpmath.mpf(1), mpmath.mpf(0)
    outer, inner = terms.outer.tolist(), terms.inner.tolist()
    for p in range(len(outer)):
        of_m = power(outer[p][2][x] + inner[p][2][i])
        below = int(terms.light[i]) * power(terms.light_upper[i, x].item())
        below += sum(power(outer[p][t][x] + inner[p][t][i]) for t in range(2) if terms.heavy[t, i])
        whole, having = whole * (below + of_m), having * below + whole * of_m  # m is last here
    return (having if terms.must_hold[i] else whole) * power(terms.asked[i, x].item())


def test_no_sum_underflows_or_is_cut() -> None:
    mpmath.mp.dps = 40
    rng, finite = random.Random(1), 0
    for _ in range(120):
        terms = extreme_terms(rng)
        more = mpmath.mpf(slack(terms, 3))
        for step, bounds in zip(steps(3), level_bounds(terms, MULTIPLIER, 3), strict=True):
            for i, row in enumerate(bounds.tolist()):
                for x, bound in enumerate(row):
                    finite += math.isfinite(bound)
                    assert math.isinf(bound) or bound * more >= true_sum(terms, step, i, x)
    assert finite > 300


@pytest.mark.parametrize(
    ("slots", "tokens", "levels"), [(0, 1, 3), (1, 3, 11), (1, 500, 1), (3, 7, 6), (1, 1, 1)]
)
def test_slack_makes_up_for_so_many_roundings(slots: int, tokens: int, levels: int) -> None:
    shape = torch.zeros((slots, tokens, 1), dtype=torch.float64)
    terms = PoolTerms(*(shape if field.name == "outer" else MULTIPLIER for field in attrs.fields(PoolTerms)))
    roundings = (slots + 1) * (2 * steps(levels)[-1] + tokens + 5)
    factor = Fraction(slack(terms, levels))
    unit = 2**53  # factor ≥ (1 − 1/unit)^-roundings
    assert factor.numerator * (unit - 1) ** roundings >= factor.denominator * unit**roundings


def test_each_level_costs_the_same() -> None:
    terms, spent = extreme_terms(random.Random(2)), []
    for levels in (2, 4):
        with cost.counting() as counted:
            for _ in level_bounds(terms, MULTIPLIER, levels):
                pass
        spent.append(counted.flops)
    exponentials = sum(t.numel() for t in (terms.outer, terms.inner, terms.asked, terms.light_upper))
    assert spent[1] - spent[0] > exponentials
    assert spent[1] <= 2 * spent[0] + exponentials


def test_the_bound_is_above_the_rational_sum_of_the_levels() -> None:
    """And above what `slack` adds to it: no rounding of the sum over the outputs is forgotten."""
    generator = torch.Generator().manual_seed(4)
    bounds = torch.rand((pool.LEVELS, 40, 300), dtype=torch.float64, generator=generator)
    index = {step: i for i, step in enumerate(steps(pool.LEVELS))}
    for factor in (1.0, 1.0 + 2.0**-52, 1.0 + 2.0**-40):
        pools = pool._shortest(bounds, factor)
        for i, (step, levels, failing) in enumerate(
            zip(pools.step.tolist(), pools.levels.tolist(), pools.failing_upper.tolist(), strict=True)
        ):
            own = [index[step * other] for other in steps(levels)]
            least = sum(map(Fraction, bounds[own, i].amin(0).tolist()), Fraction(0))
            assert Fraction(failing) >= least * Fraction(factor)


def test_the_bound_of_a_class_has_the_slack_of_all_levels() -> None:
    paths = path_tables(tiny_model(Kind.SKILLED, Sizes(6, 4), 1))
    query, m = query_tables(paths, 1), torch.arange(1, 6)
    light = torch.zeros(5, 6, dtype=torch.bool)
    terms = pool_terms(paths, query, m, light)
    bounds = torch.stack(list(level_bounds(terms, MULTIPLIER * 0.1, pool.LEVELS)))
    bounds[:, torch.arange(5), m] = 0.0
    least = bounds.amin(0).sum(1) * slack(terms, pool.LEVELS)
    found = pool.class_pools(paths, query, 0.1, m, light).failing_upper
    assert slack(terms, pool.LEVELS) > 1 + 2.0**-40
    assert bool((found >= least * (1 - 2.0**-48)).all())


def test_a_token_of_the_weight_that_is_named_is_light() -> None:
    query = query_tables(path_tables(tiny_model(Kind.SKILLED, Sizes(5, 3), 1)), 1)
    weight, m = query.weight_upper[-1], torch.tensor([3, 4, 4])
    most = torch.stack([weight[1], weight[1], rounding.mul_down(weight[1], MULTIPLIER * (1 - 2.0**-50))])
    light = pool._light(query, m, most)
    assert light[:, 1].tolist() == [True, True, False]
    assert not bool(light[torch.arange(3), m].any())
    assert not bool(light[0, 4])
