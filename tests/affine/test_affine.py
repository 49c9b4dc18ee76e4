"""Affine forms: no point is lost under any assignment of the symbols, sharing cancels, and it pays on
networks.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from flint import arb, ctx, fmpq
from torch import Tensor

from certkit import Affine, Interval, rounding
from certkit.testing.intervals import random_intervals


def boxes(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> Interval:
    generator = torch.Generator().manual_seed(seed)
    lo = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    width = torch.rand(shape, generator=generator, dtype=torch.float64) * scale
    return Interval.hull(lo, torch.where(width < 0.1 * scale, lo, lo + width))


def assignment(x: Affine, seed: int) -> dict[int, float]:
    """Values for the symbols of ``x``: ends and values between, all short binary fractions."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-8, 9, (x.symbols.numel(),), generator=generator).double() / 8
    return dict(zip(x.symbols.tolist(), values.tolist(), strict=True))


def exact_values(x: Affine, values: dict[int, float]) -> list[Fraction]:
    """The member of a form without remainder at an assignment, in rationals."""
    assert bool((x.remainder.lo == 0).all())
    total = [Fraction(c) for c in x.centre.reshape(-1).tolist()]
    names, generators = x.symbols.tolist(), x.generators.flatten(1).cpu()
    at = generators.nonzero()
    for (k, i), g in zip(at.tolist(), generators[at[:, 0], at[:, 1]].tolist(), strict=True):
        total[i] += Fraction(values[names[k]]) * Fraction(g)
    return total


def contained(result: Affine, values: dict[int, float], truth: list[Fraction | arb], bits: int = 300) -> None:
    """Under the same assignment (fresh symbols free) the result contains the truth, and so does its range."""
    ctx.prec = bits
    for bounds in (result.at(values), result.to_interval()):
        for low, high, t in zip(
            bounds.lo.reshape(-1).tolist(), bounds.hi.reshape(-1).tolist(), truth, strict=True
        ):
            ball = t if isinstance(t, arb) else arb(fmpq(t.numerator, t.denominator))
            exact = t if isinstance(t, Fraction) else None
            if exact is not None:
                assert low == -torch.inf or Fraction(low) <= exact
                assert high == torch.inf or exact <= Fraction(high)
            else:
                assert arb(low) <= ball
                assert ball <= arb(high)


