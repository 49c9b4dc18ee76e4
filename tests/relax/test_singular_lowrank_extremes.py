"""Singular values, direction splits, endpoints, lines, ablation: each law against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from certkit import Interval
from certkit.relax import (
    convex_max,
    largest_singular_value,
    max_of_lines,
    pessimal,
    product_singular_value,
    split_directions,
)

from .exact import around, floats, fractions, integers, product


def stretch_squared(matrix: torch.Tensor, vector: torch.Tensor) -> Fraction:
    """``|M v|²/|v|²`` exactly: a lower bound of σ₁², within the square of the error of the vector."""
    v = [[Fraction(x)] for x in vector.tolist()]
    image = product(fractions(matrix), v)
    return sum((x[0] ** 2 for x in image), Fraction(0)) / sum((x[0] ** 2 for x in v), Fraction(0))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 3), (8, 1)])
def test_singular_value_bound_is_above_an_exact_stretch(shape: tuple[int, int], device: torch.device) -> None:
    for seed in range(8):
        matrix = floats(shape, seed) if seed % 2 else torch.randn(shape, dtype=torch.float64)
        bound = largest_singular_value(Interval.exact(matrix, device=device)).hi.item()
        vector = torch.linalg.svd(matrix).Vh[0]
        truth = stretch_squared(matrix, vector)
        assert Fraction(bound) ** 2 >= truth
        assert bound <= math.sqrt(truth) * (1 + 1e-12)


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**-1060, 2.0**600, 1.0])
def test_singular_value_bound_scales(scale: float, device: torch.device) -> None:
    matrix = integers((5, 3), 1).double() * scale
    bound = largest_singular_value(Interval.exact(matrix, device=device)).hi.item()
    truth = stretch_squared(matrix, torch.linalg.svd(matrix / scale).Vh[0])
    assert truth <= Fraction(bound) ** 2
    assert Fraction(bound) ** 2 <= truth * Fraction(1 + 1e-9) or scale < 2.0**-1000


def test_singular_value_of_product_without_the_product(device: torch.device) -> None:
    for seed in range(6):
        a, b = floats((9, 3), seed), floats((3, 7), seed + 20)
        factors = Interval.exact(a, device=device), Interval.exact(b, device=device)
        bound = product_singular_value(*factors).hi.item()
        exact = torch.tensor([[float(v) for v in row] for row in product(fractions(a), fractions(b))])
        vector = torch.linalg.svd(exact.double()).Vh[0]
        truth = stretch_squared_of_product(a, b, vector)
        assert Fraction(bound) ** 2 >= truth
        assert bound <= math.sqrt(truth) * 1.001


def stretch_squared_of_product(a: torch.Tensor, b: torch.Tensor, vector: torch.Tensor) -> Fraction:
    v = [[Fraction(x)] for x in vector.tolist()]
    image = product(fractions(a), product(fractions(b), v))
    return sum((x[0] ** 2 for x in image), Fraction(0)) / sum((x[0] ** 2 for x in v), Fraction(0))


@pytest.mark.parametrize("cases", [200, pytest.param(20000, marks=pytest.mark.extended)])
def test_singular_value_bound_holds_for_members(cases: int, device: torch.device) -> None:
    """Integer members of integer boxes, integer vectors: |M v|² ≤ bound² |v|² in exact integers."""
    matrix, vector = integers((cases, 4, 5), 7), integers((cases, 5, 1), 8, reach=9)
    bound = largest_singular_value(around(matrix, 9).to(device)).hi
    left = (matrix @ vector).square().sum((-2, -1))
    right = vector.square().sum((-2, -1))
    for b, stretched, size in zip(bound.tolist(), left.tolist(), right.tolist(), strict=True):
        assert Fraction(b) ** 2 * size >= stretched


def test_singular_value_survives_a_useless_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong, singular or NaN eigenvectors may loosen the bound and nothing else."""
    matrix = integers((5, 5), 2).double()
    truth = stretch_squared(matrix, torch.linalg.svd(matrix).Vh[0])
    for hint in (torch.zeros(5, 5), torch.ones(5, 5), torch.full((5, 5), math.nan), torch.randn(5, 5)):
        vectors = hint.double()
        monkeypatch.setattr(torch.linalg, "eigh", lambda m, v=vectors: (torch.ones(5).double(), v))
        bound = largest_singular_value(Interval.exact(matrix)).hi.item()
        assert Fraction(bound) ** 2 >= truth


