"""Sums, products and extrema over dimensions: containment of the exact rational result, and stated
tightness.
"""

from fractions import Fraction

import pytest
import torch

from certkit import Interval, cost
from certkit.testing.intervals import members_of, random_intervals


def exact_sum(row: list[float]) -> Fraction:
    return sum((Fraction(value) for value in row), Fraction(0))


def check_sums(rows: int, n: int, seed: int, extreme: bool, device: torch.device) -> None:
    x = random_intervals(rows * n, torch.Generator().manual_seed(seed), extreme=extreme).reshape(rows, n)
    result = x.to(device).sum(-1)
    for lo, hi, low, high in zip(
        x.lo.tolist(), x.hi.tolist(), result.lo.tolist(), result.hi.tolist(), strict=True
    ):
        assert low == -torch.inf or Fraction(low) <= exact_sum(lo), (lo, low)
        assert high == torch.inf or Fraction(high) >= exact_sum(hi), (hi, high)
        size = max(exact_sum([abs(v) for v in hi]), exact_sum([abs(v) for v in lo]))
        depth = max((n - 1).bit_length(), 1)
        if size < Fraction(2) ** 1000:
            slack = Fraction(2 * depth + 2, 2**53) * size + Fraction(1, 2**1073)
            assert exact_sum(lo) - Fraction(low) <= slack
            assert Fraction(high) - exact_sum(hi) <= slack


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("extreme", [False, True])
def test_sums_contain_the_exact_sums(n: int, extreme: bool, device: torch.device) -> None:
    check_sums(40, n, n, extreme, device)


@pytest.mark.extended
@pytest.mark.parametrize("extreme", [False, True])
def test_sums_contain_the_exact_sums_extended(extreme: bool, device: torch.device) -> None:
    for n in (2, 3, 5, 16, 100):
        check_sums(25_000 // n, n, 100 + n, extreme, device)


def exact_product(a: list[float], b: list[float]) -> Fraction:
    return sum((Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)), Fraction(0))


def check_products(
    shape: tuple[int, int, int], seed: int, points: tuple[bool, bool], device: torch.device
) -> None:
    """Members of the factors, the ends included, have their exact product inside the bounds."""
    m, k, n = shape
    generator = torch.Generator().manual_seed(seed)
    a = random_intervals(m * k, generator, extreme=False).reshape(m, k)
    b = random_intervals(k * n, generator, extreme=False).reshape(k, n)
    a = Interval.exact(a.lo) if points[0] else a
    b = Interval.exact(b.hi) if points[1] else b
    result = (a.to(device) @ b.to(device)).to("cpu")
    # the worst case of each entry: every term at its extreme corner
    for i in range(m):
        for j in range(n):
            low = high = Fraction(0)
            for t in range(k):
                corner = [
                    Fraction(x) * Fraction(y)
                    for x in (a.lo[i, t].item(), a.hi[i, t].item())
                    for y in (b.lo[t, j].item(), b.hi[t, j].item())
                ]
                low, high = low + min(corner), high + max(corner)
            assert Fraction(result.lo[i, j].item()) <= low
            assert Fraction(result.hi[i, j].item()) >= high


@pytest.mark.parametrize("points", [(True, True), (True, False), (False, True), (False, False)])
def test_products_contain_every_corner(points: tuple[bool, bool], device: torch.device) -> None:
    for seed, shape in enumerate([(1, 1, 1), (3, 5, 4), (6, 33, 5)]):
        check_products(shape, seed, points, device)


@pytest.mark.extended
@pytest.mark.parametrize("points", [(True, True), (True, False), (False, True), (False, False)])
def test_products_contain_every_corner_extended(points: tuple[bool, bool], device: torch.device) -> None:
    for seed in range(15):
        check_products((40, 8, 40), 50 + seed, points, device)
        check_products((14, 70, 14), 80 + seed, points, device)