Binary = Callable[[Affine, Affine], Affine]
BINARY: dict[str, tuple[Binary, Callable[[Fraction, Fraction], Fraction]]] = {
    "x + y": (lambda x, y: x + y, lambda x, y: x + y),
    "x - y": (lambda x, y: x - y, lambda x, y: x - y),
    "x y": (lambda x, y: x * y, lambda x, y: x * y),
    "x x": (lambda x, _: x * x, lambda x, _: x * x),
    "x y - y x": (lambda x, y: x * y - y * x, lambda x, y: Fraction(0) * x * y),
    "(x + y)(x - y)": (lambda x, y: (x + y) * (x - y), lambda x, y: x * x - y * y),
    "3 x - y / 4": (lambda x, y: 3 * x - y / 4, lambda x, y: 3 * x - y / 4),
    "1 - x": (lambda x, _: 1 - x, lambda x, _: 1 - x),
    "reduced": (lambda x, y: (x + y).reduce(2) - x, lambda x, y: y),
    "reduced, multiplied": (lambda x, y: x.reduce(3) * y.reduce(3), lambda x, y: x * y),
    "reduced to nothing": (lambda x, y: (x * y).reduce(0), lambda x, y: x * y),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("cases", [100, pytest.param(100_000, marks=pytest.mark.extended)])
def test_arithmetic_under_every_assignment(name: str, cases: int, device: torch.device) -> None:
    operation, truth = BINARY[name]
    for seed in range(cases // 100):
        scale = 10.0 ** (seed % 7 - 3)
        x, y = (Affine.from_interval(boxes((100,), 2 * seed + i, scale).to(device)) for i in range(2))
        values = assignment(x, seed) | assignment(y, seed + 1)
        pairs = zip(exact_values(x, values), exact_values(y, values), strict=True)
        contained(operation(x, y), values, [truth(a, b) for a, b in pairs])


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("cases", [100, pytest.param(10_000, marks=pytest.mark.extended)])
def test_arithmetic_at_the_ends_of_the_range(name: str, cases: int, device: torch.device) -> None:
    """Elements subnormal, huge, zeros of both signs, ends one ulp apart: what overflows is unbounded."""
    operation, truth = BINARY[name]
    for seed in range(cases // 100):
        generator = torch.Generator().manual_seed(seed)
        x, y = (Affine.from_interval(random_intervals(100, generator).to(device)) for _ in range(2))
        values = assignment(x, seed) | assignment(y, seed + 1)
        pairs = zip(exact_values(x, values), exact_values(y, values), strict=True)
        contained(operation(x, y), values, [truth(a, b) for a, b in pairs])


UNARY: dict[str, tuple[Callable[[Affine], Affine], Callable[[arb], arb], float]] = {
    "exp": (Affine.exp, arb.exp, 0.0),
    "tanh": (Affine.tanh, arb.tanh, 0.0),
    "sigmoid": (Affine.sigmoid, lambda x: 1 / (1 + (-x).exp()), 0.0),
    "log": (Affine.log, arb.log, 9.0),
    "reciprocal": (Affine.reciprocal, lambda x: 1 / x, 9.0),
    "relu": (Affine.relu, lambda x: (x + abs(x)) / 2, 0.0),
    "tanh(2x) - tanh(x)": (lambda x: (2 * x).tanh() - x.tanh(), lambda x: (2 * x).tanh() - x.tanh(), 0.0),
    "1/x · x": (lambda x: 1 / x * x, lambda x: x / x, 9.0),
}


DOMAINS = {
    "exp": (-700.0, 700.0),
    "tanh": (-50.0, 50.0),
    "sigmoid": (-100.0, 100.0),
    "log": (rounding.TINY, rounding.MAX),
    "reciprocal": (rounding.TINY, rounding.MAX),
    "relu": (-rounding.MAX, rounding.MAX),
}


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("cases", [100, pytest.param(10_000, marks=pytest.mark.extended)])
def test_functions_at_the_ends_of_the_range(name: str, cases: int, device: torch.device) -> None:
    """A form of a range of its own: points of it that lie outside the domain of a function do not count."""
    function, truth, _ = UNARY[name]
    low, high = DOMAINS[name]
    for seed in range(cases // 100):
        drawn = random_intervals(100, torch.Generator().manual_seed(seed))
        x = Affine.from_interval(Interval.hull(drawn.lo.clamp(low, high), drawn.hi.clamp(low, high)))
        inside = x.to_interval()
        x = x[(inside.lo >= low) & (inside.hi <= high)]
        values = assignment(x, seed)
        ctx.prec = 4500  # 1 + x keeps a subnormal x
        members = [truth(arb(fmpq(t.numerator, t.denominator))) for t in exact_values(x, values)]
        contained(function(x.to(device)), values, members, ctx.prec)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("cases", [100, pytest.param(100_000, marks=pytest.mark.extended)])
def test_functions_under_every_assignment(name: str, cases: int, device: torch.device) -> None:
    function, truth, shift = UNARY[name]
    ctx.prec = 300
    for seed in range(cases // 100):
        x = Affine.from_interval((boxes((100,), seed) + shift).to(device))
        values = assignment(x, seed)
        members = [truth(arb(fmpq(t.numerator, t.denominator))) for t in exact_values(x, values)]
        contained(function(x), values, members)


def test_matrix_products_under_every_assignment(device: torch.device) -> None:
    a, b = (Affine.from_interval(box.to(device)) for box in (boxes((3, 4), 1), boxes((4, 2), 2)))
    weight = boxes((2, 3), 3).to(device)
    for seed in range(10):
        values = assignment(a, seed) | assignment(b, seed + 50)
        x, y = exact_values(a, values), exact_values(b, values)
        product = [
            sum((x[4 * i + j] * y[2 * j + k] for j in range(4)), Fraction(0))
            for i in range(3)
            for k in range(2)
        ]
        contained(a @ b, values, list(product))
        contained(a.reduce(4) @ b.reduce(3), values, list(product))
        w = [Fraction(v) for v in weight.lo.reshape(-1).tolist()]
        left = [
            sum((w[3 * i + j] * x[4 * j + k] for j in range(3)), Fraction(0))
            for i in range(2)
            for k in range(4)
        ]
        contained(weight @ a, values, list(left))
        contained(weight.lo @ a, values, list(left))
        contained(a.mT @ weight.lo.mT, values, [left[4 * i + k] for k in range(4) for i in range(2)])
        contained(a.sum(1), values, [sum(x[4 * i : 4 * i + 4], Fraction(0)) for i in range(3)])


def test_a_difference_with_itself_vanishes(device: torch.device) -> None:
    """0 exactly for a fresh form; at rounding level after layers of rounding."""
    x = Affine.from_interval(boxes((100,), 1, scale=1e3).to(device))
    assert (x - x).to_interval().same_bounds(0.0).all()
    y = ((x * 0.1 + 0.3) * 0.7 - x / 3).reshape(10, 10)
    z = (y @ boxes((10, 10), 2).lo.to(device)).tanh()
    difference = (z - z).to_interval()
    assert bool(difference.contains(0.0).all())
    assert bool((difference.wid() <= 1e-11 * (1 + z.to_interval().mag())).all())


def layers(width: int, depth: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5 * 1.5,
            torch.randn(1, width, generator=generator, dtype=torch.float64) * 0.5,
        )
        for _ in range(depth)
    ]


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.extended)])
@pytest.mark.parametrize("samples", [2000, pytest.param(100_000, marks=pytest.mark.extended)])
def test_four_layer_network(seed: int, samples: int, device: torch.device) -> None:
    """At least five times narrower than intervals, and every sampled output is inside.

    A sample's output is itself enclosed by interval arithmetic, and that whole enclosure must be inside.
    """
    network = layers(width=16, depth=4, seed=seed)
    centre = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, -1)
    box = Interval.ball(centre, 0.01)
    plain = box
    generator = torch.Generator().manual_seed(seed)
    inputs = box.lo + (box.hi - box.lo) * torch.rand(samples, 16, generator=generator, dtype=torch.float64)
    outputs = Interval.exact(torch.minimum(torch.maximum(inputs, box.lo), box.hi))
    form, plain, outputs = Affine.from_interval(box.to(device)), plain.to(device), outputs.to(device)
    for weight, bias in ((w.to(device), b.to(device)) for w, b in network):
        form = (form @ weight + bias).tanh()
        plain = (plain @ weight + bias).tanh()
        outputs = (outputs @ weight + bias).tanh()
    result = form.to_interval()
    assert bool(result.contains(outputs).all())
    assert float((plain.wid() / result.wid()).min()) >= 5.0
    reduced = form.reduce(20).to_interval()
    assert bool(reduced.contains(outputs).all())


