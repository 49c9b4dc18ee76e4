"""How numbers are spelled in a certificate, and how fields are read: strictly, with the name in the error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

EXACT = 1 << 53


def dyadic(value: float) -> str:
    """Return the one spelling of a finite float: ``float.hex`` without trailing zeros after the point.

    >>> dyadic(12.0), dyadic(0.1), dyadic(-0.0)
    ('0x1.8p+3', '0x1.999999999999ap-4', '0x0.0p+0')
    """
    if not math.isfinite(value):
        raise ValueError(f"value={value} must be finite to be written to a certificate")
    mantissa, exponent = (value + 0.0).hex().split("p")
    head, tail = mantissa.split(".")
    return f"{head}.{tail.rstrip('0') or '0'}p{exponent}"


def wide_int(value: int) -> int | str:
    """Return the integer itself up to ±2⁵³, else its decimal string.

    >>> wide_int(7), wide_int(2**60)
    (7, '1152921504606846976')
    """
    return value if -EXACT <= value <= EXACT else str(value)


def fields_of(value: Any, *names: str) -> Mapping[str, Any]:
    fields = mapping_of(value, "/".join(names))
    if set(fields) != set(names):
        missing, extra = sorted(set(names) - set(fields)), sorted(set(fields) - set(names))
        raise ValueError(f"missing fields {missing}, unknown fields {extra}")
    return fields


def mapping_of(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be an object")
    return value


def list_of(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list")
    return value


def str_of(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a string")
    return value


def int_of(value: Any, name: str) -> int:
    if type(value) is not int:
        raise TypeError(f"{name}={value!r} must be an integer")
    return value


def wide_of(value: Any, name: str) -> int:
    if (
        isinstance(value, str)
        and len(value) <= 4000
        and value.isascii()
        and value.removeprefix("-").isdigit()
    ):
        number = int(value)
        if wide_int(number) == value:
            return number
    elif type(value) is int:
        return value
    raise ValueError(f"{name}={str(value)[:40]!r} must be an integer, as a decimal string only beyond 2^53")


def real_of(value: Any, name: str) -> float:
    text = str_of(value, name)
    if len(text) > 40:
        raise ValueError(f"{name}={text[:40]!r}… is too long for a dyadic")
    try:
        number = float.fromhex(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}={text!r} must be a dyadic such as 0x1.8p+3") from None
    if dyadic(number) != text:
        raise ValueError(f"{name}={text!r} must be spelled {dyadic(number)}")
    return number
