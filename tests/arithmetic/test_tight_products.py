"""The compensated sums and sliced products: containment of the exact rational, and the stated tightness."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from certkit import linalg
from certkit.testing.intervals import floats_like
from tests.arithmetic.test_reductions import exact_product, exact_sum


def check_sums(rows: int, n: int, seed: int, extreme: bool, device: torch.device) -> None:
    x = floats_like(rows * n, torch.Generator().manual_seed(seed), extreme=extreme).reshape(rows, n)
    x[::2, -1] = -x[::2, 0]
    down, up = linalg.sum_tight(x.to(device))
    for row, lo, hi in zip(x.tolist(), down.tolist(), up.tolist(), strict=True):
        exact, size = exact_sum(row), exact_sum([abs(value) for value in row])
        assert lo == -torch.inf or Fraction(lo) <= exact
        assert hi == torch.inf or exact <= Fraction(hi)
        if size < Fraction(2) ** 1000:
            slack = abs(exact) / 2**51 + size * n * n / Fraction(2**103) + Fraction(1, 2**1072)
            assert Fraction(hi) - Fraction(lo) <= slack


@pytest.mark.parametrize("n", [1, 2, 3, 10, 65])
@pytest.mark.parametrize("extreme", [False, True])
def test_tight_sums(n: int, extreme: bool, device: torch.device) -> None:
    check_sums(30, n, n, extreme, device)


@pytest.mark.extended
@pytest.mark.parametrize("extreme", [False, True])
def test_tight_sums_extended(extreme: bool, device: torch.device) -> None:
    for n in (3, 8, 100):
        check_sums(40_000 // n, n, 7 + n, extreme, device)


def matrices(m: int, k: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Factors of which half have rows over 120 binary orders of magnitude, the others rows of one size that
    cancel.
    """
    generator = torch.Generator().manual_seed(seed)
    if seed % 2:
        return (
            floats_like(m * k, generator, extreme=False).reshape(m, k),
            floats_like(k * n, generator, extreme=False).reshape(k, n),
        )
    a = torch.randn(m, k, generator=generator, dtype=torch.float64)
    b = torch.randn(k, n, generator=generator, dtype=torch.float64)
    b[-1] = -(a[0, :-1] @ b[:-1]) / a[0, -1] if k > 1 else b[-1]
    return a, b


def check_products(m: int, k: int, n: int, seed: int, device: torch.device) -> None:
    a, b = matrices(m, k, n, seed)
    lo, hi = (x.cpu() for x in linalg.matmul_tight(a.to(device), b.to(device)))
    for i, row in enumerate(a.tolist()):
        for j, column in enumerate(b.mT.tolist()):
            exact = exact_product(row, column)
            low, high = Fraction(lo[i, j].item()), Fraction(hi[i, j].item())
            assert low <= exact <= high
            if seed % 2 == 0:
                size = max(map(abs, row)) * max(map(abs, column))
                assert high - low <= abs(exact) / 2**51 + Fraction(size) * k / 2**85


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 2), (4, 33, 3), (2, 64, 5)])
def test_tight_products(shape: tuple[int, int, int], device: torch.device) -> None:
    for seed in range(4):
        check_products(*shape, seed, device)


@pytest.mark.extended
def test_tight_products_extended(device: torch.device) -> None:
    for seed in range(12):
        check_products(30, 40, 30, 50 + seed, device)


def test_products_of_small_integers_are_exact(device: torch.device) -> None:
    a = torch.randint(-1000, 1000, (2, 7, 9)).double().to(device)
    b = torch.randint(-1000, 1000, (2, 9, 5)).double().to(device)
    lo, hi = linalg.matmul_tight(a, b)
    assert torch.equal(lo, hi)
    assert torch.equal(lo, a @ b)


def test_elements_out_of_range_are_refused(device: torch.device) -> None:
    x = torch.ones(2, 2, dtype=torch.float64, device=device)
    with pytest.raises(ValueError, match="left factor"):
        linalg.matmul_tight(x * 2.0**500, x)
    with pytest.raises(ValueError, match="right factor"):
        linalg.matmul_tight(x, x * 2.0**-500)
