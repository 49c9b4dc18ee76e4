"""The truth for rounding: rationals, compared with the floats around them. Shares no code with certkit."""

import math
from fractions import Fraction

MAX = Fraction(2**1024 - 2**971)


def exact_down(value: Fraction) -> float:
    """The largest float64 that is not above a rational; −inf below −MAX."""
    if value < -MAX:
        return -math.inf
    if value > MAX:
        return float(MAX)
    near = float(value)
    if Fraction(near) > value:
        near = math.nextafter(near, -math.inf)
    return near


def exact_up(value: Fraction) -> float:
    return -exact_down(-value)


def root_down(value: Fraction) -> float:
    """The largest float64 whose square is not above the value (which is 0 or at least 2**-1074)."""
    scaled = value * 2**1400
    near = math.isqrt(scaled.numerator // scaled.denominator)
    return exact_down(Fraction(near, 2**700))


def root_up(value: Fraction) -> float:
    down = root_down(value)
    return down if Fraction(down) ** 2 == value else math.nextafter(down, math.inf)
