"""Every directed operation against exact rationals: equality, bit for bit, no tolerance."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from certkit import rounding
from certkit._rounding import kernels
from certkit.testing.intervals import floats_like
from tests.arithmetic.oracle import exact_down, exact_up, root_down, root_up

Operation = Callable[[Tensor, Tensor], Tensor]
CASES: dict[str, tuple[Operation, Operation, Callable[[Fraction, Fraction], Fraction]]] = {
    "add": (rounding.add_down, rounding.add_up, lambda a, b: a + b),
    "sub": (rounding.sub_down, rounding.sub_up, lambda a, b: a - b),
    "mul": (rounding.mul_down, rounding.mul_up, lambda a, b: a * b),
    "div": (rounding.div_down, rounding.div_up, lambda a, b: a / b),
}


def operands(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of every kind, with partners a few ulps from cancelling and partners at the edges of range."""
    generator = torch.Generator().manual_seed(seed)
    a, b = floats_like(n, generator), floats_like(n, generator)
    kind = torch.randint(0, 6, (n,), generator=generator)
    b = torch.where(kind == 0, -rounding.next_up(a), b)
    b = torch.where(kind == 1, a, b)
    tiny_partner = torch.where(a == 0, 1.0, 2.0**-1022 / a).clamp(-rounding.MAX, rounding.MAX)
    huge_partner = torch.where(a == 0, 1.0, rounding.MAX / a).clamp(-rounding.MAX, rounding.MAX)
    b = torch.where(kind == 2, tiny_partner, b)
    b = torch.where(kind == 3, huge_partner, b)
    return a, b.clamp(-rounding.MAX, rounding.MAX)


def ordinary_operands(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Operands without an extreme one, which would take the whole piece off the fast path: mantissas of all
    ones, powers of two, small integers, neighbours of these and near-cancelling pairs."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (floats_like(n, generator, extreme=False) for _ in range(2))
    a, b = torch.where(a == 0, 1.0, a), torch.where(b == 0, 3.0, b)
    kind = torch.randint(0, 5, (n,), generator=generator)
    b = torch.where(kind == 0, -rounding.next_up(a), b)
    return torch.where(kind == 1, rounding.next_down(a), a), torch.where(kind == 2, rounding.next_up(b), b)


def check_pairs(name: str, n: int, seed: int, ordinary: bool, device: torch.device) -> None:
    down, up, exact = CASES[name]
    a, b = ordinary_operands(n, seed) if ordinary else operands(n, seed)
    if name == "div":
        b = torch.where(b == 0, 3.0, b)
    a, b = a.to(device), b.to(device)
    low, high = down(a, b).tolist(), up(a, b).tolist()
    for x, y, lo, hi in zip(a.tolist(), b.tolist(), low, high, strict=True):
        truth = exact(Fraction(x), Fraction(y))
        assert lo == exact_down(truth), (name, "down", x.hex(), y.hex(), lo, exact_down(truth))
        assert hi == exact_up(truth), (name, "up", x.hex(), y.hex(), hi, exact_up(truth))


def check_roots(n: int, seed: int, device: torch.device) -> None:
    a, b = operands(n, seed)
    a = torch.cat([a.abs(), (b * b).clamp(max=rounding.MAX)]).to(device)
    low, high = rounding.sqrt_down(a).tolist(), rounding.sqrt_up(a).tolist()
    for x, lo, hi in zip(a.tolist(), low, high, strict=True):
        assert lo == root_down(Fraction(x)), (x.hex(), lo)
        assert hi == root_up(Fraction(x)), (x.hex(), hi)


@pytest.mark.parametrize("ordinary", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_directed_operations_are_tightest(name: str, ordinary: bool, device: torch.device) -> None:
    check_pairs(name, 3000, 1, ordinary, device)


@pytest.mark.parametrize("name", ["SUM", "DIFFERENCE", "PRODUCT", "QUOTIENT"])
def test_ordinary_operands_take_the_fast_path(name: str, device: torch.device) -> None:
    kernel = getattr(kernels, name)
    a, b = ordinary_operands(3000, seed=1)
    together = a + b != 0 if name == "SUM" else a - b != 0
    a, b = a[together].to(device), b[together].to(device)
    (down, up), ordinary = kernels.rounded(kernel, [kernels.Job(a, b, up=False), kernels.Job(a, b, up=True)])
    assert ordinary
    assert bool((down < up).any())
    assert not kernels.rounded(kernel, [kernels.Job(a * 2.0**-980, b * 2.0**-980, up=True)])[1]


def test_directed_roots_are_tightest(device: torch.device) -> None:
    check_roots(2000, 2, device)


@pytest.mark.extended
@pytest.mark.parametrize("ordinary", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_directed_operations_are_tightest_extended(name: str, ordinary: bool, device: torch.device) -> None:
    for seed in range(10, 16):
        check_pairs(name, 20_000, seed, ordinary, device)


@pytest.mark.extended
def test_directed_roots_are_tightest_extended(device: torch.device) -> None:
    for seed in range(10, 14):
        check_roots(15_000, seed, device)


def test_infinite_operands_have_their_limits(device: torch.device) -> None:
    inf = torch.tensor(torch.inf, dtype=torch.float64, device=device)
    two = torch.tensor(2.0, dtype=torch.float64, device=device)
    for direction in ("down", "up"):
        assert getattr(rounding, f"add_{direction}")(inf, two) == torch.inf
        assert getattr(rounding, f"mul_{direction}")(-inf, two) == -torch.inf
        assert getattr(rounding, f"div_{direction}")(two, inf) == 0
        assert getattr(rounding, f"sqrt_{direction}")(inf) == torch.inf


def test_broadcasting_reaches_the_rare_elements(device: torch.device) -> None:
    a = torch.tensor([[1.0], [2.0**-1000]], dtype=torch.float64, device=device)
    b = torch.tensor([3.0, 2.0**-60, 0.0], dtype=torch.float64, device=device)
    assert rounding.mul_up(a, b).tolist()[1] == [3 * 2.0**-1000, 2.0**-1060, 0.0]
    c = torch.tensor([1 + 2.0**-52, 2.0**-100, 0.0], dtype=torch.float64, device=device)
    assert rounding.mul_up(a, c)[1, 1] == rounding.TINY


def test_neighbours(device: torch.device) -> None:
    x = torch.tensor(
        [0.0, -0.0, rounding.TINY, -rounding.TINY, rounding.MAX, -torch.inf, torch.inf, -1.0],
        dtype=torch.float64,
        device=device,
    )
    up = [
        rounding.TINY,
        rounding.TINY,
        2 * rounding.TINY,
        0.0,
        torch.inf,
        -rounding.MAX,
        torch.inf,
        -1 + 2.0**-53,
    ]
    assert rounding.next_up(x).tolist() == up
    assert rounding.next_down(-x).tolist() == [-value for value in up]
