"""Running error analysis in ball arithmetic: the derivations of docs/explanation/elementary.md, executed.

A `Tracked` number is a ball that holds every exact value of a quantity over a piece of the argument's
range, and a bound on how far the computed float can be from it.  Each rounded operation adds half the gap
between floats at the largest possible size of its result.  Nothing here is measured: the bounds hold for
every argument of the piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import attrs
from flint import arb, ctx, fmpq

U = 2.0**-53


def ball(low: float, high: float) -> arb:
    """All reals between two floats."""
    return arb(low).union(arb(high))


def exact(value: Fraction | float | int) -> arb:
    fraction = Fraction(value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def size(x: arb) -> float:
    """An upper bound of ``|x|`` as a float."""
    return math.nextafter(float(abs(x).upper()), math.inf)


def half_gap(magnitude: float) -> float:
    """Half the gap between floats of at most this size: the rounding error of a result of that size."""
    if magnitude == 0.0:
        return 0.0
    return math.ldexp(1.0, math.frexp(magnitude)[1] - 54)


@attrs.frozen
class Tracked:
    """Exact values ``value`` and ``|computed - exact| ≤ error``."""

    value: arb
    error: float = 0.0

    def rounded(self) -> Tracked:
        """After one rounding to nearest."""
        return Tracked(self.value, up(self.error + half_gap(size(self.value) + self.error)))

    def __add__(self, other: Tracked) -> Tracked:
        return Tracked(self.value + other.value, up(self.error + other.error)).rounded()

    def __sub__(self, other: Tracked) -> Tracked:
        return self + Tracked(-other.value, other.error)

    def __mul__(self, other: Tracked) -> Tracked:
        return self.times_exactly(other).rounded()

    def times_exactly(self, other: Tracked) -> Tracked:
        """A product that needs no rounding of its own (by a power of two, or inside a fused operation)."""
        spread = size(self.value) * other.error + size(other.value) * self.error + self.error * other.error
        return Tracked(self.value * other.value, up(spread))

    def __truediv__(self, other: Tracked) -> Tracked:
        low = float(abs(other.value).lower()) * (1 - 1e-15) - other.error
        spread = (self.error + size(self.value / other.value) * other.error) / low
        return Tracked(self.value / other.value, up(spread)).rounded()

    def plus_error(self, error: float) -> Tracked:
        """The same float for a slightly different exact quantity."""
        return Tracked(self.value, up(self.error + error))


def up(error: float) -> float:
    """Float sums of error terms, inflated by far more than their own rounding."""
    return error * (1 + 1e-12)


def constant(value: Fraction | arb) -> Tracked:
    """A coefficient rounded to the nearest float."""
    ball_value = exact(value) if isinstance(value, Fraction) else value
    return Tracked(ball_value, half_gap(size(ball_value)))


def horner(coefficients: Sequence[Fraction | arb], x: Tracked) -> Tracked:
    """``c_0 x^n + … + c_n``, the product of each step rounded or not: both errors are counted."""
    result = constant(coefficients[0])
    for c in coefficients[1:]:
        result = (x * result) + constant(c)
    return result


def pieces(low: float, high: float, count: int) -> Iterator[tuple[float, float]]:
    for i in range(count):
        yield low + (high - low) * i / count, low + (high - low) * (i + 1) / count


def octaves(low: float, high: float, parts: int) -> Iterator[tuple[float, float]]:
    """``[low, high]`` with ``0 < low``, each octave in equal parts."""
    while low < high:
        top = min(2 * low, high)
        yield from pieces(low, top, parts)
        low = top


def both_signs(low: float, high: float, parts: int) -> Iterator[tuple[float, float]]:
    for a, b in octaves(low, high, parts):
        yield a, b
        yield -b, -a


ctx.prec = 200
