"""Every kernel's error before its last rounding, over its whole reduced range, for any argument.

The lemma (docs/explanation/elementary.md): if the number before the last rounding is off by less than half
the smaller of the two gaps beside the rounded result, one step outward is a bound.  ``u/2`` relatively is
enough for that.  These tests repeat each kernel's operations with `Tracked` numbers and compare with the
claims.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from flint import arb, ctx

from certkit.elementary import error_function, logarithm
from certkit.elementary._integers import erf_taylor, two_over_root_pi

from .tracked import (
    Tracked,
    U,
    ball,
    both_signs,
    constant,
    exact,
    half_gap,
    horner,
    octaves,
    pieces,
    size,
)

R_MAX = 0.34658
ONE = Tracked(arb(1))
HALF = Tracked(arb(0.5))


@pytest.fixture(autouse=True)
def _precision() -> None:
    ctx.prec = 200


def noise(bound: float) -> Tracked:
    """A float known only to lie within ± bound."""
    return Tracked(ball(-bound, bound))


def smallest(x: arb) -> float:
    return max(0.0, math.nextafter(float(abs(x).lower()), 0.0))


def exp_taylor(first: int) -> list[Fraction]:
    """``Σ_{i=0}^{11} r^i/(i + first)!``, highest power first."""
    return [Fraction(1, math.factorial(i + first)) for i in range(11, -1, -1)]


def taylor_rest(r: float, order: int) -> float:
    """``|e^r - Σ_{i<order} r^i/i!|`` by Lagrange."""
    return r**order / math.factorial(order) * math.exp(max(r, 0.0)) * (1 + 1e-9)


def test_exp() -> None:
    """Claim: within 0.4 u before the last rounding where the result is below 1, within 0.6 u above.

    Floats are u apart there and 2 u here, so this is less than half a gap.
    """
    worst = {-1: 0.0, 1: 0.0}
    for low, high in [*pieces(-R_MAX, 0.0, 200), *pieces(0.0, R_MAX, 200)]:
        r = Tracked(ball(low, high))
        reach = size(r.value)
        lost = noise(half_gap(reach)).plus_error(2.0**-84)  # s: what r lost
        c = r * r * horner(exp_taylor(2), r) + lost
        c = c + noise(half_gap(size(1 + r.value)))  # what 1 + r lost
        missing = half_gap(reach) * size(r.value.exp() - 1)  # s is not multiplied by e^r
        error = c.error + missing + taylor_rest(reach, 14) + 2.0**-80
        worst[1 if low >= 0 else -1] = max(worst[1 if low >= 0 else -1], error)
    assert 0.1 * U < worst[-1] <= 0.4 * U
    assert 0.1 * U < worst[1] <= 0.6 * U


F_LOW = struct.unpack("<d", struct.pack("<q", logarithm.OFFSET))[0] - 1.0
F_HIGH = 2.0 * (F_LOW + 1.0) - 1.0
"""The range of f: significands are taken from the code's own offset up to twice that."""


def log_pieces() -> list[tuple[int, float, float]]:
    near = [(0, a, b) for a, b in both_signs(2.0**-54, 2.0**-4, 4)]
    rest = [(0, *p) for a, b in ((F_LOW, -(2.0**-4)), (2.0**-4, F_HIGH)) for p in pieces(a, b, 400)]
    far = [(k, *p) for k in (1, -1, 2, -2, 3) for p in pieces(F_LOW, F_HIGH, 400)]
    return near + rest + far


def test_log() -> None:
    """Claim: within half the smaller gap before the last rounding (0.49 ulp away from powers of two)."""
    series = [Fraction(2, odd) for odd in range(23, 1, -2)]
    for k, low, high in log_pieces():
        f = Tracked(ball(low, high))
        s = f / (f + Tracked(arb(2)))
        half = (f * HALF) * f  # the first product is exact, which only makes the bound smaller
        half = Tracked(half.value, half_gap(size(f.value) ** 2 / 2))
        z = s * s
        p = (horner(series, z) * z + half) * s
        p = p.plus_error(atanh_rest(size(s.value)))
        p = p + noise(2.0**-34).plus_error(2.0**-86) if k else p
        w = half - p
        lost = noise(half_gap(size(k * arb(2).log() + f.value)) if k else 0.0)
        last = lost - w if k else Tracked(-w.value, w.error)
        value = k * arb(2).log() + (1 + f.value).log()
        gap = 2 * half_gap(smallest(value) * (1 - 1e-15))
        assert last.error + abs(k) * 2.0**-98 < 0.5 * gap, (k, low, high, last.error / gap)


