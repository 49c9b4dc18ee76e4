"""Operands that tell good float64 arithmetic from bad, and their exact results by integers and rationals."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Final


@cache
def _operands() -> tuple[list[float], list[float]]:
    """Pairs that tell rounding modes, flushing and double rounding apart; nothing overflows."""
    one_and_a_bit, tie = 1 + 2.0**-52, 2.0**-53
    pairs = [
        (1.0, tie),  # a tie: down to even
        (one_and_a_bit, tie),  # a tie: up to even
        (1.0, -(2.0**-54)),
        (1.0, tie + 2.0**-80),  # just above a tie: double rounding gives 1
        (-1.0, -tie - 2.0**-80),
        (one_and_a_bit, one_and_a_bit),
        (2.0**-1022, -(2.0**-1074)),  # subnormal results and operands
        (2.0**-1022, 0.5),
        (2.0**-1074, 2.0**52),
        (3 * 2.0**-1074, 0.5),  # a tie between subnormals
        (2.0**-540, 2.0**-530),
        (2.0**-1030 + 2.0**-1074, 3.0),
        (-0.0, 0.0),
    ]
    draw = random.Random(1788)
    for _ in range(240):
        a, b = (draw.choice((-1, 1)) * draw.getrandbits(53) for _ in range(2))
        near = draw.randint(-60, 60)
        pairs.append((math.ldexp(a or 1, near), math.ldexp(b or 1, near + draw.randint(-55, 55))))
        wide = draw.randint(-1074, 400)
        pairs.append((math.ldexp(a or 1, wide), math.ldexp(b or 1, draw.randint(-1074, 400) - max(wide, 0))))
    kept = [(a, b) for a, b in pairs if b != 0.0 or a == 0.0]
    return [a for a, _ in kept], [b for _, b in kept]


def nearest(value: Fraction) -> float:
    """The float64 nearest to ``value``, ties to even, as CPython divides integers; ±inf on overflow."""
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def nearest_root(value: float) -> float:
    """The float64 nearest to the square root of ``value ≥ 0``, by integers alone."""
    if value == 0:
        return 0.0
    exact = Fraction(value)
    shift = 2 * (160 + max(0, exact.denominator.bit_length() // 2))
    scaled = (exact.numerator << (2 * shift)) // exact.denominator
    root = math.isqrt(scaled)
    sticky = root * root != scaled or (exact.numerator << (2 * shift)) % exact.denominator != 0
    return nearest(Fraction(2 * root + int(sticky), 2 << shift))


_EXACT: Final[dict[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}


@cache
def expected(name: str) -> tuple[tuple[float, float, float], ...]:
    """Operands and correctly rounded results of one operation, where the result is finite."""
    left, right = _operands()
    if name == "sqrt":
        return tuple((abs(a), 0.0, nearest_root(abs(a))) for a in left + right)
    usable = [(a, b) for a, b in zip(left, right, strict=True) if name != "div" or b != 0]
    answers = ((a, b, nearest(_EXACT[name](Fraction(a), Fraction(b)))) for a, b in usable)
    return tuple(answer for answer in answers if math.isfinite(answer[2]))


def matrices(m: int, k: int, n: int, wide: bool) -> tuple[list[list[float]], list[list[float]]]:
    """Random full-precision entries; ``wide`` ones span 400 binary orders of magnitude within each row."""
    draw = random.Random(m * 10_000 + k * 100 + n)

    def entry() -> float:
        return math.ldexp(
            draw.choice((-1, 1)) * draw.getrandbits(53), draw.randint(-200, 200) if wide else -52
        )

    return [[entry() for _ in range(k)] for _ in range(m)], [[entry() for _ in range(n)] for _ in range(k)]


@cache
def exact_products(m: int, k: int, n: int, wide: bool) -> tuple[tuple[Fraction, Fraction], ...]:
    """For each entry of the product: its exact value, and the most any order of summation can be off."""
    left, right = matrices(m, k, n, wide)
    unit = Fraction(1, 2**53)
    growth = k * unit / (1 - k * unit)
    result = []
    for row in left:
        for column in zip(*right, strict=True):
            terms = [Fraction(a) * Fraction(b) for a, b in zip(row, column, strict=True)]
            result.append((sum(terms, Fraction(0)), growth * sum(map(abs, terms), Fraction(0))))
    return tuple(result)
