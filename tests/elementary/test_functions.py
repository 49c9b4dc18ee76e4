"""Every function of one variable at points: exact containment and the documented tightness, special values,
shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest
import torch
from flint import arb, ctx
from torch import Tensor

from certkit import Interval, elementary

from .oracle import AWKWARD, Function, check_points, neighbours, random_bits, uniform

INF = math.inf
Bounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@attrs.frozen
class Case:
    bounds: Bounds
    truth: Function
    low: float
    high: float
    ulps: float


def sigmoid(x: arb) -> arb:
    return 1 / (1 + (-x).exp())


CASES = {
    "expm1": Case(elementary.expm1_bounds, arb.expm1, -1e5, 1000.0, 3.0),
    "log1p": Case(elementary.log1p_bounds, arb.log1p, -1.0 + 2.0**-53, 1.7e308, 3.0),
    "tanh": Case(elementary.tanh_bounds, arb.tanh, -1e4, 1e4, 2.0),
    "sigmoid": Case(elementary.sigmoid_bounds, sigmoid, -1500.0, 1500.0, 3.0),
    "erf": Case(elementary.erf_bounds, arb.erf, -40.0, 40.0, 3.0),
    "sin": Case(elementary.sin_bounds, arb.sin, -1.7e308, 1.7e308, 2.0),
    "cos": Case(elementary.cos_bounds, arb.cos, -1.7e308, 1.7e308, 2.0),
}
MONOTONE = ["expm1", "log1p", "tanh", "sigmoid", "erf"]

# where a method hands over to another, and where results are near a power of two
SEAMS = [
    *(k * math.log(2) / 2 for k in range(-140, 140)),
    *(k * math.pi / 4 for k in range(-100, 100)),
    *(j / 16 + 1 / 32 for j in range(100)),
    *(s * 2.0**-k for k in range(1, 80) for s in (1, -1)),
    *(s * v for v in (0.5, 6.0, 20.0, 24.0, 40.0, 45.0, 700.0, 2.0**30, 2.0**60) for s in (1, -1)),
    6381956970095103 * 2.0**797,  # the float nearest to a multiple of pi/2
]


def inputs(case: Case, scale: int) -> Tensor:
    x = torch.cat(
        [
            uniform(100 * scale, 0, -1, 1),
            uniform(100 * scale, 1, -50, 50),
            uniform(50 * scale, 2, -800, 800),
            random_bits(50 * scale, 3),
            uniform(20 * scale, 4, -(2.0**-51), 2.0**-51),  # where 1 + x is 1 or next to it
            neighbours(AWKWARD),
            neighbours(SEAMS, 1 if scale < 100 else 4),
        ]
    )
    return x[(x >= case.low) & (x <= case.high)]


@pytest.mark.parametrize("scale", [20, pytest.param(1200, marks=pytest.mark.extended)])
@pytest.mark.parametrize("name", CASES)
def test_contains_the_truth_within_the_documented_ulps(name: str, scale: int, device: torch.device) -> None:
    case = CASES[name]
    x = inputs(case, scale).to(device)
    check_points(case.truth, x, *case.bounds(x, x), max_ulps=case.ulps)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 64, 1001, 2**31 - 1, -1, -2, -3, -17, -(2**31) + 1])
@pytest.mark.parametrize("scale", [4, pytest.param(200, marks=pytest.mark.extended)])
def test_powers_contain_the_truth(n: int, scale: int, device: torch.device) -> None:
    x = torch.cat(
        [
            uniform(100 * scale, 0, -3, 3),
            random_bits(100 * scale, 1),
            1 + uniform(50 * scale, 2, -1e-6, 1e-6),
            neighbours([1.0, -1.0, math.sqrt(2), 10.0, 2.0, 3.0]),
            neighbours([2.0 ** (k / abs(n)) for k in (-1074, -1022, 1023)]),
        ]
    )
    x = x[x != 0].to(device)
    check_points(lambda t: t**n, x, *elementary.pow_bounds(x, x, n), max_ulps=2.0)


EXACT = {
    "expm1": [(0.0, 0.0), (-0.0, 0.0)],
    "log1p": [(0.0, 0.0), (-0.0, 0.0)],
    "tanh": [(0.0, 0.0)],
    "sigmoid": [(0.0, 0.5)],
    "erf": [(0.0, 0.0)],
    "sin": [(0.0, 0.0), (-0.0, 0.0)],
    "cos": [(0.0, 1.0)],
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_values_stay_points(name: str, device: torch.device) -> None:
    for x, y in EXACT[name]:
        point = torch.tensor([x], dtype=torch.float64, device=device)
        down, up = CASES[name].bounds(point, point)
        assert (down.item(), up.item()) == (y, y)


LIMITS = {
    "expm1": (-1.0, INF),
    "log1p": (-INF, INF),
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_whole_line_gives_the_whole_range(name: str, device: torch.device) -> None:
    line = Interval.entire(1).to(device)
    down, up = CASES[name].bounds(line.lo, line.hi)
    assert (down.item(), up.item()) == LIMITS[name]


@pytest.mark.parametrize("name", MONOTONE)
def test_monotone_functions_use_the_ends(name: str) -> None:
    bounds = CASES[name].bounds
    lo = uniform(20011, 4, -60, 60)
    lo = lo.clamp(min=-0.999) if name == "log1p" else lo
    hi = lo + uniform(20011, 5, 0, 2)
    down, up = bounds(lo.reshape(11, -1) if lo.numel() % 11 == 0 else lo, hi)
    assert torch.equal(down, bounds(lo, lo)[0])
    assert torch.equal(up, bounds(hi, hi)[1])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_shapes(name: str, shape: tuple[int, ...], device: torch.device) -> None:
    x = torch.full(shape, 0.3, dtype=torch.float64, device=device)
    down, up = CASES[name].bounds(x, x + 0.1)
    assert down.shape == up.shape == shape
    transposed = torch.full((3, 2), 0.3, dtype=torch.float64, device=device).mT
    assert CASES[name].bounds(transposed, transposed)[0].shape == (2, 3)


def test_log1p_outside_its_domain_is_empty(device: torch.device) -> None:
    lo = torch.tensor([-5.0, -1.0, -3.0], dtype=torch.float64, device=device)
    hi = torch.tensor([-2.0, -1.0, 0.0], dtype=torch.float64, device=device)
    down, up = elementary.log1p_bounds(lo, hi)
    assert down.tolist() == [INF, INF, -INF]
    assert up.tolist() == [-INF, -INF, 0.0]


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("count", [2000, pytest.param(100000, marks=pytest.mark.extended)])
def test_sine_and_cosine_over_intervals(name: str, count: int, device: torch.device) -> None:
    """Extrema inside are found, and only those: the bound is the truth of a range computed in ball
    arithmetic.
    """
    bounds, truth = CASES[name].bounds, CASES[name].truth
    far = [random_bits(count // 10, 2), uniform(count // 10, 3, -1e12, 1e12)]
    lo = torch.cat([uniform(count, 1, -20, 20), *far])
    hi = lo + uniform(lo.numel(), 4, 0, 8) * (lo.abs() < 1e15)
    low, high = lo.to(device), hi.to(device)
    ranges = [bounds(low, high), bounds(low, low), bounds(high, high)]
    (down, up), (down_lo, up_lo), (down_hi, up_hi) = [(a.cpu(), b.cpu()) for a, b in ranges]
    extrema = [extrema_inside(name, a, b) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)]
    top, bottom = torch.tensor(extrema).unbind(1)
    assert bool((up == 1.0)[top].all())
    assert bool((down == -1.0)[bottom].all())
    narrow = hi - lo < 6.28
    assert torch.equal(up[narrow & ~top], torch.maximum(up_lo, up_hi)[narrow & ~top])
    assert torch.equal(down[narrow & ~bottom], torch.minimum(down_lo, down_hi)[narrow & ~bottom])
    inside = lo + (hi - lo) * uniform(lo.numel(), 5, 0, 1)
    inside = torch.minimum(torch.maximum(inside, lo), hi)
    check_points(truth, inside, down, up, max_ulps=INF)


def extrema_inside(name: str, lo: float, hi: float) -> tuple[bool, bool]:
    """Whether a maximum and a minimum lie in [lo, hi]: ``(x - offset)/(2 pi)`` passes an integer."""
    ctx.prec = 1200
    offset = arb.pi() / 2 if name == "sin" else arb(0)

    def passes(shift: arb) -> bool:
        first = ((arb(lo) - offset - shift) / (2 * arb.pi())).ceil().unique_fmpz()
        last = ((arb(hi) - offset - shift) / (2 * arb.pi())).floor().unique_fmpz()
        assert first is not None
        assert last is not None
        return bool(first <= last)

    return passes(arb(0)), passes(arb.pi())


def test_powers_over_intervals(device: torch.device) -> None:
    lo = torch.tensor([-2.0, -3.0, 0.0, -1.0, 2.0, -INF, 0.0, -2.0], dtype=torch.float64, device=device)
    hi = torch.tensor([3.0, -2.0, 0.0, 0.0, 4.0, INF, INF, 0.0], dtype=torch.float64, device=device)

    def ends(n: int) -> list[tuple[float, float]]:
        down, up = elementary.pow_bounds(lo, hi, n)
        return list(zip(down.tolist(), up.tolist(), strict=True))

    empty = (INF, -INF)
    assert ends(2) == [(0, 9), (4, 9), (0, 0), (0, 1), (4, 16), (0, INF), (0, INF), (0, 4)]
    assert ends(3) == [(-8, 27), (-27, -8), (0, 0), (-1, 0), (8, 64), (-INF, INF), (0, INF), (-8, 0)]
    assert ends(-1)[2:] == [empty, (-INF, -1), (0.25, 0.5), (-INF, INF), (0, INF), (-INF, -0.5)]
    assert ends(-2)[2:] == [empty, (1, INF), (0.0625, 0.25), (0, INF), (0, INF), (0.25, INF)]
    assert ends(-1)[0] == (-INF, INF)
    assert ends(0) == [(1, 1)] * 8
    assert ends(1) == list(zip(lo.tolist(), hi.tolist(), strict=True))


def test_exact_powers_stay_points(device: torch.device) -> None:
    x = torch.tensor([3.0, -3.0, 2.0**-100, 2.0**-537, 1.5, -2.0], dtype=torch.float64, device=device)
    for n in (2, 3, 5, 10):
        down, up = elementary.pow_bounds(x, x, n)
        exact = [float(arb(v) ** n) for v in (3.0, -3.0, 1.5, -2.0)]
        assert [down[i].item() for i in (0, 1, 4, 5)] == [up[i].item() for i in (0, 1, 4, 5)] == exact
    down, up = elementary.pow_bounds(x[3:4], x[3:4], 2)
    assert down.item() == up.item() == 5e-324
    down, up = elementary.pow_bounds(x[2:3], x[2:3], 11)
    assert (down.item(), up.item()) == (0.0, 5e-324)


def test_too_large_an_exponent_is_refused() -> None:
    with pytest.raises(ValueError, match="n=2147483648 is too large"):
        elementary.pow_bounds(torch.ones(1).double(), torch.ones(1).double(), 2**31)
