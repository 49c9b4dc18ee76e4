"""The rule for pools against its definition, computed over all sequences of a class, and the truth."""

from __future__ import annotations

import math
import random
import time
from itertools import product
from pathlib import Path

import mpmath
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from certkit.failing import MAX_LEVELS, round_up_32
from certkit.kernel.model import Model as KernelModel
from certkit.kernel.pools import ladder
from certkit.kernel.weights import read_weights
from certkit.runs import runs_from_tokens
from tests.kernel.test_pieces import flat
from tests.support.certs import oracle_of, saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.pools import LEVELS, MILD, NEAR, SIZES, Case, down_to_32, ends, steps
from tests.support.rows import Row, decide, pool_bounds, rule, tail_bounds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def multipliers(case: Case) -> tuple[float, float]:
    return 0.0, case.rng.uniform(0.01, 30) / case.definition.scale()


# ------------------------------------------------------------------------------------- the number


@given(kind=st.sampled_from(MILD), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_a_pool_is_what_its_definition_says_and_above_the_truth(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> None:
    case = Case(kind, sizes, seed, folder)
    certain, _ = case.definition.failing()
    for light in case.light_sets():
        for multiplier in multipliers(case):
            row = case.row(light, multiplier, case.some_levels())
            defined = case.definition.bound(row)
            assert defined * (1 + NEAR) >= certain
            least, ball = pool_bounds(case.kernel, case.entry, row, 200)
            lower, upper = ends(ball)
            assert least == 0
            assert defined * (1 - NEAR) <= upper
            assert lower <= defined * (1 + NEAR)
            assert upper - lower <= upper * NEAR
            most = round_up_32(int(mpmath.floor(defined * (1 + NEAR))))
            assert case.judged(row._replace(failing_at_most=most)) is None
            short = down_to_32(int(mpmath.floor(defined * (1 - NEAR))) - 1)
            if short >= 0:
                finding = case.judged(row._replace(failing_at_most=short))
                assert finding is not None
                assert (finding.verdict, finding.rule) == ("refuted", "pool")


@pytest.mark.parametrize("levels", range(1, MAX_LEVELS + 1))
def test_the_ladder_is_one_two_three_and_then_doubles_by_turns(levels: int) -> None:
    powers = [[arb(2), arb(4)], [arb(0.5)]]
    found = [[[tuple(map(int, a.man_exp())) for a in row] for row in step] for step in ladder(powers, levels)]
    assert found == [[[(1, s), (1, 2 * s)], [(1, -s)]] for s in steps(levels)]


@given(kind=st.sampled_from(MILD), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_balls_hold_the_number_at_every_precision(kind: Kind, sizes: Sizes, seed: int, folder: Path) -> None:
    """So a claim that a low precision refutes is false: no end of a ball goes into another ball's middle."""
    case = Case(kind, sizes, seed, folder)
    light = case.rng.choice(case.light_sets())
    row = case.row(light, multipliers(case)[1], case.rng.choice(LEVELS))
    defined = case.definition.bound(row)
    for bits in (4, 8, 20, 64, 100):
        lower, upper = ends(pool_bounds(case.kernel, case.entry, row, bits)[1])
        assert lower <= defined * (1 + NEAR)
        assert defined * (1 - NEAR) <= upper


@pytest.mark.parametrize("bits", [4, 8, 64, 128])
@pytest.mark.parametrize(
    ("places", "light", "x", "score", "gain"),
    [
        ([-1, 0, -5], {0, 1}, 3, -1, 9 + 9),
        ([-1, -2, 0], {0, 1}, 3, -2, 9 + 9),
        ([-1, -2, 0], {0, 1}, 0, -2, 4 + 3),
        ([-2, -1, 0], {1}, 1, -3, -2 + 5),
        ([0, -1, 1], {0, 1}, 1, -1, 5 + 5),
    ],
)
def test_a_light_term_is_no_end_of_a_ball(
    places: list[int], light: set[int], x: int, score: int, gain: int, bits: int
) -> None:
    """Nothing but weights is inexact here, so an end taken of one would miss the number."""
    mpmath.mp.dps = 60
    model = flat([[3, 5, 0, 9], [4, -2, 0, 9], [1, 1, 0, 9], [0, 0, 0, 0]])
    model.token[0], model.place[0] = [-1, -2, 0, 99], places
    entry = rule(0, 2, "pool", shift=max(places) / 2)
    lower, upper = ends(entry.light_term(model, sorted(light), x, bits))
    assert lower <= mpmath.exp((score - mpmath.mpf(max(places))) / 2) * gain <= upper
    assert upper - lower <= upper * mpmath.ldexp(16, -bits)


def test_without_light_tokens_no_multiplier_is_too_large() -> None:
    """Terms of 2^-900 under a multiplier of 2^900: nothing else is raised to that power."""
    model = flat([[-1, 0, 0], [-2, 0, 0], [-3, 0, 0]])
    entry = rule(0, 2, "tails", shift=900 * math.log(2))
    _, ball = tail_bounds(model, entry, Row((0,), (2.0**900,), 0, 0), 64)
    terms = [-1 - 1, -2 - 1, -3 - 1]  # of the token, and of the query's direct path
    sums = [terms[a] + terms[b] + terms[0] for a, b in product(range(3), repeat=2) if 2 in (a, b)]
    lower, upper = ends(ball)
    assert 0 < lower < upper < 1
    assert abs(upper - sum(math.exp(s) for s in sums)) < 1e-9


@given(kind=st.sampled_from(MILD), seed=st.integers(0, 10**6))
def test_light_tokens_take_the_largest_of_each_factor(kind: Kind, seed: int, folder: Path) -> None:
    """The light term is above every term it stands for, whatever tokens are called light."""
    case = Case(kind, Sizes(4, 3), seed, folder)
    d = case.definition
    for light in case.light_sets():
        for x in d.outputs if light else ():
            lower, upper = ends(case.entry.light_term(case.kernel, list(light), x, 128))
            assert upper >= max(0, *(d.term(p, t, x) for p in range(2) for t in light))
            defined = d.light_term(light, x)
            assert lower <= defined * (1 + NEAR)
            assert defined * (1 - NEAR) <= upper


# ------------------------------------------------------------------------------------- absurd numbers


def failing_case(folder: Path) -> tuple[Case, int]:
    """A class with failures, and how many are certain."""
    cases = (Case(Kind.INTEGER, Sizes(4, 3), seed, folder) for seed in range(100))
    return next((case, certain) for case in cases if (certain := case.definition.failing()[0]) > 3)


LIMIT = 60.0  # seconds that an absurd claim may take
ABSURD = (1.0, 1e10, 1e19, 1e40, 1e308, 5e-324)


@pytest.mark.parametrize("gain", [-3, 2])
def test_with_one_position_light_tokens_have_no_place(gain: int) -> None:
    """All that is there is the query, m = 2, and the two tokens called light are in no sequence."""
    model = flat([[9, 9, 0], [9, 9, 0], [gain, -9, 0]], k=1)
    row = Row((), (1.0,), 99 if gain > 0 else 0, light=(0, 1), levels=3)
    entry = rule(2, 2, "pool", rows=(row,))
    _, ball = pool_bounds(model, entry, row, 128)
    # by its value and by the direct path, the query gains each output twice
    assert ball.overlaps(sum((min(2 * g * s for s in (1, 2, 3)) * arb(1)).exp() for g in (gain, -9)))
    assert ball.rad() < 2**-100
    assert decide(model, entry, False).finding is None


@pytest.mark.parametrize("shift", [0.0, 1e300, -1e300, 700.0, -700.0])
@pytest.mark.parametrize("multiplier", ABSURD)
def test_absurd_numbers_certify_nothing_false(multiplier: float, shift: float, folder: Path) -> None:
    case, certain = failing_case(folder)
    start = time.process_time()
    for light in case.light_sets():
        row = case.row(light, multiplier, MAX_LEVELS, certain - 1)
        entry = rule(case.entry.q, case.entry.m, "pool", shift=case.shift + shift, rows=(row,))
        finding = decide(case.kernel, entry, False).finding
        assert finding is not None
        assert finding.verdict in ("refuted", "undecided")
    assert time.process_time() - start < LIMIT


@given(kind=st.sampled_from(Kind), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_pools_of_extreme_models_are_above_the_truth(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> None:
    """Whatever the numbers, a claim below the failures that an exact enumeration finds is not verified."""
    model = tiny_model(kind, sizes, seed % 7)
    kernel, rng = KernelModel(read_weights(saved(model, folder))), random.Random(seed)
    failing: dict[tuple[int, int], int] = {}
    for tokens in oracle_of(model).failing():
        place = tokens[-1], max(tokens)
        failing[place] = failing.get(place, 0) + 1
    for (q, m), wrong in failing.items():
        light = runs_from_tokens([t for t in range(m) if rng.random() < 0.5])
        for multiplier in (0.0, 10.0 ** rng.uniform(-10, 10)):
            row = Row((), (multiplier,), wrong - 1, 0, light=light, levels=rng.choice(LEVELS))
            shift = rng.choice([0.0, 1.0, 1e3, -1e3])
            assert decide(kernel, rule(q, m, "pool", shift=shift, rows=(row,)), False).finding is not None
