"""softmax and logsumexp: both bounds of every component against ball arithmetic at the extreme corners."""

from __future__ import annotations

import math

import pytest
import torch
from flint import arb
from torch import Tensor

from certkit import Interval
from certkit.elementary import logsumexp, softmax

from .oracle import decided

INF = math.inf


def scores(rows: int, k: int, seed: int, decades: float = 7.0) -> Interval:
    """Boxes of scores: spreads from 1e-3 up, point intervals and wide ones mixed, ties."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    spread = 10.0 ** (decades * draw(rows, 1) - 3)
    centre = (draw(rows, k) - 0.5) * spread
    centre = torch.where(draw(rows, k) < 0.2, centre[:, :1], centre)
    radius = torch.where(draw(rows, k) < 0.5, 0.0, draw(rows, k) ** 4 * spread)
    return Interval.hull(centre - radius, centre + radius)


def share(own: float, others: list[float]) -> arb:
    return 1 / (1 + sum(((arb(v) - arb(own)).exp() for v in others), arb(0)))


def total(ends: list[float], top: float) -> arb:
    return sum(((arb(v) - arb(top)).exp() for v in ends), arb(0)).log() + arb(top)


def relative_error(bound: float, truth: arb) -> float:
    return abs(float((arb(bound) / truth - 1).mid()))


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("rows", [100, pytest.param(12000, marks=pytest.mark.extended)])
@pytest.mark.parametrize("decades", [4.5, 7.0])
def test_softmax_is_the_range_over_the_box(k: int, rows: int, decades: float, device: torch.device) -> None:
    x = scores(rows, k, seed=k, decades=decades).to(device)
    p = softmax(x, -1)
    for lo, hi, down, up in zip(x.lo.tolist(), x.hi.tolist(), p.lo.tolist(), p.hi.tolist(), strict=True):
        for i in range(k):
            check_share(down[i], lo[i], hi[:i] + hi[i + 1 :], sign=1, reach=abs(lo[i] - max(hi)))
            check_share(up[i], hi[i], lo[:i] + lo[i + 1 :], sign=-1, reach=abs(hi[i] - max(lo)))


def check_share(bound: float, own: float, others: list[float], sign: int, reach: float) -> None:
    truth = decided(lambda: share(own, others), bound, bound)
    assert sign * arb(bound) <= sign * truth
    if float(truth.mid()) > 1e-300:
        assert relative_error(bound, truth) <= 2.0**-53 * (12 + 2 * math.log2(len(others) + 1) + 2 * reach)


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("rows", [100, pytest.param(50000, marks=pytest.mark.extended)])
def test_logsumexp_is_the_range_over_the_box(k: int, rows: int, device: torch.device) -> None:
    x = scores(rows, k, seed=20 + k).to(device)
    y = logsumexp(x, 1)
    for lo, hi, down, up in zip(x.lo.tolist(), x.hi.tolist(), y.lo.tolist(), y.hi.tolist(), strict=True):
        for bound, ends, sign in ((down, lo, 1), (up, hi, -1)):
            top = max(ends)
            truth = decided(lambda e=ends, t=top: total(e, t), bound, bound)
            distance = sign * (truth - arb(bound))
            assert distance >= 0
            unit = 2.0**-53 * (8 + 2 * math.log2(k)) + 2 * math.ulp(bound)
            assert float(distance.mid()) <= unit


def test_a_vanishing_favourite_keeps_its_lower_bound(device: torch.device) -> None:
    """The largest score reaches far down, to where the others are: no underflow to 0/0."""
    x = Interval.hull(torch.tensor([-2000.0, -3000.0, -3000.5]), torch.tensor([0.0, -2999.0, -2999.5]))
    p = softmax(x.to(device), 0)
    assert p.lo[0].item() > 1 - 1e-15
    assert p.hi[1].item() == 5e-324


def test_all_far_below_the_largest_upper_end(device: torch.device) -> None:
    x = Interval.hull(torch.tensor([-2000.0, -1000.5, -1000.5]), torch.tensor([0.0, -1000.0, -1000.0]))
    truth = 1 / (1 + math.exp(-0.5) + math.exp(-999.5))
    assert softmax(x.to(device), 0).hi[1].item() == pytest.approx(truth)


def test_unbounded_scores(device: torch.device) -> None:
    lo = torch.tensor([[-INF, 0.0, 1.0], [0.0, 0.0, 0.0], [-INF, -INF, -INF], [-1e308, 0.0, 0.0]])
    hi = torch.tensor([[0.0, 0.0, 1.0], [INF, INF, 0.0], [1.0, INF, 2.0], [1e308, 0.0, 0.0]])
    x = Interval.hull(lo.double(), hi.double()).to(device)
    p = softmax(x, 1)
    assert not bool(torch.isnan(p.lo).any() | torch.isnan(p.hi).any())
    assert p.lo[0, 0].item() == 0.0
    assert p.hi[0, 2].item() < 1.0
    assert p.lo[1].tolist() == [0.0, 0.0, 0.0]
    assert p.hi[1, :2].tolist() == [1.0, 1.0]
    assert p.hi[1, 2].item() == pytest.approx(1 / 3)
    assert p.lo[2].tolist() == [0.0, 0.0, 0.0]
    assert p.hi[2].tolist() == [1.0, 1.0, 1.0]
    assert p.lo[3, 0].item() == 0.0
    assert p.hi[3, 0].item() == 1.0
    total = logsumexp(x, 1)
    assert total.lo[2].item() == -INF
    assert total.hi[1].item() == INF


def test_one_unbounded_score_among_bounded_ones_has_a_lower_bound(device: torch.device) -> None:
    x = Interval.hull(torch.tensor([0.0, 0.0]), torch.tensor([INF, 0.0])).to(device)
    p = softmax(x, 0)
    assert p.lo[0].item() == pytest.approx(0.5)
    assert p.lo[0].item() <= 0.5
    assert p.lo[1].item() == 0.0


def test_empty_intervals_propagate(device: torch.device) -> None:
    x = Interval.hull(torch.zeros(2, 2), torch.ones(2, 2))
    lo, hi = x.lo.clone(), x.hi.clone()
    lo[0, 0], hi[0, 0] = INF, -INF
    x = Interval._unchecked(lo, hi).to(device)
    assert softmax(x, 1).is_empty().tolist() == [[True, True], [False, False]]
    assert logsumexp(x, 1).is_empty().tolist() == [True, False]


def test_dimensions(device: torch.device) -> None:
    x = scores(24, 5, 1).reshape(2, 3, 4, 5).to(device)
    for dim in (0, 1, -2, 3):
        p = softmax(x, dim)
        assert p.shape == x.shape
        assert torch.equal(p.lo, softmax(x.movedim(dim, -1), -1).lo.movedim(-1, dim))
        assert logsumexp(x, dim, keepdim=True).lo.squeeze(dim).equal(logsumexp(x, dim).lo)


@pytest.mark.parametrize("function", [softmax, logsumexp])
def test_nothing_to_reduce_is_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="no entries to reduce"):
        function(Interval.exact(torch.ones(3, 0)), 1)
    with pytest.raises(ValueError, match="no entries to reduce"):
        function(Interval.exact(1.0), 0)
