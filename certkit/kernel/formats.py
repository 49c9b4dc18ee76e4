"""Weights in another format than binary32, as the binary32 numbers that they are."""

from __future__ import annotations

import struct

from certkit.kernel.reader import refuse


def as_float32(raw: bytes, dtype: str, name: str) -> bytes:
    """Return the numbers of a tensor as little-endian binary32; refuse what is not exactly that."""
    if dtype == "BF16":  # the upper half of a float32
        return b"".join(b"\0\0" + raw[i : i + 2] for i in range(0, len(raw), 2))
    numbers = struct.iter_unpack({"F16": "<e", "F64": "<d"}[dtype], raw)
    return b"".join(_single(number, name) for (number,) in numbers)


def _single(number: float, name: str) -> bytes:
    try:
        single = struct.pack("<f", number)
    except OverflowError:
        single = b""
    exact = single and (number != number or struct.unpack("<f", single) == (number,))
    # what is not a number is passed on to where it is refused
    return single if exact else refuse("model", f"tensor {name} is float64 and not exactly float32")
