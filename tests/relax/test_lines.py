"""Strips and lines: the law at points of the box, in ball arithmetic, for default and for adversarial
slopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest
import torch
from flint import arb, ctx
from torch import Tensor

from certkit import Interval, relax, rounding
from certkit.testing.intervals import floats_like, random_intervals

Function = Callable[[arb], arb]


@attrs.frozen
class Case:
    strip: Callable[[Interval, Tensor | None], relax.Strip]
    truth: Function
    low: float
    high: float


CASES = {
    "exp": Case(relax.exp_strip, arb.exp, -50.0, 50.0),
    "log": Case(relax.log_strip, arb.log, 1e-6, 50.0),
    "reciprocal": Case(relax.reciprocal_strip, lambda x: 1 / x, 1e-3, 50.0),
    "reciprocal, negative": Case(relax.reciprocal_strip, lambda x: 1 / x, -50.0, -1e-3),
    "relu": Case(relax.relu_strip, lambda x: max(x, arb(0), key=lambda v: float(v.mid())), -50.0, 50.0),
    "tanh": Case(relax.tanh_strip, arb.tanh, -10.0, 10.0),
    "sigmoid": Case(relax.sigmoid_strip, lambda x: 1 / (1 + (-x).exp()), -20.0, 20.0),
}
LINES = {
    "exp": relax.exp_lines,
    "log": relax.log_lines,
    "reciprocal": relax.reciprocal_lines,
    "reciprocal, negative": relax.reciprocal_lines,
    "relu": relax.relu_lines,
}


def boxes(case: Case, count: int, seed: int) -> Interval:
    """Boxes of widths from 0 (and one ulp) to the whole range of the case."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    width = (case.high - case.low) * 10.0 ** (-8 * draw())
    lo = case.low + (case.high - case.low - width) * draw()
    hi = torch.where(draw() < 0.1, lo, torch.clamp(lo + width, max=case.high))
    return Interval.hull(lo, torch.maximum(lo, hi))


def members(box: Interval, seed: int) -> list[Tensor]:
    """Points of each box: its ends, their neighbours inside, points between, and 0 where it belongs."""
    box = box.to("cpu")
    generator = torch.Generator().manual_seed(seed)
    points = [box.lo, box.hi, torch.nextafter(box.lo, box.hi), 0.5 * (box.lo + box.hi)]
    for _ in range(4):
        t = torch.rand(box.lo.shape, generator=generator, dtype=torch.float64)
        points.append(box.lo + (box.hi - box.lo) * t)
    points.append(torch.zeros_like(box.lo))
    return [torch.minimum(torch.maximum(p, box.lo), box.hi) for p in points]


def check_strip(case: Case, box: Interval, strip: relax.Strip, seed: int, bits: int = 200) -> None:
    ctx.prec = bits
    for points in members(box, seed):
        rows = (points, strip.slope, strip.offset.lo, strip.offset.hi)
        for x, s, low, high in zip(*(t.tolist() for t in rows), strict=True):
            g = case.truth(arb(x)) - arb(s) * arb(x)
            assert arb(low) <= g, f"x={x!r}, slope={s!r}: {g} not above {low!r}"
            assert g <= arb(high), f"x={x!r}, slope={s!r}: {g} not below {high!r}"


