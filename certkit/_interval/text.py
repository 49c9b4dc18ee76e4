"""Interval and number literals (IEEE 1788-2015, 9.7 and 12.11), read exactly with rationals."""

from __future__ import annotations

import re
import warnings
from fractions import Fraction

from certkit import rounding

Ends = tuple[float, float]
EMPTY: Ends = (float("inf"), float("-inf"))
ENTIRE: Ends = (float("-inf"), float("inf"))

_DECIMAL = re.compile(r"(?P<mantissa>[+-]?(?:\d+\.?\d*|\.\d+))(?:e(?P<exponent>[+-]?\d+))?", re.ASCII)
_HEX = re.compile(
    r"(?P<sign>[+-]?)0x(?P<whole>[0-9a-f]*)\.?(?P<part>[0-9a-f]*)p(?P<exponent>[+-]?\d+)", re.ASCII
)
_RATIONAL = re.compile(r"(?P<above>[+-]?\d+)\s*/\s*(?P<below>\d+)", re.ASCII)
_UNCERTAIN = re.compile(
    r"(?P<mantissa>[+-]?(?:\d+\.?(?P<places>\d*)|\.(?P<only>\d+)))\?"
    r"(?P<radius>\?|\d*)(?P<side>[ud]?)(?:e(?P<exponent>[+-]?\d+))?",
    re.ASCII,
)
_MAX_EXPONENT = 100_000  # beyond this a short literal would cost unbounded time and memory


def number(text: str) -> Fraction:
    """The exact value of a decimal, hexadecimal or rational literal.

    Raises:
        ValueError: not such a literal, a zero denominator, or an exponent beyond ±100000.
    """
    word = text.strip().lower()
    if found := _DECIMAL.fullmatch(word):
        return Fraction(found["mantissa"]) * _power(10, found["exponent"] or "0", text)
    if found := _HEX.fullmatch(word):
        digits = found["whole"] + found["part"]
        if digits:
            value = Fraction(int(digits, 16), 16 ** len(found["part"])) * _power(2, found["exponent"], text)
            return -value if found["sign"] == "-" else value
    if (found := _RATIONAL.fullmatch(word)) and int(found["below"]):
        return Fraction(int(found["above"]), int(found["below"]))
    raise ValueError(f"{text!r} is not a number; write a decimal, a hexadecimal float or a fraction")


def _power(base: int, exponent: str, text: str) -> Fraction:
    if len(exponent) > 8 or abs(int(exponent)) > _MAX_EXPONENT:
        raise ValueError(f"{text!r}: exponents beyond ±{_MAX_EXPONENT} are not read")
    return Fraction(base) ** int(exponent)


def enclose(lo: Fraction | float, hi: Fraction | float) -> Ends:
    """The tightest float64 ends around exact ones (a float end is infinite)."""
    return (
        lo if isinstance(lo, float) else rounding.fraction_down(lo),
        hi if isinstance(hi, float) else rounding.fraction_up(hi),
    )


def interval_ends(text: str) -> Ends:
    """The tightest ends of an interval literal: ``"[1, 2]"``, ``"[0.1]"``, ``"[,]"``, ``"3.56?1e2"``,
    ``"[empty]"`` …

    Raises:
        ValueError: not a literal of a bare interval, or bounds that hold no real number.
    """
    word = text.strip().lower()
    if not (word.startswith("[") and word.endswith("]")):
        return _uncertain(word, text)
    inner = word[1:-1].strip()
    if inner in ("", "empty"):
        return EMPTY
    if inner == "entire":
        return ENTIRE
    below, comma, above = inner.partition(",")
    if not comma:
        return enclose(number(inner), number(inner))
    lo, hi = _end(below, -1), _end(above, +1)
    if lo <= hi and lo != float("inf") and hi != float("-inf"):
        return enclose(lo, hi)
    ends = enclose(lo, hi)
    if isinstance(lo, Fraction) and isinstance(hi, Fraction) and ends[0] <= ends[1]:
        warnings.warn(f"{text!r}: the bounds cross by less than a rounding; widened to both", stacklevel=3)
        return ends
    raise ValueError(f"{text!r}: the bounds hold no real number; write [empty] for the empty interval")


def _end(text: str, side: int) -> Fraction | float:
    word = text.strip()
    if not word:
        return side * float("inf")
    sign = -1 if word.startswith("-") else 1
    if word.lstrip("+-") in ("inf", "infinity") and len(word) - len(word.lstrip("+-")) <= 1:
        return sign * float("inf")
    return number(word)


def _uncertain(word: str, text: str) -> Ends:
    """``m?r`` is m ± r units of its last place; no r means half a unit, ``??`` unbounded, u and d one side
    only.
    """
    found = _UNCERTAIN.fullmatch(word)
    if not found:
        raise ValueError(f"{text!r} is not an interval literal such as '[1, 2]' or '3.56?1'")
    scale = _power(10, found["exponent"] or "0", text)
    middle = Fraction(found["mantissa"]) * scale
    unit = Fraction(1, 10 ** len(found["places"] or found["only"] or "")) * scale
    if found["radius"] == "?":
        low, high = (side * float("inf") for side in (-1, 1))
        return enclose(middle if found["side"] == "u" else low, middle if found["side"] == "d" else high)
    radius = unit * (int(found["radius"]) if found["radius"] else Fraction(1, 2))
    return enclose(
        middle if found["side"] == "u" else middle - radius,
        middle if found["side"] == "d" else middle + radius,
    )
