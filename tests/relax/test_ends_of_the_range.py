"""Subnormal, huge, zeros of both signs, ends one ulp apart: the laws in exact rationals, where overflow may
leave a bound infinite but never wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce

import pytest
import torch

from certkit import Interval
from certkit.relax import (
    MeanRows,
    extreme_sums,
    max_of_lines,
    pessimal,
    product_planes,
    row_range,
    row_range_direct,
    row_range_mean,
    row_range_recursive,
    row_range_split,
    split_directions,
    weighted_average,
)
from certkit.testing.intervals import floats_like, random_intervals

from .exact import exact_range, fractions, product


def sizes(small: int, large: int) -> list[object]:
    return [small, pytest.param(large, marks=pytest.mark.extended)]


def boxes(*shape: int, seed: int) -> Interval:
    return random_intervals(math.prod(shape), torch.Generator().manual_seed(seed)).reshape(*shape)


def without_overflow(x: Interval) -> Interval:
    """Its products and sums are float64 numbers; where they are not, these bounds refuse."""
    return Interval.hull(x.lo.clamp(-(2.0**480), 2.0**480), x.hi.clamp(-(2.0**480), 2.0**480))


def at_most(low: float, exact: Fraction) -> bool:
    return low == -math.inf or Fraction(low) <= exact


def at_least(high: float, exact: Fraction) -> bool:
    return high == math.inf or exact <= Fraction(high)


@pytest.mark.parametrize("cases", sizes(60, 30_000))
def test_product_planes(cases: int, device: torch.device) -> None:
    x, y = boxes(cases, seed=1), boxes(cases, seed=2)
    p = product_planes(x.to(device), y.to(device))
    planes = [
        t.tolist() for t in (p.lower_x, p.lower_y, p.lower_offset, p.upper_x, p.upper_y, p.upper_offset)
    ]
    ends = zip(*(t.tolist() for t in (x.lo, x.hi, y.lo, y.hi)), strict=True)
    for (a, b, c, d), rows in zip(ends, zip(*planes, strict=True), strict=True):
        for u in (Fraction(a), Fraction(b)):
            for v in (Fraction(c), Fraction(d)):
                for i in range(2):
                    sx, sy, low, tx, ty, high = (row[i] for row in rows)
                    assert at_most(low, u * v - Fraction(sx) * u - Fraction(sy) * v)
                    assert at_least(high, u * v - Fraction(tx) * u - Fraction(ty) * v)


@pytest.mark.parametrize("cases", sizes(100, 20_000))
def test_extreme_sums(cases: int, device: torch.device) -> None:
    weights = without_overflow(boxes(cases, 5, seed=3))
    sums = extreme_sums(weights.to(device))
    rows = zip(weights.lo.tolist(), weights.hi.tolist(), sums.lo.tolist(), sums.hi.tolist(), strict=True)
    for lows, highs, low, high in rows:
        lows, highs = sorted(map(Fraction, lows)), sorted(map(Fraction, highs), reverse=True)
        for n in range(6):
            assert at_most(low[n], sum(lows[:n], Fraction(0)))
            assert at_least(high[n], sum(highs[:n], Fraction(0)))


@pytest.mark.parametrize("cases", sizes(100, 20_000))
def test_weighted_averages(cases: int, device: torch.device) -> None:
    values = without_overflow(boxes(cases, 5, seed=4))
    weights = without_overflow(abs(boxes(cases, 5, seed=5)))
    average = weighted_average(values.to(device), weights.to(device))
    whole = pessimal(values.to(device), -1)
    generator = torch.Generator().manual_seed(6)
    for _ in range(3):
        pick, other = torch.rand(2, cases, 5, generator=generator) < 0.5
        w, v = torch.where(pick, weights.lo, weights.hi), torch.where(other, values.lo, values.hi)
        bounds = (t.tolist() for t in (average.lo, average.hi, whole.lo, whole.hi))
        for ws, vs, low, high, least, most in zip(w.tolist(), v.tolist(), *bounds, strict=True):
            size = sum(map(Fraction, ws), Fraction(0))
            if size == 0:
                continue
            exact = sum((Fraction(a) * Fraction(b) for a, b in zip(ws, vs, strict=True)), Fraction(0)) / size
            assert at_most(low, exact)
            assert at_least(high, exact)
            assert at_most(least, exact)
            assert at_least(most, exact)


def test_sums_that_overflow_are_refused() -> None:
    huge = Interval.exact(torch.full((5,), 1e308, dtype=torch.float64))
    with pytest.raises(OverflowError, match="leaves the range"):
        extreme_sums(huge)
    with pytest.raises((OverflowError, ValueError), match=r"unbounded|leaves the range"):
        weighted_average(huge, huge)


@pytest.mark.parametrize("cases", sizes(100, 20_000))
def test_maxima_of_lines(cases: int, device: torch.device) -> None:
    base, slopes, delta = boxes(cases, 5, seed=7), boxes(cases, 5, seed=8), boxes(cases, seed=9)
    bound = max_of_lines(base.to(device), slopes.to(device), delta.to(device)).hi.tolist()
    lines = zip(base.hi.tolist(), slopes.lo.tolist(), slopes.hi.tolist(), strict=True)
    deltas = zip(delta.lo.tolist(), delta.hi.tolist(), strict=True)
    for high, (a, low_slope, high_slope), ends in zip(bound, lines, deltas, strict=True):
        for d in map(Fraction, ends):
            for r in (low_slope, high_slope):
                exact = max(Fraction(p) + d * Fraction(q) for p, q in zip(a, r, strict=True))
                assert at_least(high, exact)


@pytest.mark.parametrize("cases", sizes(100, 25_000))
def test_row_ranges_of_a_matrix(cases: int, device: torch.device) -> None:
    x = boxes(cases, 4, seed=10)
    found = row_range(x.to(device)).hi.tolist()
    for lows, highs, bound in zip(x.lo.tolist(), x.hi.tolist(), found, strict=True):
        exact = max(Fraction(highs[i]) - Fraction(lows[j]) for i in range(4) for j in range(4) if i != j)
        assert at_least(bound, exact)


Bound = Callable[[list[Interval]], Interval]
ROWS: dict[str, Bound] = {
    "direct": lambda f: row_range_direct(f[0] @ f[1], f[2]),
    "mean": lambda f: row_range_mean(f[0], f[1] @ f[2], f[0].lo[:1] * 0.5),
    "split": row_range_split,
    "split, mean": lambda f: row_range_split(f, mean=True),
    "recursive": row_range_recursive,
    "recursive, every": lambda f: row_range_recursive(f, MeanRows.EVERY),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("cases", sizes(6, 5000))
def test_row_ranges_of_products(name: str, cases: int, device: torch.device) -> None:
    """Factors so small that products underflow, and so large that they nearly overflow."""
    for seed in range(cases):
        generator = torch.Generator().manual_seed(seed)
        scales = [(0, 0, 0), (-1000, 0, 0), (-400, -400, -200), (300, 300, 100), (900, -900, -150)][seed % 5]
        members = [
            floats_like(m * n, generator, extreme=False).reshape(m, n) * 2.0**k
            for (m, n), k in zip(((4, 3), (3, 2), (2, 5)), scales, strict=True)
        ]
        truth = exact_range(reduce(product, map(fractions, members)))
        bound = ROWS[name]([Interval.exact(x, device=device) for x in members]).hi.tolist()
        assert all(at_least(b, t) for b, t in zip(bound, truth, strict=True))


@pytest.mark.parametrize("cases", sizes(6, 5000))
def test_directions_split_off(cases: int, device: torch.device) -> None:
    for seed in range(cases):
        generator = torch.Generator().manual_seed(seed)
        scale, other = [(-1000, 0), (-500, -500), (400, 100), (0, -300)][seed % 4]
        matrix = floats_like(20, generator, extreme=False).reshape(4, 5) * 2.0**scale
        direction = floats_like(4, generator, extreme=False).reshape(1, 4) * 2.0**other
        parts = split_directions(Interval.exact(matrix, device=device), direction.to(device))
        peeled = product(fractions(parts.left.lo), fractions(parts.right.lo))
        low, high, truth = map(fractions, (parts.remainder.lo, parts.remainder.hi, matrix))
        assert all(low[i][j] <= truth[i][j] - peeled[i][j] <= high[i][j] for i in range(4) for j in range(5))
