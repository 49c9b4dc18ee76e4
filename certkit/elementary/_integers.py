"""Constants from exact integer arithmetic: pi, the error function's Taylor tables.

Fixed point with Python integers, which are exact; every division truncates by less than one unit of the
last bit, and so many guard bits are carried that the floats made from these numbers (``int / int`` is
correctly rounded in Python) are the nearest floats of the true constants.  Checked against ball arithmetic
in the tests.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from math import isqrt


@functools.cache
def pi_scaled(bits: int) -> int:
    """``pi · 2^bits``, within one unit (Machin: ``pi/4 = 4 atan(1/5) - atan(1/239)``)."""
    guard = bits + 32
    return 4 * (4 * _atan_inverse(5, guard) - _atan_inverse(239, guard)) >> 32


def _atan_inverse(n: int, bits: int) -> int:
    """``atan(1/n) · 2^bits`` within as many units as there are terms."""
    power = (1 << bits) // n
    total, k = 0, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        power //= n * n
        k += 1
    return total


def split_floats(value: Fraction, count: int) -> tuple[float, ...]:
    """``count`` floats whose exact sum is ``value`` to about ``53 · count`` bits, each the nearest to what
    is left.
    """
    parts = []
    for _ in range(count):
        part = float(value)
        parts.append(part)
        value -= Fraction(part)
    return tuple(parts)


@functools.cache
def half_pi_parts() -> tuple[float, ...]:
    """pi/2 as a sum of three floats."""
    return split_floats(Fraction(pi_scaled(400), 2 << 400), 3)


def reduce_by_half_pi(x: float) -> tuple[int, float, float]:
    """``x = q·pi/2 + (r + s)`` for any finite float: ``q mod 8`` and the remainder as a pair.

    ``x`` is an integer multiple of a power of two, so this is integer division by a long enough pi.  The
    error of ``q·pi/2`` is below ``2^-200``, and no float comes closer than about ``2^-62`` to a multiple of
    pi/2.
    """
    bits = 1280
    numerator, denominator = x.as_integer_ratio()
    scaled = (numerator << bits) // denominator  # exact when |x| ≥ 2^-1000: denominators divide 2^bits
    half_pi = pi_scaled(bits) // 2
    quotient = (2 * scaled + half_pi) // (2 * half_pi)
    high, low = split_floats(Fraction(scaled - quotient * half_pi, 1 << bits), 2)
    return quotient % 8, high, low


_ERF_BITS = 320


@functools.cache
def two_over_root_pi() -> Fraction:
    """``2/sqrt(pi)`` to about 300 bits."""
    root = isqrt(pi_scaled(2 * _ERF_BITS))  # sqrt(pi) · 2^_ERF_BITS
    return Fraction(2 << _ERF_BITS, root)


def _erf_and_slope(c: Fraction) -> tuple[Fraction, Fraction]:
    """``erf(c)`` and ``erf'(c)`` for ``0 < c ≤ 6``, to more than 200 bits.

    ``erf c = (2/sqrt(pi)) e^(-c²) Σ_n 2^n c^(2n+1) / (1·3·5···(2n+1))``, a series of positive terms.
    """
    one = 1 << _ERF_BITS
    square = c * c
    numerator, denominator = square.numerator, square.denominator
    exponential, term, n = 0, one, 1
    while term:
        exponential += term
        term = term * numerator // (denominator * n)
        n += 1
    slope = two_over_root_pi() * Fraction(one, exponential)
    series, term, n = 0, one * c.numerator // c.denominator, 0
    while term:
        series += term
        n += 1
        term = term * 2 * numerator // (denominator * (2 * n + 1))
    return slope * Fraction(series, one), slope


def erf_taylor(c: Fraction, terms: int) -> tuple[float, ...]:
    """``erf(c)`` as two floats, then the Taylor coefficients ``a_1 … a_terms`` of ``erf`` at ``c``, each to
    nearest.

    ``a_n = erf'(c) b_(n-1) / n`` with ``e^(-2ct - t²) = Σ b_n t^n``, and ``(n+1) b_(n+1) = -2c b_n - 2
    b_(n-1)``.
    """
    value, slope = _erf_and_slope(c)
    b = [Fraction(1), -2 * c]
    while len(b) < terms:
        n = len(b) - 1
        b.append((-2 * c * b[n] - 2 * b[n - 1]) / (n + 1))
    return (*split_floats(value, 2), *(float(slope * b[n - 1] / n) for n in range(1, terms + 1)))