def test_conversion_loses_no_point(device: torch.device) -> None:
    for scale in (1e-300, 1.0, 1e300):
        x = boxes((200,), 3, scale).to(device)
        assert bool(Affine.from_interval(x).to_interval().contains(x).all())


def test_reduction_keeps_the_largest(device: torch.device) -> None:
    box = Interval.hull(torch.zeros(3), torch.tensor([1.0, 4.0, 2.0])).to(device)
    x = Affine.from_interval(box)
    y = x.reduce(1)
    assert y.symbols.tolist() == [x.symbols[1].item()]
    assert bool(y.to_interval().contains(box).all())
    assert x.reduce(3) is x


def test_indexing_and_shapes(device: torch.device) -> None:
    x = Affine.from_interval(boxes((3, 4), 1).to(device))
    assert x[1].shape == (4,)
    assert x[:, 1:3].shape == (3, 2)
    assert x.reshape(4, 3).reshape(-1).shape == (12,)
    assert (x + boxes((2, 3, 4), 2).to(device)).shape == (2, 3, 4)
    assert (x * torch.ones(4, device=device)).shape == (3, 4)
    assert bool(x[1].to_interval().same_bounds(x.to_interval()[1]).all())
    assert bool((x - x[:1]).to_interval()[0].contains(0.0).all())


def test_overflow_stays_sound() -> None:
    y = Affine.from_interval(Interval.hull(torch.zeros(1), torch.full((1,), 1000.0))).exp()
    assert y.to_interval().hi.item() == float("inf")
    assert y.to_interval().lo.item() <= 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: Affine.from_interval(Interval.entire(2)), "bounded"),
        (lambda x: Affine.from_interval(Interval.empty(2)), "bounded"),
        (lambda x: x.reduce(-1), "budget=-1"),
        (lambda x: x.at({0: 2.0}), "must be in"),
        (lambda x: x @ torch.ones(3, 3), "reshape"),
        (lambda x: Affine(x.centre, x.generators[:1], x.symbols, x.remainder), "expected one tensor"),
        (lambda x: Affine(x.centre, x.generators, x.symbols.flip(0), x.remainder), "increasing"),
        (lambda x: Affine(x.centre * float("nan"), x.generators, x.symbols, x.remainder), "finite"),
        (lambda x: Affine(x.centre, x.generators, x.symbols, x.remainder[:1]), "remainder has shape"),
        (lambda x: (x - x.centre).reciprocal(), "without 0"),
    ],
)
def test_bad_input_is_refused(make: Callable[[Affine], object], message: str) -> None:
    x = Affine.from_interval(Interval.hull(torch.zeros(3), torch.ones(3)))
    with pytest.raises(ValueError, match=message):
        make(x)
