"""Interval products by fused operations and by split factors: the same tightest bounds, and both are used."""

from fractions import Fraction

import attrs
import pytest
import torch
from torch import Tensor

from certkit import Interval
from certkit._interval import arithmetic
from certkit._rounding import corners, kernels
from certkit.testing.intervals import floats_like
from tests.arithmetic.oracle import exact_down, exact_up


def precise(n: int, generator: torch.Generator) -> Tensor:
    """Numbers of 53 bits whose products are never exact, of both signs and of many sizes."""
    odd = 2 * torch.randint(2**51, 2**52, (n,), generator=generator) + 1
    power = ((torch.randint(-90, -10, (n,), generator=generator) + 1023) << 52).view(torch.float64)
    sign = torch.randint(0, 2, (n,), generator=generator).double() * 2 - 1
    return sign * odd.double() * power


def interval(n: int, generator: torch.Generator) -> Interval:
    """With and without 0 inside, wide and one ulp wide."""
    x, y = precise(n, generator), precise(n, generator)
    near = (x.view(torch.int64) + 2).view(torch.float64)  # odd again
    y = torch.where(torch.arange(n) % 3 == 0, near, y)
    return Interval.hull(torch.minimum(x, y), torch.maximum(x, y))


def factors(case: str, n: int, seed: int) -> tuple[Interval, Interval]:
    generator = torch.Generator().manual_seed(seed)
    x, y = interval(n, generator), interval(n, generator)
    positive = Interval.hull(*torch.aminmax(torch.stack([x.lo.abs(), x.hi.abs()]), dim=0))
    return {
        "any signs": (x, y),
        "one positive": (positive, y),
        "other positive": (y, positive),
        "both positive": (positive, positive * 1),
        "point": (Interval.exact(x.lo), y),
        "positive point": (y, Interval.exact(x.lo.abs())),
        "negative point": (Interval.exact(-x.hi.abs()), y),
        "points": (Interval.exact(x.lo), Interval.exact(y.lo)),
        "number": (y, Interval.exact(x.lo[0])),
        "short number": (y, Interval.exact(-0.75)),
        "power of two": (y, Interval.exact(-0.5)),  # every product exact
        "square": (x, x),
    }[case]


CASES = [
    *("any signs", "one positive", "other positive", "both positive", "point", "positive point"),
    *("negative point", "points", "number", "short number", "power of two", "square"),
]


def check_exactly(x: Interval, y: Interval, result: Interval) -> None:
    ends = [t.expand(result.shape).tolist() for t in (x.lo, x.hi, y.lo, y.hi)]
    for a, b, c, d, lo, hi in zip(*ends, result.lo.tolist(), result.hi.tolist(), strict=True):
        products = [Fraction(u) * Fraction(v) for u in (a, b) for v in (c, d)]
        assert (lo, hi) == (exact_down(min(products)), exact_up(max(products))), (a, b, c, d)


def spy(monkeypatch: pytest.MonkeyPatch, name: str, seen: list[str]) -> None:
    """Note each piece that is done by split factors."""
    ways = getattr(arithmetic, name)

    def noted(a: object, b: object, out: Tensor) -> Tensor:
        seen.append(name)
        return ways.split(a, b, out)

    monkeypatch.setattr(arithmetic, name, attrs.evolve(ways, split=noted))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("cases", [600, pytest.param(100_000, marks=pytest.mark.extended)])
