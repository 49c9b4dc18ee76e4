"""Truth from ball arithmetic, and inputs chosen to hurt."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from flint import arb, ctx
from torch import Tensor

Function = Callable[[arb], arb]


def ulp_of(value: float) -> float:
    """The gap between the floats around |value| (the wider one at a power of two)."""
    return math.ulp(min(abs(value), 1.7976931348623157e308))


def decided(value: Callable[[], arb], below: float, above: float) -> arb:
    """``value()``, to enough bits to decide ``below ≤ value`` and ``value ≤ above`` one way or the other."""
    ctx.prec = 200
    low, high = arb(below), arb(above)
    while True:
        y = value()
        if (low <= y or low > y) and (high >= y or high < y):
            return y
        assert ctx.prec < 2**16, f"the oracle could not compare {y} with [{below!r}, {above!r}]"
        ctx.prec *= 4


def check_points(function: Function, x: Tensor, down: Tensor, up: Tensor, max_ulps: float) -> float:
    """Assert ``down ≤ f(x) ≤ up`` exactly and each within ``max_ulps``; returns the worst distance."""
    worst = 0.0
    for point, below, above in zip(x.tolist(), down.tolist(), up.tolist(), strict=True):
        y = decided(lambda p=point: function(arb(p)), below, above)
        assert arb(below) <= y, f"lower bound {below!r} exceeds f({point!r}) = {y.str(30)}"
        assert y <= arb(above), f"upper bound {above!r} is below f({point!r}) = {y.str(30)}"
        middle = float(y.mid())
        unit = arb(ulp_of(middle))
        if not math.isinf(middle):
            if below != -math.inf:
                worst = max(worst, float(((y - arb(below)) / unit).mid()))
            if above != math.inf and middle < 1.7e308:
                worst = max(worst, float(((arb(above) - y) / unit).mid()))
        assert worst <= max_ulps, f"{worst:.3f} ulp at {point!r}: [{below!r}, {above!r}]"
    return worst


def random_bits(count: int, seed: int) -> Tensor:
    """Uniform bit patterns: every exponent alike, subnormals included, NaN and infinities replaced by 0."""
    generator = torch.Generator().manual_seed(seed)
    pattern = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator)
    x = pattern.view(torch.float64)
    return torch.where(x.isfinite(), x, torch.zeros_like(x))


def uniform(count: int, seed: int, low: float, high: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64) * (high - low) + low


def neighbours(centres: list[float], reach: int = 3) -> Tensor:
    """The floats within ``reach`` places of each centre."""
    out: list[float] = []
    for centre in centres:
        below = above = centre
        out.append(centre)
        for _ in range(reach):
            below, above = math.nextafter(below, -math.inf), math.nextafter(above, math.inf)
            out += [below, above]
    return torch.tensor([v for v in out if math.isfinite(v)], dtype=torch.float64)


AWKWARD = [
    0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, -2.2250738585072014e-308, 2.0**-54, -(2.0**-54),
    2.0**-53, -(2.0**-53), 2.0**-52, 1e-300, 1e-20, -1e-20, 0.25, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 3.0,
    math.log(2), -math.log(2), 0.5 * math.log(2), -0.5 * math.log(2), math.pi, math.pi / 2, math.pi / 4,
    10.0, 37.0, 1e10, 2.0**52, 2.0**53, 1e22, 1e300, 1.7976931348623157e308, -1.7976931348623157e308,
]  # fmt: skip
