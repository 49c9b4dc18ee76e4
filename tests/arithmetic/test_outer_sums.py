"""Outer sums: never below the exact sum, and above it by no more than the stated error."""

import itertools
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from certkit import cost, linalg
from certkit.testing.intervals import floats_like


def random_terms(shape: tuple[int, ...], lead: int, seed: int) -> list[Tensor]:
    """Terms of mixed size whose sums nearly cancel: where rounding errors show."""
    generator = torch.Generator().manual_seed(seed)
    terms = [floats_like(lead * n, generator, extreme=False).reshape(lead, n) for n in shape]
    terms[-1][:, 0] = -sum(t[:, 0] for t in terms[:-1])
    return terms


def check_outer(shape: tuple[int, ...], lead: int, seed: int, device: torch.device) -> None:
    terms = random_terms(shape, lead, seed)
    moved = [term.to(device) for term in terms]
    sums = linalg.outer_sum_upper(moved).cpu()
    best = linalg.max_outer_sum_upper(moved).cpu()
    assert sums.shape == (lead, *shape)
    assert best.tolist() == sums.amax(0).tolist()
    for index in itertools.product(*map(range, shape)):
        exact = [
            sum(Fraction(t[x, i].item()) for t, i in zip(terms, index, strict=True)) for x in range(lead)
        ]
        for x in range(lead):
            upper = Fraction(sums[(x, *index)].item())
            assert upper >= exact[x]
            size = sum(Fraction(t[x].abs().max().item()) for t in terms)
            assert upper - exact[x] <= Fraction(3 * len(shape) + 3, 2**53) * size + Fraction(1, 2**1070)
        assert Fraction(best[index].item()) >= max(exact)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 2, 4), (2, 3, 2, 3)])
def test_outer_sums_are_above_the_exact_sums(shape: tuple[int, ...], device: torch.device) -> None:
    for seed in range(4):
        check_outer(shape, 3, seed, device)


@pytest.mark.extended
@pytest.mark.parametrize("shape", [(40, 30), (12, 10, 11), (6, 6, 6, 7)])
def test_outer_sums_are_above_the_exact_sums_extended(shape: tuple[int, ...], device: torch.device) -> None:
    for seed in range(30):
        check_outer(shape, 3, 100 + seed, device)


def test_outer_sums_report_their_additions() -> None:
    terms = [torch.ones(7, 4, dtype=torch.float64)] * 3
    with cost.counting() as spent:
        linalg.outer_sum_upper(terms)
    assert (spent.flops, spent.comparisons) == (7 * (16 + 64), 0)
    with cost.counting() as spent:
        linalg.max_outer_sum_upper(terms)
    assert (spent.flops, spent.comparisons) == (7 * (16 + 64), 6 * 64)


def test_maximum_over_nothing_is_minus_infinity(device: torch.device) -> None:
    terms = [torch.ones(0, 4, dtype=torch.float64, device=device)] * 2
    assert bool((linalg.max_outer_sum_upper(terms) == -torch.inf).all())
