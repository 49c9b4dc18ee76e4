"""Witnesses on paper: exact, canonical, and strict about what is read back."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from proofs.witness import (
    NoWitness,
    WitnessError,
    require_range,
    require_tensor,
    witness_from_json,
    witness_to_json,
)


@attrs.frozen
class Inner:
    count: int
    share: float


@attrs.frozen(eq=False)
class Outer:
    direction: Tensor
    parts: tuple[Inner, ...]
    label: str


def _example() -> Outer:
    direction = torch.tensor([[1.5, -0.0], [5e-324, 1e308]], dtype=torch.float64)
    return Outer(direction, (Inner(1, 2.5), Inner(-(2**53), 0.1)), "name")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.integers(-(2**53), 2**53))
def test_round_trip_is_exact(values: list[float], count: int) -> None:
    tensor = torch.tensor(values, dtype=torch.float64)
    back = witness_from_json(
        json.loads(json.dumps(witness_to_json(Outer(tensor, (Inner(count, 0.1),), "")))), Outer
    )
    assert torch.equal(back.direction.view(torch.int64), tensor.view(torch.int64))
    assert back.parts == (Inner(count, 0.1),)


def test_integer_tensors_keep_dtype_and_shape() -> None:
    gaps = torch.arange(6).reshape(2, 3)
    back = witness_from_json(witness_to_json(Outer(gaps, (), "")), Outer)
    assert back.direction.dtype is torch.int64
    assert torch.equal(back.direction, gaps)


def test_no_json_floats() -> None:
    def walk(value: object) -> None:
        assert not isinstance(value, float)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(witness_to_json(_example()))


def test_no_witness_is_null() -> None:
    assert witness_to_json(NoWitness()) is None
    assert witness_from_json(None, NoWitness) == NoWitness()
    with pytest.raises(WitnessError):
        witness_from_json({"extra": 1}, NoWitness)


BAD: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("an unknown key", lambda w: w.update(more=1)),
    ("an unknown inner key", lambda w: w["parts"][0].update(more=1)),
    ("a missing key", lambda w: w.pop("label")),
    ("a bool for an int", lambda w: w["parts"][0].update(count=True)),
    ("a string for an int", lambda w: w["parts"][0].update(count="1")),
    ("a float for an int", lambda w: w["parts"][0].update(count=1.0)),
    ("a huge int", lambda w: w["parts"][0].update(count=2**53 + 1)),
    ("a JSON float", lambda w: w["parts"][0].update(share=0.5)),
    ("a decimal", lambda w: w["parts"][0].update(share="0.5")),
    ("a hex float in another spelling", lambda w: w["parts"][0].update(share="0x1p+0")),
    ("an infinity", lambda w: w["parts"][0].update(share="inf")),
    ("a hex float out of range", lambda w: w["parts"][0].update(share="0x1.0000000000000p+9999")),
    ("another spelling in a tensor", lambda w: w["direction"]["values"].__setitem__(0, "0x1p+0")),
    ("a null tensor", lambda w: w.update(direction=None)),
    ("an unknown dtype", lambda w: w["direction"].update(dtype="float32")),
    ("a shape that does not fit", lambda w: w["direction"].update(shape=[3])),
    ("a negative shape", lambda w: w["direction"].update(shape=[-2, -2])),
    ("a bool in a shape", lambda w: w["direction"].update(shape=[True, 4])),
    ("an extra key in a tensor", lambda w: w["direction"].update(more=1)),
    ("a string for a list", lambda w: w.update(parts="ab")),
    ("a number for a list", lambda w: w.update(parts=3)),
    ("a number for a string", lambda w: w.update(label=3)),
]


@pytest.mark.parametrize(("what", "edit"), BAD, ids=[what for what, _ in BAD])
def test_reading_is_strict(what: str, edit: Callable[[dict[str, Any]], object]) -> None:
    value = copy.deepcopy(witness_to_json(_example()))
    edit(value)
    with pytest.raises(WitnessError):
        witness_from_json(value, Outer)


@pytest.mark.parametrize("value", [[1], "x", 3, True])
def test_not_an_object(value: object) -> None:
    with pytest.raises(WitnessError):
        witness_from_json(value, Outer)


@pytest.mark.parametrize(
    "witness",
    [
        Inner(1, math.nan),
        Inner(1, math.inf),
        Inner(2**53 + 1, 0.0),
        Outer(torch.zeros(1, dtype=torch.float32), (), ""),
        Outer(torch.tensor([math.nan], dtype=torch.float64), (), ""),
    ],
)
def test_writing_refuses_what_json_cannot_hold(witness: object) -> None:
    with pytest.raises(WitnessError):
        witness_to_json(witness)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(3, dtype=torch.float64),
        torch.zeros(2, dtype=torch.float32),
        torch.tensor([0.0, math.nan], dtype=torch.float64),
        torch.tensor([0.0, -math.inf], dtype=torch.float64),
        torch.zeros(2, dtype=torch.float64, requires_grad=True),
        [0.0, 0.0],
    ],
)
def test_require_tensor(value: Any) -> None:
    with pytest.raises(WitnessError, match="witness u"):
        require_tensor("u", value, [2])


def test_require_range_refuses_nan() -> None:
    assert require_range("n", torch.tensor([1, 4]), 1, 4).tolist() == [1, 4]
    with pytest.raises(WitnessError, match=r"witness n\[0\] is nan"):
        require_range("n", torch.tensor([math.nan]), 1, 4)