def atanh_rest(s: float) -> float:
    """``|2 atanh(s) - Σ_{i≤11} 2 s^(2i+1)/(2i+1)|``."""
    return 2 * s**25 / 25 / (1 - s * s)


def check_relative(low_part: Tracked, extra: float, value: arb, claim: float) -> None:
    """The pair ``leading + low_part`` is within ``claim · u`` of ``value`` before its last rounding."""
    assert low_part.error + extra <= claim * U * smallest(value), (
        (low_part.error + extra) / U / smallest(value)
    )


def expm1_low(r: Tracked, reduced: bool = True) -> tuple[Tracked, float]:
    """The low part of ``e^r - 1`` (leading: ``r + r²/2``), and what the formula itself leaves out."""
    reach = size(r.value)
    r_low = noise(half_gap(reach)).plus_error(2.0**-84) if reduced else Tracked(arb(0))
    square_low = noise(half_gap(reach * reach))
    square = Tracked(r.value * r.value)  # a float, used as it is; its rounding error is square_low
    tail = square * r * horner(exp_taylor(3), r)
    # the tail uses the rounded square: relative error u of a term below r³/5
    tail = tail.plus_error(reach**3 / 5 * U)
    lost = noise(half_gap(size(r.value + square.value / 2)))
    low = lost + ((r_low + r * r_low) + (HALF.times_exactly(square_low) + tail))
    missing = half_gap(reach) * reach**2 + half_gap(reach) ** 2 if reduced else 0.0
    return low, missing + taylor_rest(reach, 15)


def test_expm1_without_reduction() -> None:
    """k = 0: ``e^x - 1`` itself, within 0.4 u relatively for 2^-60 ≤ |x|; no low part of r then."""
    for a, b in both_signs(2.0**-60, R_MAX, 8):
        r = Tracked(ball(a, b))
        low, missing = expm1_low(r, reduced=False)
        check_relative(low, missing, r.value.exp() - 1, 0.4)


@pytest.mark.parametrize("k", [1, -1, 2, -2, 3, -3, 10, -10, 53, -53, 64])
def test_expm1_with_reduction(k: int) -> None:
    """``(2^k - 1) + 2^k (e^r - 1)``: the sums of the leading parts are exact, the low parts are added."""
    for a, b in pieces(-R_MAX, R_MAX, 64):
        r = Tracked(ball(a, b))
        low, missing = expm1_low(r)
        scaled = Tracked(low.value * arb(2) ** k, low.error * 2.0**k)
        value = arb(2) ** k * r.value.exp() - 1
        head_low = noise(half_gap(2.0 ** max(k, 0)) if abs(k) > 52 else 0.0)
        lost = noise(half_gap(size(value) + 2.0 ** (k - 1)))
        total = lost + (head_low + scaled)
        check_relative(total, (missing + 2.0**-80) * 2.0**k, value, 0.45)


def test_tanh_and_sigmoid() -> None:
    """Quotients of pairs: the relative errors of the pairs, damped by the formula, and ``2^-100`` of
    division.

    ``tanh = t/(t + 2)``: an error ``d t`` changes it by ``2 d t/(t + 2)²``, relatively by at most ``d t/t``.
    ``n/(1 + n)`` and ``1/(1 + n)``: relatively by at most ``d n/n`` and ``d n``. The low part of a quotient
    is a rounded expression below ``2 u`` of the quotient: three roundings of it cost below ``2^-50`` of
    that.
    """
    claim_t = 0.45  # the two tests above
    assert claim_t + 2.0**-45 < 0.5
    for a, b in pieces(-R_MAX, R_MAX, 128):
        r = Tracked(ball(a, b))
        low, missing = expm1_low(r)
        joined = low + noise(half_gap(size(r.value.exp())))  # 1 + value, and its low part
        assert joined.error + missing + 2.0**-80 <= 0.45 * U * smallest(r.value.exp())


def log1p_pieces() -> list[tuple[int, bool, float, float]]:
    """k, whether 1 + x was split, and the range of f."""
    near = [(0, False, a, b) for a, b in both_signs(2.0**-60, 0.25, 16)]
    split = [(0, True, a, b) for a, b in (*pieces(F_LOW, -0.2499, 50), *pieces(0.2499, F_HIGH, 50))]
    far = [(k, True, *p) for k in (1, -1, 2, -2, 5, -20, 60) for p in pieces(F_LOW, F_HIGH, 200)]
    return near + split + far


