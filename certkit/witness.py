"""Witnesses as canonical JSON: what a certificate says of the search behind it.

A witness is a frozen attrs class of integers, floats, strings, tuples, ``Tensor`` and other such classes.
On paper a float is its ``float.hex`` string and a tensor is ``{"dtype": "float64" | "int64", "shape":
[…], "values": […]}`` in row-major order, so a witness read back is the witness that was written, bit for
bit. Reading is strict: unknown or missing keys, wrong types (``true`` is not an integer), spellings that
are not canonical, NaN and infinities are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final, NoReturn, TypeVar, get_origin

import attrs
import cattrs
import cattrs.errors
import torch
from torch import Tensor

__all__ = ["NoWitness", "WitnessError", "witness_difference", "witness_from_json", "witness_to_json"]

W = TypeVar("W")

_SAFE_INTEGER: Final = 2**53
_DTYPES: Final[Mapping[str, torch.dtype]] = {"float64": torch.float64, "int64": torch.int64}
_HELD: Final = "int, float, str, float64 and int64 tensors, and tuples and attrs classes of those"
_HEX = re.compile(r"-?0x[01](\.[0-9a-f]+)?p[+-][0-9]+")


class WitnessError(ValueError):
    """A witness value that is refused: wrong type or shape, not finite, or outside its stated range."""


@attrs.frozen
class NoWitness:
    """The witness of a strategy that needs none."""


def _int_out(value: int) -> int:
    if type(value) is not int or abs(value) > _SAFE_INTEGER:
        raise WitnessError(f"is {value!r}; integers are ints of at most 2**53 (0 and 1 for false and true)")
    return value


def _int_in(value: object, _: type) -> int:
    if type(value) is not int or abs(value) > _SAFE_INTEGER:
        raise WitnessError(f"bad integer {value!r} in a witness")
    return value


def _float_out(value: float) -> str:
    if type(value) is not float or not math.isfinite(value):
        raise WitnessError(f"is {value!r}; reals are finite floats")
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
        f"is a {value.dtype} tensor; tensors are float64 or int64 (0 and 1 for false and true)"
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


def _str_out(value: object) -> str:
    if type(value) is not str:
        _refuse(value)
    return value


def _none(value: object, _: type) -> None:
    if value is not None:
        raise WitnessError(f"bad value {value!r} in a witness; it must be null")


def _refuse(value: object) -> NoReturn:
    raise WitnessError(f"is a {type(value).__name__}; a witness holds {_HELD}")


def _no_writer(declared: Any) -> Callable[[object], object]:
    def refuse(value: object) -> object:
        if type(value) is declared:
            _refuse(value)
        kind, name = type(value).__name__, getattr(declared, "__name__", declared)
        raise WitnessError(f"is a {kind} declared as {name}; declare it as what it is: {_HELD}")

    return refuse


def _is_unordered(declared: Any) -> bool:
    return (get_origin(declared) or declared) in {dict, set, frozenset, Mapping, Set}


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(
        forbid_extra_keys=True, detailed_validation=False, unstructure_fallback_factory=_no_writer
    )
    converter.register_unstructure_hook_func(_is_unordered, _refuse)
    converter.register_unstructure_hook(str, _str_out)
    converter.register_unstructure_hook(type(None), lambda none: none)
    converter.register_structure_hook(type(None), _none)
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
_UNREADABLE: Final = (
    cattrs.errors.BaseValidationError,
    cattrs.errors.ForbiddenExtraKeysError,
    cattrs.errors.StructureHandlerNotFoundError,
)


def _parts(whole: object) -> Iterator[tuple[str, object, Any]]:
    """Each part of a witness: its name, its value and what it is declared to be."""
    cls = type(whole)
    if attrs.has(cls):
        attrs.resolve_types(cls)
        for field in attrs.fields(cls):
            yield f".{field.name}", getattr(whole, field.name), field.type
    elif isinstance(whole, tuple | list):
        for index, item in enumerate(whole):
            yield f"[{index}]", item, type(item)


def _blamed(whole: object, error: WitnessError) -> tuple[str, WitnessError]:
    """The innermost part that cannot be stored (empty for the whole witness), and what is wrong with it."""
    for name, part, declared in _parts(whole):
        try:
            _CONVERTER.unstructure(part, declared)
        except WitnessError as found:
            inner, reason = _blamed(part, found)
            return name + inner, reason
    return "", error


def witness_to_json(witness: object) -> Any:
    """The JSON value of a witness: ``null`` for `NoWitness`, an object otherwise.

    Raises:
        WitnessError: a value that JSON cannot hold exactly (NaN, infinity, a float32 or bool tensor, a huge
            integer); the message names the field.

    >>> witness_to_json(NoWitness()) is None
    True
    """
    if isinstance(witness, NoWitness):
        return None
    try:
        return _CONVERTER.unstructure(witness)
    except NameError as error:  # an annotation that was a string, of a name imported for type checkers alone
        raise WitnessError(
            f"the witness, a {type(witness).__name__}, has a field of an unknown type ({error}); import it"
        ) from error
    except WitnessError as error:
        name, reason = _blamed(witness, error)
        field = f"witness field {name.removeprefix('.')}" if name else "the witness"
        raise WitnessError(f"{field} {reason}") from None


def witness_from_json(value: Any, cls: type[W]) -> W:
    """The witness of class ``cls`` written as ``value``; the inverse of `witness_to_json`.

    Raises:
        WitnessError: anything that `witness_to_json` would not have written for this class.
    """
    if cls is NoWitness and value is None:
        return cls()
    try:
        witness = _CONVERTER.structure(value, cls)
    except _UNREADABLE as error:
        raise WitnessError(f"bad {cls.__name__}: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise WitnessError(f"bad {cls.__name__}: {error!r}") from error
    if witness_to_json(witness) != value:
        raise WitnessError(f"bad {cls.__name__}: the fields are not as this program writes them")
    return witness


def _leaf(value: object) -> object:
    """What tells leaves apart to the last bit."""
    if isinstance(value, Tensor):
        bits = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return value.dtype, tuple(value.shape), value.requires_grad, bits
    return value.hex() if isinstance(value, float) else value


def witness_difference(first: object, second: object) -> str | None:
    """The path to the innermost part in which two witnesses differ, empty for the whole; None if they agree.

    Tensors agree if dtype, shape and every bit do, on whatever device; floats if every bit does.

    >>> witness_difference((1, 0.0), (1, -0.0))
    '[1]'
    """
    if type(first) is not type(second):
        return ""
    parts, others = list(_parts(first)), list(_parts(second))
    if not parts or len(parts) != len(others):
        return None if len(parts) == len(others) and _leaf(first) == _leaf(second) else ""
    for (name, part, _), (_, other, _) in zip(parts, others, strict=True):
        deeper = witness_difference(part, other)
        if deeper is not None:
            return name + deeper
    return None
