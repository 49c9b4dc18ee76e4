"""Row ranges of products: every bound against the exact range, for every kind of bound."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import pairwise

import pytest
import torch

from certkit import Interval, cost
from certkit.relax import (
    MeanRows,
    mean_row,
    row_range,
    row_range_direct,
    row_range_mean,
    row_range_recursive,
    row_range_split,
)

from .exact import around, exact_range, floats, fractions, integers, product

Bound = Callable[[list[Interval]], Interval]


def wild_row(a: Interval) -> torch.Tensor:
    """Any row is allowed: one far away from the mean."""
    return torch.full((*a.shape[:-2], 1, a.shape[-1]), -7.25, dtype=torch.float64, device=a.device)


BOUNDS: dict[str, Bound] = {
    "direct": lambda f: row_range_direct(reduce(lambda a, b: a @ b, f[:-1]), f[-1]),
    "mean": lambda f: row_range_mean(f[0], reduce(lambda a, b: a @ b, f[1:]), mean_row(f[0])),
    "wild row": lambda f: row_range_mean(f[0], reduce(lambda a, b: a @ b, f[1:]), wild_row(f[0])),
    "split": row_range_split,
    "split, mean": lambda f: row_range_split(f, mean=True),
    "recursive": row_range_recursive,
    "recursive, first": lambda f: row_range_recursive(f, MeanRows.FIRST),
    "recursive, every": lambda f: row_range_recursive(f, MeanRows.EVERY),
}

SHAPES = [(5, 3, 6), (4, 2, 3, 7), (6, 3, 2, 2, 8), (1, 1, 1), (3, 1, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("cases", [200, pytest.param(40000, marks=pytest.mark.extended)])
def test_bound_is_never_below_the_exact_range(
    name: str, shape: tuple[int, ...], cases: int, device: torch.device
) -> None:
    """Integer matrices inside integer intervals: the truth is exact in int64."""
    members = [integers((cases, m, n), i) for i, (m, n) in enumerate(pairwise(shape))]
    boxes = [around(x, 100 + i) for i, x in enumerate(members)]
    truth = reduce(torch.matmul, members)
    truth = truth.amax(-1) - truth.amin(-1)
    bound = BOUNDS[name]([x.to(device) for x in boxes]).to("cpu")
    assert bound.shape == truth.shape
    assert bool((bound.hi >= truth.double()).all())
    points = BOUNDS[name]([Interval.exact(x.double(), device=device) for x in members]).to("cpu")
    assert bool((points.hi >= truth.double()).all())


@pytest.mark.parametrize("name", BOUNDS)
def test_bound_holds_for_floats_of_all_sizes(name: str, device: torch.device) -> None:
    for seed in range(5):
        members = [floats((4, 3), seed), floats((3, 3), seed + 50), floats((3, 5), seed + 90)]
        truth = exact_range(reduce(product, map(fractions, members)))
        bound = BOUNDS[name]([Interval.exact(x, device=device) for x in members])
        assert all(Fraction(b) >= t for b, t in zip(bound.hi.tolist(), truth, strict=True))


def test_mean_row_pays_when_rows_are_alike() -> None:
    a = Interval.exact(100.0 + integers((8, 4), 3, reach=2).double())
    b = Interval.exact(integers((4, 9), 4).double())
    assert bool((row_range_mean(a, b, mean_row(a)).hi < 0.5 * row_range_direct(a, b).hi).all())


def test_split_is_no_worse_than_its_parts() -> None:
    boxes = [Interval.exact(integers(s, i).double()) for i, s in enumerate([(4, 3), (3, 3), (3, 6)])]
    direct = row_range_direct(boxes[0] @ boxes[1], boxes[2]).hi
    assert bool((row_range_split(boxes).hi <= direct).all())


def test_exact_row_range() -> None:
    x = Interval.hull(torch.tensor([[0.0, 1.0, -2.0]]), torch.tensor([[0.5, 3.0, -1.0]]))
    assert (row_range(x).lo.item(), row_range(x).hi.item()) == (2.0, 5.0)


def test_recursion_multiplies_no_matrices() -> None:
    """The cost of the recursion is linear in the entries: that is its point."""
    boxes = [Interval.exact(integers(s, i).double()) for i, s in enumerate([(50, 40), (40, 40), (40, 60)])]
    entries = sum(b.numel() for b in boxes)
    with cost.counting() as spent:
        row_range_recursive(boxes, MeanRows.EVERY)
    assert entries < spent.flops < 20 * entries


@pytest.mark.parametrize("function", [row_range_split, row_range_recursive])
def test_one_factor_is_refused(function: Callable[[list[Interval]], Interval]) -> None:
    with pytest.raises(ValueError, match="at least two factors, got 1"):
        function([Interval.exact(torch.ones(2, 2))])