def test_log1p() -> None:
    """Within u/2 relatively: the square is a pair, so only the small terms carry errors."""
    series = [Fraction(2, odd) for odd in range(23, 1, -2)]
    nothing = Tracked(arb(0))
    for k, split, low, high in log1p_pieces():
        f = Tracked(ball(low, high))
        s = f / (f + Tracked(arb(2)))
        z = s * s
        square = f.value * f.value
        square_error = half_gap(size(square))
        beyond = s * (Tracked(square / 2, square_error / 2) + z * horner(series, z))
        ratio = noise(U).plus_error(U * U) if split else nothing
        two_terms = ratio - (HALF.times_exactly(ratio) * ratio) if split else nothing
        with_log = beyond + noise(64 * 2.0**-44).plus_error(2.0**-90) if k else beyond
        small = two_terms + with_log if split else with_log
        value = k * arb(2).log() + (1 + f.value).log()
        head_low = noise(half_gap(size(k * arb(2).log() + f.value)) if k else 0.0)
        total_low = noise(half_gap(size(k * arb(2).log() + f.value - square / 2)))
        inner = small - noise(square_error / 2)
        last = total_low + (head_low + inner if k else inner)
        missing = atanh_rest(size(s.value)) + 2.0**-98 * abs(k) + (U**2 if split else 0.0)
        check_relative(last, missing, value, 0.5)


def test_sin() -> None:
    """Within u/2 relatively for |r| ≤ 0.7854; the reduction itself is right to 2^-60."""
    series = [Fraction((-1) ** n, math.factorial(2 * n + 1)) for n in range(8, 0, -1)]
    for a, b in octaves(2.0**-40, 0.7854, 16):
        r = Tracked(ball(a, b))
        s = noise(half_gap(b))
        z = Tracked(r.value * r.value)  # a float; what it lost is z_low
        z_low = noise(half_gap(b * b))
        turn = s * (ONE - HALF.times_exactly(z))
        correction = (r * z_low) * constant(Fraction(1, 6))
        tail = (r * z) * horner(series, z)
        low = (turn - correction) + tail
        # left out: s z²/24, the square's error beyond the first term, the series' rest, s²
        rest = half_gap(b) * b**4 / 24 + b * half_gap(b * b) * b * b / 60 + b**19 / math.factorial(19)
        check_relative(low, rest + half_gap(b) ** 2 + 2.0**-60 * U * b, r.value.sin(), 0.5)


def test_cos() -> None:
    """Within u/2 relatively for |r| ≤ 0.7854, where the cosine is at least 0.7071."""
    series = [Fraction((-1) ** n, math.factorial(2 * n)) for n in range(9, 1, -1)]
    for a, b in pieces(0.0, 0.7854, 256):
        r = Tracked(ball(a, b))
        s = noise(half_gap(b))
        z = Tracked(r.value * r.value)
        z_low = noise(half_gap(b * b))
        lost = noise(half_gap(1.0))
        tail = (z * z) * horner(series, z)
        low = (lost - (HALF.times_exactly(z_low) + r * s)) + tail
        rest = half_gap(b * b) * b**2 / 6 + half_gap(b) * b**3 / 6 + b**20 / math.factorial(20)
        check_relative(low, rest + half_gap(b) ** 2 + 2.0**-100, r.value.cos(), 0.5)


def test_erf_near_zero() -> None:
    a0 = exact(two_over_root_pi())
    tail = [a0 * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(13, 0, -1)]
    for a, b in octaves(2.0**-60, 0.5, 32):
        x = Tracked(ball(a, b))
        lost = noise(half_gap(size(x.value * a0)))
        z = x * x
        low = lost + x * (noise(half_gap(size(a0))) + z * horner(tail, z))
        rest = size(a0) * b**29 / math.factorial(14) / 29 + U**2 * b
        check_relative(low, rest, x.value.erf(), 0.5)


def test_erf_around_the_centres() -> None:
    cramer = 1.0865 * 2 / math.sqrt(math.pi) * math.sqrt(2.0**10 * math.factorial(10)) / math.factorial(11)
    for j in range(error_function._FIRST, error_function._LAST + 1):
        c = Fraction(j, 16)
        value, value_low, *_ = erf_taylor(c, 10)
        gauss = 2 / arb.pi().sqrt() * (-(exact(c) ** 2)).exp()
        coefficients = []
        b = [arb(1), -2 * exact(c)]
        for n in range(1, 9):
            b.append((-2 * exact(c) * b[n] - 2 * b[n - 1]) / (n + 1))
        coefficients = [gauss * b[n - 1] / n for n in range(10, 0, -1)]
        for low, high in pieces(-1 / 32, 1 / 32, 8):
            h = Tracked(ball(low, high))
            added = Tracked(exact(value_low)) + h * horner(coefficients, h)
            truth = (exact(c) + h.value).erf()
            check_relative(added, cramer / 32.0**11 + 2.0**-104, truth, 0.5)
        assert value > 0