def test_products_that_underflow(device: torch.device) -> None:
    a = Interval.exact(torch.full((2, 3), 2.0**-540, dtype=torch.float64), device=device)
    b = Interval.exact(torch.full((3, 2), 2.0**-540, dtype=torch.float64), device=device)
    result = a @ b
    assert bool((result.hi >= 2.0**-1074).all())
    assert bool((result.lo <= 0).all())
    huge = Interval.exact(torch.full((1, 2), 2.0**1000, dtype=torch.float64), device=device)
    least = torch.full((2, 1), 2.0**-1074, dtype=torch.float64, device=device)
    tiny = Interval.hull(-least, least)
    spread = huge @ tiny
    assert spread.hi.item() >= 2.0**-73
    assert spread.lo.item() <= -(2.0**-73)


def test_products_refuse_what_they_cannot_bound(device: torch.device) -> None:
    x = Interval.exact(torch.ones(2, 2), device=device)
    with pytest.raises(ValueError, match=r"right operand is unbounded or empty at index \(0, 0\)"):
        x @ Interval.entire(2, 2).to(device)
    with pytest.raises(ValueError, match="left operand is unbounded or empty"):
        Interval.empty(2, 2).to(device) @ x
    with pytest.raises(OverflowError, match="leaves the range of float64"):
        (x * 1e300) @ (x * 1e300)


def test_extrema_and_running_extrema(device: torch.device) -> None:
    x = random_intervals(60, torch.Generator().manual_seed(5)).reshape(5, 12).to(device)
    for name in ("amax", "amin"):
        result = getattr(x, name)(-1)
        torch_op = getattr(torch, name)
        assert bool((result.lo == torch_op(x.lo, -1)).all() & (result.hi == torch_op(x.hi, -1)).all())
    running = x.cummax(1)
    assert bool((running.hi == torch.cummax(x.hi, 1).values).all())
    assert bool((x.cummin(0).lo == torch.cummin(x.lo, 0).values).all())
    member = members_of(x.to("cpu"), torch.Generator().manual_seed(6)).to(device)
    assert bool(x.amax().contains(member.amax()))


def test_an_empty_element_empties_the_reduction(device: torch.device) -> None:
    lo = torch.tensor([[0.0, torch.inf], [1.0, 2.0]], dtype=torch.float64)
    hi = torch.tensor([[1.0, -torch.inf], [1.0, 2.0]], dtype=torch.float64)
    x = Interval._unchecked(lo, hi).to(device)
    for result in (x.sum(-1), x.amax(-1), x.amin(-1), x.mean(-1)):
        assert result.is_empty().tolist() == [True, False]
    assert x.cummax(1).is_empty().tolist() == [[False, True], [False, False]]


def test_sum_shapes_follow_torch(device: torch.device) -> None:
    x = Interval.exact(torch.arange(24).reshape(2, 3, 4), device=device)
    for dim in (None, 0, -1, (0, 2), [1]):
        for keepdim in (False, True):
            want = torch.sum(x.lo, dim=dim, keepdim=keepdim)
            result = x.sum(dim, keepdim)
            assert result.shape == want.shape
            assert bool(result.contains(want).all())
    assert x.mean((0, 1)).shape == (4,)


def test_operations_report_what_they_enclose() -> None:
    a, b = Interval.exact(torch.ones(3, 4)), Interval.exact(torch.ones(4, 5))
    with cost.counting() as outer:
        with cost.counting() as inner:
            a @ b
        (a + 1).sum(-1).amax()
    assert (inner.flops, inner.comparisons) == (2 * 3 * 4 * 5, 0)
    assert (outer.flops, outer.comparisons) == (120 + 12 + 9, 2)


def test_long_sums_are_done_in_pieces(device: torch.device) -> None:
    x = random_intervals(140_001, torch.Generator().manual_seed(9), extreme=False).to(device)
    result = x.sum()
    low, high = exact_sum(x.lo.tolist()), exact_sum(x.hi.tolist())
    assert Fraction(result.lo.item()) <= low <= high <= Fraction(result.hi.item())
    size = exact_sum(x.mag().tolist())
    assert low - Fraction(result.lo.item()) <= Fraction(2 * 18 + 2, 2**53) * size
