"""mid, rad, wid, …, rounding to integers and set operations, element by element against rationals."""

import math
from fractions import Fraction

import pytest
import torch

from certkit import Interval
from certkit.testing.intervals import members_of, random_intervals
from tests.arithmetic.oracle import exact_up


def halves(x: float) -> tuple[float, float]:
    """Nearest integer with ties to even, and with ties away from zero."""
    size = Fraction(abs(x))
    away = math.floor(size + Fraction(1, 2))
    return float(round(Fraction(x))), math.copysign(float(away), x)


def check_numbers(n: int, seed: int, device: torch.device) -> None:
    x = random_intervals(n, torch.Generator().manual_seed(seed)).to(device)
    ends = zip(x.lo.tolist(), x.hi.tolist(), strict=True)
    got = zip(*(f.tolist() for f in (x.mid(), x.rad(), x.wid(), x.mag(), x.mig())), strict=True)
    for (lo, hi), (mid, rad, wid, mag, mig) in zip(ends, got, strict=True):
        a, b = Fraction(lo), Fraction(hi)
        assert Fraction(mid) == Fraction(float((a + b) / 2)), (lo, hi, mid)
        assert rad == exact_up(max(b - Fraction(mid), Fraction(mid) - a))
        assert wid == exact_up(b - a)
        assert (mag, mig) == (max(-lo, hi), 0 if lo <= 0 <= hi else min(abs(lo), abs(hi)))


def check_integers(n: int, seed: int, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = random_intervals(n, generator)
    ties = torch.randint(-9, 9, (n,), generator=generator).double() / 2
    x = Interval.hull(torch.minimum(x.lo, ties), torch.maximum(x.hi, ties)).to(device)
    for end in ("lo", "hi"):
        values = getattr(x, end).tolist()
        names = ("floor", "ceil", "trunc", "round", "round_ties_to_away", "sign")
        got = zip(*(getattr(getattr(x, name)(), end).tolist() for name in names), strict=True)
        for value, (floor, ceil, trunc, even, away, sign) in zip(values, got, strict=True):
            assert (floor, ceil, trunc) == (math.floor(value), math.ceil(value), math.trunc(value))
            assert (even, away) == halves(value)
            assert sign == (value > 0) - (value < 0)


def check_sets(n: int, seed: int, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = random_intervals(n, generator), random_intervals(n, generator)
    touching = torch.arange(n) % 2 == 0
    top = torch.where(touching, torch.maximum(x.hi, y.hi), y.hi)
    y = Interval.hull(torch.where(touching, x.hi, y.lo), top)
    point = members_of(x, generator)
    x, y, point = x.to(device), y.to(device), point.to(device)
    both, hull = x.intersection(y), x.convex_hull(y)
    in_both = x.contains(point) & y.contains(point)
    assert bool((both.contains(point) == in_both).all())
    assert bool(x.contains(point).all() & hull.contains(point).all())
    assert bool(x.subset(hull).all() & y.subset(hull).all() & both.subset(x).all() & both.subset(y).all())
    assert bool((both.is_empty() == x.disjoint(y)).all())
    assert bool((x.precedes(y) == (x.hi <= y.lo)).all())
    assert bool((x.interior(y) <= x.subset(y)).all())


@pytest.mark.parametrize("check", [check_numbers, check_integers, check_sets])
def test_elementwise(check: object, device: torch.device) -> None:
    assert callable(check)
    check(1000, 1, device)


@pytest.mark.extended
@pytest.mark.parametrize("check", [check_numbers, check_integers, check_sets])
def test_elementwise_extended(check: object, device: torch.device) -> None:
    assert callable(check)
    for seed in range(60, 70):
        check(11_000, seed, device)
