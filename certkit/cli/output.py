"""What commands print: JSON Lines on stdout for programs, tables on stdout for people, the rest on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from fractions import Fraction

from rich.console import Console

EXACT_INTEGERS = 2**53
"""Readers of JSON may hold integers beyond this only approximately: those are written as strings."""


def json_integer(value: int) -> int | str:
    """An integer as JSON Lines carry it: beyond ±2⁵³ as a string.

    >>> json_integer(5), json_integer(2**53), json_integer(2**53 + 1)
    (5, 9007199254740992, '9007199254740993')
    """
    return value if abs(value) <= EXACT_INTEGERS else str(value)


def float_down(value: Fraction) -> float:
    """A float that is at most `value`, for a `value` in [0, 1]; at most 2⁻⁵³ below it.

    The quotient is exact: its numerator is an integer of at most 53 bits, its denominator a power of two.

    >>> float_down(Fraction(1, 3)) <= Fraction(1, 3), float_down(Fraction(1))
    (True, 1.0)
    """
    if not 0 <= value <= 1:
        raise ValueError(f"value={value} is not a proportion in [0, 1]")
    return math.floor(value * EXACT_INTEGERS) / EXACT_INTEGERS


def percent_down(value: Fraction, digits: int = 4) -> str:
    """A percentage that never says more than `value`, with `digits` decimals.

    >>> percent_down(Fraction(16772048, 16777216)), percent_down(Fraction(1))
    ('99.9691 %', '100.0000 %')
    """
    scaled = math.floor(value * 100 * 10**digits)
    return f"{scaled // 10**digits}.{scaled % 10**digits:0{digits}d} %"


def print_json(record: Mapping[str, object]) -> None:
    """One JSON object on one line of stdout, in the given order of fields."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def result_console() -> Console:
    """Where tables for people go: stdout."""
    return Console()


def log_console() -> Console:
    """Where progress and remarks go: stderr."""
    return Console(stderr=True)