def test_product_survives_a_useless_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a square root of AᵀA everything falls to the residual term."""
    a, b = integers((6, 3), 1).double(), integers((3, 5), 2).double()
    truth = stretch_squared_of_product(a, b, torch.linalg.svd(a @ b).Vh[0])
    for fill in (0.0, math.nan, 1.0, 1e300):
        hint = (torch.full((3,), fill, dtype=torch.float64), torch.full((3, 3), fill, dtype=torch.float64))
        monkeypatch.setattr(torch.linalg, "eigh", lambda m, h=hint: h)
        bound = product_singular_value(Interval.exact(a), Interval.exact(b)).hi.item()
        assert Fraction(bound) ** 2 >= truth


def test_singular_value_edge_cases() -> None:
    assert largest_singular_value(Interval.exact(torch.zeros(3, 2))).hi.item() < 1e-150
    assert largest_singular_value(Interval.exact(torch.zeros(2, 0, 4))).hi.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="bounded"):
        largest_singular_value(Interval.entire(2, 2))
    with pytest.raises(ValueError, match="bounded"):
        largest_singular_value(Interval.empty(2, 2))


@pytest.mark.parametrize("cases", [200, pytest.param(20000, marks=pytest.mark.extended)])
def test_product_singular_value_holds_for_members(cases: int, device: torch.device) -> None:
    """As above for |A B v|², the product never formed by the code under test."""
    a, b = integers((cases, 6, 2), 1, reach=20), integers((cases, 2, 5), 2, reach=20)
    vector = integers((cases, 5, 1), 3, reach=9)
    bound = product_singular_value(around(a, 4).to(device), around(b, 5).to(device)).hi
    left = (a @ (b @ vector)).square().sum((-2, -1))
    right = vector.square().sum((-2, -1))
    for limit, stretched, size in zip(bound.tolist(), left.tolist(), right.tolist(), strict=True):
        assert Fraction(limit) ** 2 * size >= stretched


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("cases", [6, pytest.param(5000, marks=pytest.mark.extended)])
def test_split_is_exact_for_any_direction(rank: int, cases: int, device: torch.device) -> None:
    """left·right + remainder contains the matrix, checked in rationals."""
    for seed in range(cases):
        matrix, directions = floats((4, 5), seed), floats((rank, 4), seed + 30)
        parts = split_directions(Interval.exact(matrix, device=device), directions.to(device))
        peeled = product(fractions(parts.left.lo), fractions(parts.right.lo)) if rank else None
        low, high, truth = map(fractions, (parts.remainder.lo, parts.remainder.hi, matrix))
        for i in range(4):
            for j in range(5):
                rest = truth[i][j] - (peeled[i][j] if peeled else 0)
                assert low[i][j] <= rest <= high[i][j]


def test_true_singular_directions_empty_a_low_rank_matrix() -> None:
    matrix = (integers((6, 2), 1) @ integers((2, 7), 2)).double()
    directions = torch.linalg.svd(matrix).U.mT[:2]
    parts = split_directions(Interval.exact(matrix), directions)
    assert parts.remainder.abs().amax().hi.item() < 1e-9


def test_split_refuses_bad_directions() -> None:
    x = Interval.exact(torch.ones(3, 2))
    with pytest.raises(ValueError, match="length 2, the matrix has 3 rows"):
        split_directions(x, torch.ones(1, 2))
    with pytest.raises(ValueError, match="finite"):
        split_directions(x, torch.tensor([[math.nan, 0.0, 0.0]]))


@pytest.mark.parametrize("cases", [500, pytest.param(100000, marks=pytest.mark.extended)])
def test_convex_max_covers_every_point_between(cases: int, device: torch.device) -> None:
    """Maxima of integer lines, at integer points between integer ends."""
    offsets, slopes = integers((cases, 4), 1), integers((cases, 4), 2)
    low = integers((cases,), 3, reach=9)
    high = low + integers((cases,), 4, reach=9).abs()

    def lines(alpha: Interval) -> Interval:
        return (alpha.unsqueeze(-1) * slopes.double().to(device) + offsets.double().to(device)).amax(-1)

    bound = convex_max(lines, Interval.hull(low.double(), high.double()).to(device)).to("cpu")
    for step in range(10):
        alpha = torch.minimum(low + step, high)
        value = (alpha.unsqueeze(-1) * slopes + offsets).amax(-1).double()
        assert bool((bound.hi >= value).all())
    assert bool((bound.lo <= bound.hi).all())


def test_convex_max_refuses_unbounded_and_empty() -> None:
    for box in (Interval.entire(2), Interval.empty(2)):
        with pytest.raises(ValueError, match="bounded"):
            convex_max(lambda a: a, box)


@pytest.mark.parametrize("cases", [500, pytest.param(100000, marks=pytest.mark.extended)])
def test_max_of_lines_for_both_signs_of_the_deviation(cases: int, device: torch.device) -> None:
    base, slopes = integers((cases, 5), 1), integers((cases, 5), 2)
    delta = integers((cases,), 3, reach=9)
    truth = (base + delta.unsqueeze(-1) * slopes).amax(-1).double()
    boxes = (around(base, 4), around(slopes, 5), around(delta, 6))
    bound = max_of_lines(*(box.to(device) for box in boxes)).to("cpu")
    assert bool((bound.hi >= truth).all())
    exact = max_of_lines(*(Interval.exact(v.double(), device=device) for v in (base, slopes, delta)))
    assert bool((exact.hi.cpu() >= truth).all())
    # where one x is best for both parts nothing is lost
    single = max_of_lines(*(Interval.exact(v.double()) for v in (base[:, :1], slopes[:, :1], delta)))
    assert torch.equal(single.hi, (base[:, 0] + delta * slopes[:, 0]).double())


@pytest.mark.parametrize("cases", [500, pytest.param(100000, marks=pytest.mark.extended)])
def test_pessimal_contains_every_weighted_average(cases: int, device: torch.device) -> None:
    path, weights = integers((cases, 5), 1), integers((cases, 5), 2).abs()
    weights[:, 0] += weights.sum(-1) == 0
    box = pessimal(around(path, 3).to(device), -1).to("cpu")
    total, size = (path * weights).sum(-1), weights.sum(-1)
    # lo · Σw ≤ Σ w x ≤ hi · Σw; all integers below 2^53, so float64 is exact
    assert bool((box.lo * size <= total).all() & (total <= box.hi * size).all())
