"""Interval + − × ÷ sqr sqrt abs min max: each bound equals the directed rounding of the exact extremum."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch

import certkit
from certkit import Interval
from certkit.testing.intervals import random_intervals
from tests.arithmetic.oracle import exact_down, exact_up, root_down, root_up

Pair = tuple[Fraction, Fraction]


def corners(f: Callable[[Fraction, Fraction], Fraction]) -> Callable[[Pair, Pair], Pair]:
    def hull(a: Pair, b: Pair) -> Pair:
        values = [f(x, y) for x in a for y in b]
        return min(values), max(values)

    return hull


BINARY = {
    "add": (lambda x, y: x + y, corners(lambda x, y: x + y)),
    "sub": (lambda x, y: x - y, corners(lambda x, y: x - y)),
    "mul": (lambda x, y: x * y, corners(lambda x, y: x * y)),
    "div": (lambda x, y: x / y, corners(lambda x, y: x / y)),
    "minimum": (lambda x, y: x.minimum(y), corners(min)),
    "maximum": (lambda x, y: x.maximum(y), corners(max)),
}


def bounds(x: Interval) -> list[tuple[float, float]]:
    return list(zip(x.lo.tolist(), x.hi.tolist(), strict=True))


def pairs(x: Interval) -> list[Pair]:
    return [(Fraction(lo), Fraction(hi)) for lo, hi in zip(x.lo.tolist(), x.hi.tolist(), strict=True)]


def check_binary(name: str, n: int, seed: int, extreme: bool, device: torch.device) -> None:
    operation, exact = BINARY[name]
    generator = torch.Generator().manual_seed(seed)
    x, y = (random_intervals(n, generator, extreme=extreme).to(device) for _ in range(2))
    if name == "div":
        y = y[~y.contains(0.0)]
        x = x[: len(y)]
    for left, right in ((x, y), (Interval.exact(x.lo), y), (x, Interval.exact(y.hi))):
        result = operation(left, right)
        for a, b, lo, hi in zip(
            pairs(left), pairs(right), result.lo.tolist(), result.hi.tolist(), strict=True
        ):
            low, high = exact(a, b)
            assert (lo, hi) == (exact_down(low), exact_up(high)), (name, a, b)


def check_unary(n: int, seed: int, extreme: bool, device: torch.device) -> None:
    x = random_intervals(n, torch.Generator().manual_seed(seed), extreme=extreme).to(device)
    results = [bounds(y) for y in (x.sqr(), abs(x), abs(x).sqrt(), -x)]
    for (a, b), square, size, root, negative in zip(pairs(x), *results, strict=True):
        largest = max(abs(a), abs(b))
        least = Fraction(0) if a <= 0 <= b else min(abs(a), abs(b))
        assert size == (float(least), float(largest))
        assert square == (exact_down(least**2), exact_up(largest**2))
        assert root == (root_down(least), root_up(largest))
        assert negative == (-float(b), -float(a))


def check_fma(n: int, seed: int, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y, z = (random_intervals(n, generator) for _ in range(3))
    near = -(x.lo * y.hi).clamp(-1e300, 1e300)
    z = certkit.where(torch.arange(n) % 3 == 0, Interval.exact(near), z)
    x, y, z = x.to(device), y.to(device), z.to(device)
    result = x.fma(y, z)
    low, high = result.lo.tolist(), result.hi.tolist()
    for a, b, c, lo, hi in zip(pairs(x), pairs(y), pairs(z), low, high, strict=True):
        products = [u * v for u in a for v in b]
        assert (lo, hi) == (exact_down(min(products) + c[0]), exact_up(max(products) + c[1])), (a, b, c)


def test_fma_rounds_once(device: torch.device) -> None:
    check_fma(700, 5, device)


@pytest.mark.extended
def test_fma_rounds_once_extended(device: torch.device) -> None:
    for seed in range(40, 50):
        check_fma(10_000, seed, device)


def test_large_operands_are_done_in_pieces(device: torch.device) -> None:
    """The same elements alone and in a long tensor with rare ones at the seams give the same bounds."""
    generator = torch.Generator().manual_seed(6)
    x, y = (random_intervals(70_000, generator).to(device) for _ in range(2))
    at = torch.tensor([0, 16383, 16384, 32767, 32768, 49151, 65535, 65536, 69_999])
    for operation in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a * 3.0):
        assert bool(operation(x, y)[at].same_bounds(operation(x[at], y[at])).all())
    tidy = torch.linspace(1, 2, 70_000, dtype=torch.float64).to(device)
    points, wide = Interval.exact(tidy), Interval.hull(-tidy, tidy * 3)
    for operation in (
        lambda a, b: a * b,
        lambda a, b: b * b,
        lambda a, b: a + b,
        lambda a, b: a / a,
        lambda a, b: a * a,
    ):
        assert bool(operation(points, wide)[at].same_bounds(operation(points[at], wide[at])).all())


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_are_tightest(name: str, device: torch.device) -> None:
    check_binary(name, 500, 3, True, device)
    check_binary(name, 500, 3, False, device)


def test_unary_operations_are_tightest(device: torch.device) -> None:
    check_unary(300, 4, True, device)
    check_unary(300, 4, False, device)


@pytest.mark.extended
@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_are_tightest_extended(name: str, device: torch.device) -> None:
    for seed in range(20, 30):
        check_binary(name, 7000, seed, seed % 2 == 0, device)


@pytest.mark.extended
def test_unary_operations_are_tightest_extended(device: torch.device) -> None:
    for seed in range(20, 30):
        check_unary(10_000, seed, seed % 2 == 0, device)


def test_points_that_need_no_rounding_stay_points(device: torch.device) -> None:
    x = Interval.exact(torch.tensor([1.5, -2.0, 0.0]), device=device)
    for result in (x + 0.25, x * 3, x - x, x / 4, x.sqr(), abs(x)):
        assert bool((result.lo == result.hi).all())


def test_division_by_an_interval_that_holds_zero(device: torch.device) -> None:
    inf = torch.inf
    one = Interval.hull(1.0, 2.0)
    cases = [
        (one, Interval.hull(-1.0, 1.0), (-inf, inf)),
        (one, Interval.hull(0.0, 4.0), (0.25, inf)),
        (one, Interval.hull(-4.0, -0.0), (-inf, -0.25)),
        (one, Interval.exact(0.0), (inf, -inf)),
        (Interval.exact(0.0), Interval.hull(-1.0, 1.0), (0.0, 0.0)),
        (Interval.exact(0.0), Interval.hull(0.0, 1.0), (0.0, 0.0)),
        (Interval.hull(0.0, 1.0), Interval.hull(0.0, 1.0), (0.0, inf)),
        (Interval.hull(-1.0, 0.0), Interval.hull(0.0, 1.0), (-inf, 0.0)),
        (Interval.hull(-1.0, 1.0), Interval.hull(0.0, 1.0), (-inf, inf)),
        (Interval.entire(), Interval.hull(0.0, 1.0), (-inf, inf)),
        (Interval.hull(1.0, inf), Interval.hull(1.0, inf), (0.0, inf)),
        (Interval.empty(), one, (inf, -inf)),
    ]
    for numerator, divisor, (lo, hi) in cases:
        result = numerator.to(device) / divisor.to(device)
        case = (numerator.lo, numerator.hi, divisor.lo, divisor.hi)
        assert (result.lo.item(), result.hi.item()) == (lo, hi), case


def test_unbounded_and_empty_operands(device: torch.device) -> None:
    inf = torch.inf
    half, empty = Interval.hull(0.0, inf).to(device), Interval.empty().to(device)
    zero, minus = Interval.exact(0.0, device=device), Interval.hull(-inf, -1.0).to(device)
    for result, bounds in [
        (half * zero, (0.0, 0.0)),
        (half * minus, (-inf, 0.0)),
        (half + minus, (-inf, inf)),
        (half - half, (-inf, inf)),
        (Interval.exact(1e308, device=device) * 10, (torch.finfo(torch.float64).max, inf)),
        (Interval.exact(1e308, device=device) + 1e308, (torch.finfo(torch.float64).max, inf)),
        (minus.sqrt(), (inf, -inf)),
        (Interval.hull(-1.0, 4.0).to(device).sqrt(), (0.0, 2.0)),
        (minus.sqr(), (1.0, inf)),
        (abs(Interval.entire().to(device)), (0.0, inf)),
    ]:
        assert (result.lo.item(), result.hi.item()) == bounds
    for result in (
        empty + 1,
        empty * half,
        half - empty,
        1 / empty,
        empty.sqrt(),
        abs(empty),
        empty.sqr(),
        empty.minimum(half),
        empty.maximum(Interval.entire().to(device)),
        empty.sum(),
        -empty,
    ):
        assert bool(result.is_empty()), (result.lo, result.hi)
