"""The auditor's reader of weights: safetensors to exact integers, and the digest that names a model.

Every stored number is a multiple of a power of two, so a tensor is a matrix of integers and one exponent.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import NamedTuple

from flint import fmpz

from certkit.kernel.reader import parse_json, read_bounded, refuse, shaped

MAX_BYTES = 1 << 28
MAX_HEADER = 1 << 20
MAX_SIDE = 4096
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
_NAMES = ("W_E", "W_K", "W_O", "W_Q", "W_U", "W_V", "W_pos")
_TENSOR = {"dtype": str, "shape": (int, int), "data_offsets": (int, int)}


class Matrix(NamedTuple):
    """Exact numbers ``rows[i][j] · 2^−exponent``."""

    rows: list[list[fmpz]]
    exponent: int


class Weights(NamedTuple):
    """The seven matrices by name, and the model digest."""

    matrices: dict[str, Matrix]
    sha256: str


def read_weights(path: str) -> Weights:
    """Read a safetensors file that holds the seven matrices and nothing else."""
    data = read_bounded(path, MAX_BYTES)
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_bytes > min(MAX_HEADER, len(data) - 8):
        refuse("model", f"{path} is not a safetensors file")
    header = parse_json(data[8 : 8 + header_bytes], f"the header of {path}")
    if type(header) is dict:
        header.pop("__metadata__", None)
    tensors = shaped(header, dict.fromkeys(_NAMES, _TENSOR), f"the header of {path}")
    buffer = data[8 + header_bytes :]
    starts, ends = zip(*sorted(tensor["data_offsets"] for tensor in tensors.values()), strict=True)
    if (*starts, len(buffer)) != (0, *ends):
        taken = f"take {ends[-1]} bytes of {len(buffer)}"
        refuse("model", f"{path}: the tensors overlap, leave a hole, or {taken}")
    matrices, digest = {}, hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        (start, stop), (height, width), dtype = tensor["data_offsets"], tensor["shape"], tensor["dtype"]
        if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
            refuse("model", f"tensor {name} must have 1 to {MAX_SIDE} rows and columns")
        if dtype not in _BYTES or _BYTES[dtype] * height * width != stop - start:
            refuse("model", f"tensor {name} has dtype {dtype[:9]!a} or a size that is not its shape's")
        raw = buffer[start:stop]
        digest.update(f"{name}\0{dtype}\0{height},{width}\0".encode() + raw)
        if dtype != "F32":
            from certkit.kernel.formats import as_float32

            raw = as_float32(raw, dtype, name)
        matrices[name] = _decode(raw, width, name)
    return Weights(matrices, digest.hexdigest())


def _decode(raw: bytes, width: int, name: str) -> Matrix:
    """Return the binary32 numbers of one tensor as integers over a common power of two."""
    numbers = [number for (number,) in struct.iter_unpack("<f", raw)]
    if not all(map(math.isfinite, numbers)):
        refuse("model", f"tensor {name} holds a number that is not finite")
    ratios = [number.as_integer_ratio() for number in numbers]  # the denominators are powers of two
    exponent = max(bottom.bit_length() - 1 for _, bottom in ratios)
    integers = [fmpz((top << exponent) // bottom) for top, bottom in ratios]
    return Matrix([integers[i : i + width] for i in range(0, len(integers), width)], exponent)