def test_products_are_tightest(
    case: str, fused: bool, cases: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = (z.to(device) for z in factors(case, cases, seed=1))
    if fused and not kernels.fuses(x.device):
        pytest.skip("addcmul does not fuse here")
    split: list[str] = []
    spy(monkeypatch, "_PRODUCT", split)
    if not fused:
        for module in (kernels, corners):
            monkeypatch.setattr(module, "fuses", lambda _: False)
    result = x * y
    assert bool(split) == (not fused or case == "power of two")
    check_exactly(x, y, result)


QUOTIENTS = [
    "one positive",
    "other positive",
    "both positive",
    "negative point",
    "number",
    "short number",
    "points",
]


@pytest.mark.parametrize("case", QUOTIENTS)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("cases", [600, pytest.param(100_000, marks=pytest.mark.extended)])
def test_quotients_are_tightest(
    case: str, fused: bool, cases: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By divisors of one sign in fused operations, by those of both signs otherwise."""
    x, y = (z.to(device) for z in factors(case, cases, seed=6))
    if fused and not kernels.fuses(x.device):
        pytest.skip("addcmul does not fuse here")
    keeps_off = ~y.contains(0.0)
    x, y = (x[keeps_off], y[keeps_off]) if y.shape else (x, y)
    split: list[str] = []
    spy(monkeypatch, "_QUOTIENT", split)
    if not fused:
        for module in (kernels, corners):
            monkeypatch.setattr(module, "fuses", lambda _: False)
    result = x / y
    one_sign = bool((y.lo > 0).all() | (y.hi < 0).all())
    assert bool(split) == (not fused or not one_sign or case == "short number")  # a third is exact there
    assert bool((x / -y).same_bounds(-result).all())
    ends = [t.expand(result.shape).tolist() for t in (x.lo, x.hi, y.lo, y.hi)]
    for a, b, c, d, lo, hi in zip(*ends, result.lo.tolist(), result.hi.tolist(), strict=True):
        quotients = [Fraction(u) / Fraction(v) for u in (a, b) for v in (c, d)]
        assert (lo, hi) == (exact_down(min(quotients)), exact_up(max(quotients))), (a, b, c, d)


@pytest.mark.parametrize("fused", [True, False])
def test_a_few_doubtful_elements_are_done_apart(
    fused: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exact, subnormal, huge, empty and unbounded ones among precise ones."""
    if not fused:
        for module in (kernels, corners):
            monkeypatch.setattr(module, "fuses", lambda _: False)
    x, y = factors("any signs", 2000, seed=2)
    odd_ones = floats_like(60, torch.Generator().manual_seed(3))
    at = torch.arange(60) * 33
    lo, hi = x.lo.clone(), x.hi.clone()
    lo[at], hi[at] = torch.minimum(odd_ones, hi[at]), torch.maximum(odd_ones, hi[at])
    result = Interval.hull(lo, hi).to(device) * y.to(device)
    check_exactly(Interval.hull(lo, hi), y, result)
    lo[5], hi[5], lo[6], hi[7], lo[8], hi[8] = torch.inf, -torch.inf, -torch.inf, torch.inf, -0.0, 0.0
    wild = Interval._unchecked(lo, hi).to(device) * y.to(device)
    assert bool(wild[5].is_empty())
    assert wild.lo[6].item() == -torch.inf or wild.hi[6].item() == torch.inf
    assert wild.lo[7].item() == -torch.inf or wild.hi[7].item() == torch.inf
    assert (wild.lo[8].item(), wild.hi[8].item()) == (0.0, 0.0)
    assert bool(wild[9:].same_bounds(result[9:]).all())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["PRODUCT", "QUOTIENT"])
def test_every_attempt_is_right_or_says_so(name: str, fused: bool, device: torch.device) -> None:
    """Signs of the error against rationals, on operands some of which each attempt must refuse."""
    kernel = getattr(kernels, name)
    generator = torch.Generator().manual_seed(4)
    attempted = 0
    for scale in (1.0, 2.0**-300, 2.0**-480, 2.0**-520, 2.0**300, 2.0**480):
        a, b = precise(200, generator) * scale, precise(200, generator) * scale
        if name == "QUOTIENT":
            b = b / scale / scale
        for attempt in kernel.attempts:
            work = torch.empty(kernel.buffers, 200, dtype=torch.float64, device=device).unbind()
            parts = attempt(a.to(device), b.to(device), list(work))
            if parts is None:
                continue
            attempted += 1
            for x, y, s, error in zip(a.tolist(), b.tolist(), *(p.tolist() for p in parts[:2]), strict=True):
                exact = Fraction(x) * Fraction(y) if name == "PRODUCT" else Fraction(x) / Fraction(y)
                off = exact - Fraction(s)
                assert (off > 0) - (off < 0) == kernel.sense * ((error > 0) - (error < 0))
    assert attempted >= 2


def test_an_addition_that_does_not_fuse_is_never_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an ``addcmul`` that rounds the product the fused attempts find every element doubtful."""
    x, y = (z.lo for z in factors("any signs", 300, seed=5))

    def rounded_twice(s: Tensor, a: Tensor, b: Tensor, value: float, out: Tensor) -> Tensor:
        return torch.add(s, a * b, alpha=value, out=out)

    monkeypatch.setattr(torch, "addcmul", rounded_twice)
    for module in (kernels, corners):
        monkeypatch.setattr(module, "fuses", lambda _: True)
    assert kernels.PRODUCT.attempts[0](x, y, list(torch.empty(6, 300).double().unbind())) is None
    assert corners.extreme_products([(x, y)], [(x, y)], torch.empty(2, 300).double()) is None
    check_exactly(Interval.exact(x), Interval.exact(y), Interval.exact(x) * Interval.exact(y))
