"""Products, softmax components, sums and averages with uncertain weights."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import attrs
import pytest
import torch
from flint import arb, ctx

from certkit import Interval
from certkit.relax import Planes, SoftmaxLines, extreme_sums, product_planes, softmax_lines, weighted_average

from .exact import around, floats, integers


def planes_of(x: Interval, y: Interval, device: torch.device) -> Planes:
    planes = product_planes(x.to(device), y.to(device))
    return Planes(*(t.cpu() for t in attrs.astuple(planes, recurse=False)))


@pytest.mark.parametrize("cases", [300, pytest.param(100000, marks=pytest.mark.extended)])
def test_product_planes_on_integer_points(cases: int, device: torch.device) -> None:
    x, y = integers((cases,), 1), integers((cases,), 2)
    planes = planes_of(around(x, 3), around(y, 4), device)
    truth = (x * y).double().unsqueeze(-1)
    xs, ys = x.double().unsqueeze(-1), y.double().unsqueeze(-1)
    assert bool((planes.lower_x * xs + planes.lower_y * ys + planes.lower_offset <= truth).all())
    assert bool((truth <= planes.upper_x * xs + planes.upper_y * ys + planes.upper_offset).all())


def test_product_planes_are_tight_at_the_corners(device: torch.device) -> None:
    x, y = Interval.hull(-2.0, 3.0), Interval.hull(-1.0, 5.0)
    planes = planes_of(x, y, device)
    for a in (-2.0, 3.0):
        for b in (-1.0, 5.0):
            below = (planes.lower_x * a + planes.lower_y * b + planes.lower_offset).max()
            above = (planes.upper_x * a + planes.upper_y * b + planes.upper_offset).min()
            assert below.item() == above.item() == a * b


def test_product_planes_for_floats_of_all_sizes(device: torch.device) -> None:
    lo_x, lo_y = floats((300,), 1), floats((300,), 2)
    hi_x, hi_y = lo_x + lo_x.abs(), lo_y + floats((300,), 3).abs()
    planes = planes_of(Interval.hull(lo_x, hi_x), Interval.hull(lo_y, hi_y), device)
    for i in range(300):
        for x, y in ((lo_x[i], lo_y[i]), (hi_x[i], lo_y[i]), (lo_x[i], hi_y[i]), (hi_x[i], hi_y[i])):
            a, b = Fraction(x.item()), Fraction(y.item())
            for j in range(2):
                below = [
                    Fraction(t[i, j].item()) for t in (planes.lower_x, planes.lower_y, planes.lower_offset)
                ]
                above = [
                    Fraction(t[i, j].item()) for t in (planes.upper_x, planes.upper_y, planes.upper_offset)
                ]
                assert below[0] * a + below[1] * b + below[2] <= a * b
                assert above[0] * a + above[1] * b + above[2] >= a * b


def test_product_planes_refuse_unbounded_boxes(device: torch.device) -> None:
    with pytest.raises(ValueError, match="bounded"):
        product_planes(Interval.entire(1).to(device), Interval.exact(torch.ones(1), device=device))


@pytest.mark.parametrize("cases", [60, pytest.param(8000, marks=pytest.mark.extended)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_softmax_lines_hold_inside_the_box(k: int, cases: int, device: torch.device) -> None:
    ctx.prec = 200
    generator = torch.Generator().manual_seed(k)
    spread = 10.0 ** (6 * torch.rand(cases, 1, generator=generator, dtype=torch.float64) - 3)
    centre = torch.randn(cases, k, generator=generator, dtype=torch.float64) * spread
    radius = torch.rand(cases, k, generator=generator, dtype=torch.float64) ** 3 * spread
    box = Interval.hull(centre - radius, centre + radius)
    lines = softmax_lines(box.to(device))
    for t in (0.0, 1.0, 0.5, torch.rand(cases, k, generator=generator, dtype=torch.float64).round(), 0.3):
        x = torch.minimum(torch.maximum(box.lo + (box.hi - box.lo) * t, box.lo), box.hi)
        check_softmax_lines(x, lines)


def check_softmax_lines(x: torch.Tensor, lines: SoftmaxLines) -> None:
    for case, scores in enumerate(x.tolist()):
        top = max(scores)
        weights = [(arb(v) - arb(top)).exp() for v in scores]
        total = sum(weights, arb(0))
        for i, weight in enumerate(weights):
            share = weight / total
            below = line(lines.lower_slopes[case, i], lines.lower_offset[case, i], scores)
            above = line(lines.upper_slopes[case, i], lines.upper_offset[case, i], scores)
            assert not (below > share), (scores, i)
            assert not (above < share), (scores, i)


def line(slopes: torch.Tensor, offset: torch.Tensor, scores: list[float]) -> arb:
    terms = (arb(s) * arb(v) for s, v in zip(slopes.tolist(), scores, strict=True))
    return sum(terms, arb(offset.item()))


def test_softmax_lines_beat_the_constant_bounds_on_small_boxes(device: torch.device) -> None:
    centre = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    box = Interval.hull(centre - 0.01, centre + 0.01)
    box = box.to(device)
    lines = softmax_lines(box)
    gap = (
        lines.upper_offset
        - lines.lower_offset
        + (lines.upper_slopes - lines.lower_slopes) @ centre.to(device)
    )
    constant = box.softmax(-1).wid()
    assert bool((gap < 0.05 * constant).all())


@pytest.mark.parametrize("cases", [50, pytest.param(20000, marks=pytest.mark.extended)])
def test_extreme_sums_contain_every_subset(cases: int, device: torch.device) -> None:
    weights = integers((cases, 5), 1)
    sums = extreme_sums(around(weights, 2).to(device)).to("cpu")
    assert sums.shape == (cases, 6)
    for n in range(6):
        for subset in combinations(range(5), n):
            total = weights[:, list(subset)].sum(-1).double()
            assert bool(((sums.lo[:, n] <= total) & (total <= sums.hi[:, n])).all())
    exact = extreme_sums(Interval.exact(weights.double(), device=device))
    assert exact.wid()[:, 0].tolist() == [0.0] * cases


@pytest.mark.parametrize("cases", [300, pytest.param(100000, marks=pytest.mark.extended)])
def test_weighted_average_contains_every_average(cases: int, device: torch.device) -> None:
    """Integer values and weights at random vertices and inside; Σ w v and Σ w are exact."""
    values, weights = integers((cases, 5), 1), integers((cases, 5), 2).abs() + 5
    value_box, weight_box = around(values, 3), around(weights, 4)
    average = weighted_average(value_box.to(device), weight_box.to(device)).to("cpu")
    generator = torch.Generator().manual_seed(5)
    for _ in range(12):
        pick = torch.rand(cases, 5, generator=generator) < 0.5
        w = torch.where(pick, weight_box.lo, weight_box.hi)
        v = torch.where(torch.rand(cases, 5, generator=generator) < 0.5, value_box.lo, value_box.hi)
        total, size = (w * v).sum(-1), w.sum(-1)
        # lo ≤ total/size in exact rationals: lo · size ≤ total, checked without rounding
        assert_between(average, total, size)
    assert_between(average, (values * weights).sum(-1).double(), weights.sum(-1).double())


def assert_between(average: Interval, total: torch.Tensor, size: torch.Tensor) -> None:
    rounded = total / size
    clear = (average.lo < rounded) & (rounded < average.hi)
    rows = torch.nonzero(~clear).squeeze(1).tolist()
    for i in rows:
        exact = Fraction(total[i].item()) / Fraction(size[i].item())
        assert Fraction(average.lo[i].item()) <= exact <= Fraction(average.hi[i].item())


def test_weighted_average_is_attained(device: torch.device) -> None:
    """The best vertex is found: brute force over all 2^4 vertices agrees within rounding."""
    values = floats((50, 4), 1)
    low = floats((50, 4), 2).abs()
    weights = Interval.hull(low, low * 3)
    average = weighted_average(Interval.exact(values, device=device), weights.to(device)).to("cpu")
    corners = torch.cartesian_prod(*([torch.tensor([1.0, 3.0]).double()] * 4))
    w = low.unsqueeze(1) * corners
    brute = ((w * values.unsqueeze(1)).sum(-1) / w.sum(-1)).amax(-1)
    scale = values.abs().amax(-1)
    assert bool((average.hi >= brute - 1e-12 * scale).all())
    assert bool((average.hi <= brute + 1e-12 * scale).all())


def test_weights_that_may_all_vanish_leave_the_hull(device: torch.device) -> None:
    values = Interval.exact(torch.tensor([1.0, 4.0]), device=device)
    average = weighted_average(values, Interval.hull(torch.zeros(2), torch.ones(2)).to(device))
    assert (average.lo.item(), average.hi.item()) == (1.0, 4.0)


def test_bad_weights_are_refused() -> None:
    values = Interval.exact(torch.ones(2))
    with pytest.raises(ValueError, match="negative"):
        weighted_average(values, Interval.exact(torch.tensor([-1.0, 1.0])))
    with pytest.raises(ValueError, match="weights must be bounded"):
        weighted_average(values, Interval.hull(torch.zeros(2), torch.full((2,), torch.inf)))
    with pytest.raises(ValueError, match="values must be bounded"):
        weighted_average(Interval.entire(2), Interval.exact(torch.ones(2)))
