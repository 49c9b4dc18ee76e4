"""The constants in the code against ball arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from flint import arb, ctx, fmpq

from certkit.elementary import _integers, _series


def exact(value: float | Fraction) -> arb:
    fraction = Fraction(value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


@pytest.fixture(autouse=True)
def _precision() -> None:
    ctx.prec = 500


def test_ln2() -> None:
    ln2 = arb(2).log()
    assert float(_series.LN2_HIGH * 2.0**42).is_integer()  # 42 bits: products with k < 2^11 are exact
    assert abs(ln2 - exact(_series.LN2_HIGH)) < exact(2.0**-42)
    assert abs(ln2 - exact(_series.LN2_HIGH) - exact(_series.LN2_LOW)) < exact(2.0**-98)
    assert abs(exact(_series.INV_LN2) - 1 / ln2) < exact(2.0**-53)


def test_pi() -> None:
    for bits in (100, 400, 1280):
        ctx.prec = bits + 100
        assert abs(arb(_integers.pi_scaled(bits)) - arb.pi() * arb(2) ** bits) <= 1
    ctx.prec = 500
    parts = _integers.half_pi_parts()
    assert abs(sum(map(exact, parts), arb(0)) - arb.pi() / 2) < exact(2.0**-160)


@pytest.mark.parametrize("x", [1.0, 2.0**30 + 0.5, 1e22, 6381956970095103 * 2.0**797, -1.7e308])
def test_reduction_of_huge_arguments(x: float) -> None:
    ctx.prec = 3000
    quotient, high, low = _integers.reduce_by_half_pi(x)
    rest = exact(x) - exact(high) - exact(low)
    turns = rest / (arb.pi() / 2)
    nearest = (turns + arb(0.5)).floor().unique_fmpz()
    assert nearest is not None
    assert abs(turns - nearest) < exact(2.0**-104)
    assert int(nearest) % 8 == quotient


def test_erf_tables() -> None:
    assert abs(exact(_integers.two_over_root_pi()) - 2 / arb.pi().sqrt()) < exact(2.0**-250)
    for j in (8, 9, 31, 64, 96):
        c = Fraction(j, 16)
        value, value_low, *coefficients = _integers.erf_taylor(c, 10)
        assert abs(exact(value) + exact(value_low) - exact(c).erf()) < exact(2.0**-104)
        # a_n = (2/sqrt(pi)) e^(-c²) (-1)^(n-1) H_(n-1)(c) / n!
        gauss = 2 / arb.pi().sqrt() * (-(exact(c) ** 2)).exp()
        for n, a in enumerate(coefficients, start=1):
            truth = gauss * (-1) ** (n - 1) * hermite(n - 1, c) / math.factorial(n)
            assert abs(exact(a) - truth) <= abs(truth) * exact(2.0**-53)


def hermite(n: int, x: Fraction) -> arb:
    previous, current = Fraction(0), Fraction(1)
    for k in range(n):
        previous, current = current, 2 * x * current - 2 * k * previous
    return exact(current)
