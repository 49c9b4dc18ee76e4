"""Witnesses as canonical JSON, and the range checks that make every witness safe to verify.

A witness is a frozen attrs class of integers, floats, strings, tuples, ``Tensor`` and other such classes.
On paper a float is its ``float.hex`` string and a tensor is ``{"dtype": "float64" | "int64", "shape":
[…], "values": […]}`` in row-major order, so a witness read back is the witness that was written, bit for
bit. Reading is strict: unknown or missing keys, wrong types (``true`` is not an integer), spellings that
are not canonical, NaN and infinities are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import cattrs
import cattrs.errors
import torch
from torch import Tensor

W = TypeVar("W")

_SAFE_INTEGER: Final = 2**53
_DTYPES: Final[Mapping[str, torch.dtype]] = {"float64": torch.float64, "int64": torch.int64}
_HEX = re.compile(r"-?0x[01](\.[0-9a-f]+)?p[+-][0-9]+")


class WitnessError(ValueError):
    """A witness value that verification refuses: wrong type or shape, not finite, or outside its stated
    range."""


@attrs.frozen
class NoWitness:
    """The witness of a strategy that needs none."""


def require_tensor(
    name: str, value: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float64
) -> Tensor:
    """``value`` if it is a finite tensor of exactly this shape and dtype, and `WitnessError` otherwise.

    >>> require_tensor("u", torch.tensor([0.0, float("nan")], dtype=torch.float64), [2])
    Traceback (most recent call last):
    proofs.witness.WitnessError: witness u[1] is nan; every value must be finite
    """
    if not isinstance(value, Tensor):
        raise WitnessError(f"witness {name} is a {type(value).__name__}; it must be a tensor")
    if tuple(value.shape) != tuple(shape) or value.dtype is not dtype:
        raise WitnessError(
            f"witness {name} is {value.dtype} of shape {list(value.shape)}; "
            f"it must be {dtype} of shape {list(shape)}"
        )
    if value.requires_grad:
        raise WitnessError(f"witness {name} requires grad; detach it")
    bad = ~torch.isfinite(value)
    if bool(bad.any()):
        index = bad.nonzero()[0].tolist()
        raise WitnessError(
            f"witness {name}{index} is {value[tuple(index)].item()}; every value must be finite"
        )
    return value


def require_range(name: str, value: Tensor, low: int | float, high: int | float) -> Tensor:
    """``value`` if ``low <= value <= high`` everywhere, and `WitnessError` naming the first offender
    otherwise.

    >>> require_range("gap", torch.tensor([1, 0]), 1, 4)
    Traceback (most recent call last):
    proofs.witness.WitnessError: witness gap[1] is 0; it must be between 1 and 4
    """
    bad = ~((value >= low) & (value <= high))
    if bool(bad.any()):
        index = bad.nonzero()[0].tolist()
        found = value[tuple(index)].item()
        raise WitnessError(f"witness {name}{index} is {found}; it must be between {low} and {high}")
    return value


def _int_out(value: int) -> int:
    if type(value) is not int or abs(value) > _SAFE_INTEGER:
        raise WitnessError(f"cannot store {value!r}; witness integers are ints of at most 2**53")
    return value


def _int_in(value: object, _: type) -> int:
    if type(value) is not int or abs(value) > _SAFE_INTEGER:
        raise WitnessError(f"bad integer {value!r} in a witness")
    return value


def _float_out(value: float) -> str:
    if type(value) is not float or not math.isfinite(value):
        raise WitnessError(f"cannot store {value!r}; witness reals are finite floats")
    return value.hex()


def _finite(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        raise WitnessError(f"bad real {text!r} in a witness; it is too large") from None


def _float_in(value: object, _: type) -> float:
    if type(value) is str and _HEX.fullmatch(value):
        return _finite(value)
    raise WitnessError(f"bad real {value!r} in a witness; it must be as float.hex writes it")


def _str_in(value: object, _: type) -> str:
    if type(value) is not str:
        raise WitnessError(f"bad string {value!r} in a witness")
    return value


def _tensor_out(value: Tensor) -> dict[str, object]:
    for name, dtype in _DTYPES.items():
        if value.dtype is dtype:
            out = _float_out if dtype is torch.float64 else _int_out
            values = [out(item) for item in value.detach().cpu().reshape(-1).tolist()]
            return {"dtype": name, "shape": list(value.shape), "values": values}
    raise WitnessError(
        f"a tensor of the witness is {value.dtype}; it must be float64 or int64 (0 and 1 for false and true)"
    )


def _tensor_in(value: object, _: type) -> Tensor:
    if (
        not isinstance(value, dict)
        or set(value) != {"dtype", "shape", "values"}
        or value["dtype"] not in _DTYPES
    ):
        raise WitnessError("bad tensor in a witness; it must have exactly dtype, shape and values")
    shape, values, dtype = value["shape"], value["values"], _DTYPES[value["dtype"]]
    if not isinstance(shape, list) or not isinstance(values, list):
        raise WitnessError("bad tensor in a witness; shape and values must be lists")
    sizes = [_int_in(size, int) for size in shape]
    if any(size < 0 for size in sizes) or math.prod(sizes) != len(values):
        raise WitnessError(f"bad tensor in a witness: shape {sizes} does not hold {len(values)} values")
    numbers = [_float_in(v, float) if dtype is torch.float64 else _int_in(v, int) for v in values]
    return torch.tensor(numbers, dtype=dtype).reshape(sizes)


def _refuse_bool(value: object, _: type) -> bool:
    raise WitnessError(f"bad value {value!r} in a witness; witnesses hold no booleans")


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    converter.register_unstructure_hook(int, _int_out)
    converter.register_unstructure_hook(float, _float_out)
    converter.register_unstructure_hook(Tensor, _tensor_out)
    converter.register_structure_hook(int, _int_in)
    converter.register_structure_hook(float, _float_in)
    converter.register_structure_hook(str, _str_in)
    converter.register_structure_hook(bool, _refuse_bool)
    converter.register_structure_hook(Tensor, _tensor_in)
    return converter


_CONVERTER: Final = _converter()


def witness_to_json(witness: object) -> Any:
    """The JSON value of a witness: ``null`` for `NoWitness`, an object otherwise.

    Raises:
        WitnessError: a value that JSON cannot hold exactly (NaN, infinity, a float32 tensor, a huge integer).

    >>> witness_to_json(NoWitness()) is None
    True
    """
    return None if isinstance(witness, NoWitness) else _CONVERTER.unstructure(witness)


def witness_from_json(value: Any, cls: type[W]) -> W:
    """The witness of class ``cls`` written as ``value``; the inverse of `witness_to_json`.

    Raises:
        WitnessError: anything that `witness_to_json` would not have written for this class.
    """
    if cls is NoWitness and value is None:
        return cls()
    try:
        witness = _CONVERTER.structure(value, cls)
    except (cattrs.errors.BaseValidationError, cattrs.errors.ForbiddenExtraKeysError) as error:
        raise WitnessError(f"bad {cls.__name__}: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise WitnessError(f"bad {cls.__name__}: {error!r}") from error
    if witness_to_json(witness) != value:
        raise WitnessError(f"bad {cls.__name__}: the fields are not as this program writes them")
    return witness
