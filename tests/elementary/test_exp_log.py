"""exp and log: containment decided exactly by ball arithmetic, and the documented tightness."""

from __future__ import annotations

import math

import pytest
import torch
from flint import arb
from torch import Tensor

from certkit.elementary import exp_bounds, log_bounds

from .oracle import AWKWARD, check_points, neighbours, random_bits, uniform

INF = math.inf


def exp_inputs(scale: int) -> Tensor:
    return torch.cat(
        [
            uniform(100 * scale, 0, -1, 1),
            uniform(100 * scale, 1, -745.5, 709.9),
            uniform(50 * scale, 2, -746, -700),
            random_bits(50 * scale, 3),
            neighbours(AWKWARD),
            neighbours([k * math.log(2) / 2 for k in range(-2152, 2050, max(1, 1000 // scale))]),
            neighbours([709.782712893384, -745.1332191019411, -708.396418532264, -708.0, 708.0]),
        ]
    )


def log_inputs(scale: int) -> Tensor:
    x = torch.cat(
        [
            uniform(100 * scale, 0, 0, 2),
            uniform(100 * scale, 1, 0.25, 4),
            1 + uniform(50 * scale, 2, -1e-3, 1e-3),
            random_bits(100 * scale, 3).abs(),
            neighbours([2.0**k for k in range(-1074, 1024, max(1, 1000 // scale))]).abs(),
            neighbours([0.6767578125 * f for f in (0.5, 1, 2, 4)] + [1.0], 40),
            neighbours(AWKWARD).abs(),
        ]
    )
    return x[x > 0]


@pytest.mark.parametrize("scale", [40, pytest.param(1200, marks=pytest.mark.extended)])
def test_exp_contains_the_truth_within_two_ulps(scale: int, device: torch.device) -> None:
    x = exp_inputs(scale).to(device)
    check_points(arb.exp, x.clamp(-1000, 1000), *exp_bounds(x, x), max_ulps=2.0)


@pytest.mark.parametrize("scale", [40, pytest.param(1200, marks=pytest.mark.extended)])
def test_log_contains_the_truth_within_two_ulps(scale: int, device: torch.device) -> None:
    x = log_inputs(scale).to(device)
    check_points(arb.log, x, *log_bounds(x, x), max_ulps=2.0)


@pytest.mark.parametrize("bounds", [exp_bounds, log_bounds])
def test_two_ends_agree_with_one(bounds: object, device: torch.device) -> None:
    """The shared-tensor short cut and the chunk borders change nothing."""
    assert callable(bounds)
    x = uniform(70007, 5, -750, 750).abs().reshape(7, -1).to(device)
    y = x + 1.0
    down, up = bounds(x, y)
    assert torch.equal(down, bounds(x, x)[0])
    assert torch.equal(up, bounds(y, y)[1])
    assert torch.equal(bounds(x[:, ::3], y[:, ::3])[0], down[:, ::3])


def test_exp_at_the_ends_of_the_number_line(device: torch.device) -> None:
    lo = torch.tensor([-INF, -INF, 0.0, 710.0, -1e308], dtype=torch.float64, device=device)
    hi = torch.tensor([-800.0, INF, -0.0, 800.0, 1e308], dtype=torch.float64, device=device)
    down, up = exp_bounds(lo, hi)
    assert down.tolist() == [0.0, 0.0, 1.0, 1.7976931348623157e308, 0.0]
    assert up.tolist() == [5e-324, INF, 1.0, INF, INF]


def test_log_at_the_ends_of_its_domain(device: torch.device) -> None:
    lo = torch.tensor([-1.0, 0.0, 0.0, -INF, 1.0, -2.0], dtype=torch.float64, device=device)
    hi = torch.tensor([1.0, 1.0, INF, INF, 1.0, -0.0], dtype=torch.float64, device=device)
    down, up = log_bounds(lo, hi)
    assert down.tolist() == [-INF, -INF, -INF, -INF, 0.0, INF]
    assert up.tolist() == [0.0, 0.0, INF, INF, 0.0, -INF]


@pytest.mark.parametrize("bounds", [exp_bounds, log_bounds])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1, 1)])
def test_shapes(bounds: object, shape: tuple[int, ...], device: torch.device) -> None:
    assert callable(bounds)
    x = torch.ones(shape, dtype=torch.float64, device=device)
    down, up = bounds(x, x)
    assert down.shape == up.shape == x.shape