COUNTS = [120, pytest.param(12000, marks=pytest.mark.extended)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", CASES)
def test_strip_with_the_chord(name: str, count: int, device: torch.device) -> None:
    case = CASES[name]
    box = boxes(case, count, seed=1).to(device)
    check_strip(case, box, case.strip(box, None), seed=2)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", CASES)
def test_strip_with_any_slope(name: str, count: int, device: torch.device) -> None:
    """Slopes of both signs and all sizes, the derivative at a random place among them, exact 0 and 1."""
    case = CASES[name]
    box = boxes(case, count, seed=3).to(device)
    generator = torch.Generator().manual_seed(4)
    sign = torch.randint(-1, 2, (count,), generator=generator).double()
    slope = sign * 10.0 ** (12 * torch.rand(count, generator=generator, dtype=torch.float64) - 9)
    slope[:3] = torch.tensor([1.0, 0.25, -1.0])[: min(3, count)]
    chord = case.strip(box, None).slope
    for s in (slope.to(device), 1.3 * chord, chord * (1 - 1e-12)):
        check_strip(case, box, case.strip(box, s), seed=5)


DOMAINS = {
    "exp": (-700.0, 700.0),
    "log": (rounding.TINY, rounding.MAX),
    "reciprocal": (rounding.TINY, rounding.MAX),
    "reciprocal, negative": (-rounding.MAX, -rounding.TINY),
    "relu": (-rounding.MAX, rounding.MAX),
    "tanh": (-50.0, 50.0),
    "sigmoid": (-100.0, 100.0),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", CASES)
def test_strip_at_the_ends_of_the_range(name: str, count: int, device: torch.device) -> None:
    """Boxes and slopes of all floats: subnormal, huge, zeros of both signs, ends one ulp apart."""
    case, (low, high) = CASES[name], DOMAINS[name]
    generator = torch.Generator().manual_seed(8)
    drawn = random_intervals(count, generator)
    box = Interval.hull(drawn.lo.clamp(low, high), drawn.hi.clamp(low, high)).to(device)
    slope = floats_like(count, generator).clamp(-(2.0**1020), 2.0**1020).to(device)
    for s in (None, slope):
        check_strip(case, box, case.strip(box, s), seed=9, bits=4500)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, count: int, device: torch.device) -> None:
    ctx.prec = 200
    case = CASES[name]
    box = boxes(case, count, seed=6).to(device)
    lines = LINES[name](box)
    for points in members(box, seed=7):
        rows = (points, *attrs.astuple(lines))
        for x, below, below_offset, above, above_offset in zip(*(t.tolist() for t in rows), strict=True):
            y = case.truth(arb(x))
            assert arb(below) * arb(x) + arb(below_offset) <= y
            assert y <= arb(above) * arb(x) + arb(above_offset)


@pytest.mark.parametrize("name", ["exp", "log", "reciprocal", "tanh", "sigmoid"])
def test_chord_strips_shrink_with_the_square_of_the_width(name: str) -> None:
    case = CASES[name]
    middle = torch.tensor([0.7, 1.5, 3.0], dtype=torch.float64)
    widths = []
    for radius in (1e-2, 1e-3):
        strip = case.strip(Interval.hull(middle - radius, middle + radius), None)
        widths.append(strip.offset.wid())
    assert bool((widths[1] < 0.0102 * widths[0]).all())


def test_lines_touch_the_curve() -> None:
    """Tangents below, chords above: the gap at the ends is rounding only."""
    lines = relax.exp_lines(Interval.hull(-1.0, 1.0))
    for x in (-1.0, 1.0):
        assert lines.upper_slope * x + lines.upper_offset - math.exp(x) < 1e-15
    assert 1.0 - lines.lower_offset < 1e-6


@pytest.mark.parametrize(
    ("strip", "box", "message"),
    [
        (relax.exp_strip, Interval.entire(2), "bounded, non-empty boxes"),
        (relax.relu_strip, Interval.empty(1), "bounded, non-empty boxes"),
        (relax.log_strip, Interval.hull(torch.zeros(2), torch.ones(2)), "positive numbers; got .0.0, 1.0."),
        (relax.reciprocal_strip, Interval.hull(-torch.ones(2), torch.ones(2)), "without 0"),
    ],
)
def test_bad_boxes_are_refused(
    strip: Callable[[Interval, Tensor | None], relax.Strip], box: Interval, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        strip(box, None)


def test_bad_slope_is_refused() -> None:
    with pytest.raises(ValueError, match="slope must be a finite number"):
        relax.exp_strip(Interval.hull(torch.zeros(1), torch.ones(1)), torch.tensor([math.inf]))


def test_overflowing_exp_is_loose_but_sound() -> None:
    strip = relax.exp_strip(Interval.hull(0.0, 1000.0))
    assert strip.offset.hi.item() == math.inf
    assert strip.offset.lo.item() <= 1.0
