"""``torch.add(x, y)``, ``tensor @ x``, ``torch.cat([x, y])``: the torch functions that know intervals.

The list is closed. Any other torch function raises TypeError instead of working on one bound, or on an
array of objects, or in an arithmetic without directed rounding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from certkit.interval import Interval

Handler = Callable[..., Any]

_SAME_NAME = (
    "abs neg sqrt reciprocal floor ceil trunc round sign exp expm1 log log1p tanh sigmoid sin cos erf pow "
    "softmax logsumexp sum mean amax amin minimum maximum reshape flatten unflatten broadcast_to transpose "
    "permute movedim unsqueeze squeeze flip roll narrow gather index_select take_along_dim diagonal clone"
)
_OTHER_NAME = {"square": "sqr", "absolute": "abs", "negative": "neg"}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "subtract": operator.sub,
    "mul": operator.mul,
    "multiply": operator.mul,
    "div": operator.truediv,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "matmul": operator.matmul,
    "mm": operator.matmul,
    "bmm": operator.matmul,
}
_UNDECIDED = {
    "lt": "certainly_lt or possibly_lt",
    "le": "certainly_le or possibly_le",
    "gt": "certainly_gt or possibly_gt",
    "ge": "certainly_ge or possibly_ge",
    "eq": "certainly_eq, possibly_eq or same_bounds",
    "ne": "certainly_ne, possibly_ne or same_bounds",
}


def _spellings(name: str) -> list[object]:
    """``torch.name`` and ``torch.Tensor.name``, those that exist."""
    return [getattr(home, name) for home in (torch, torch.Tensor) if hasattr(home, name)]


def _undecided(name: str, alternatives: str) -> Handler:
    def handler(*_: object) -> Any:
        raise TypeError(f"{name} of an interval may be undecided; use {alternatives}")

    return handler


def torch_table(interval: type[Interval], joins: dict[str, Handler]) -> dict[object, Handler]:
    """Which torch function is done by what. ``joins`` are the free functions (cat, stack, where, einsum)."""

    def lifted(x: object) -> Interval:
        return x if isinstance(x, interval) else interval.exact(x)

    def method(name: str) -> Handler:
        unbound = getattr(interval, name)
        return lambda x, *args, **kwargs: unbound(
            x if isinstance(x, interval) else interval.exact(x), *args, **kwargs
        )

    def operation(apply: Callable[[Any, Any], Any]) -> Handler:
        return lambda x, y: apply(lifted(x), y)

    table: dict[object, Handler] = {}
    for name in _SAME_NAME.split():
        table.update(dict.fromkeys(_spellings(name), method(name)))
    for name, ours in _OTHER_NAME.items():
        table.update(dict.fromkeys(_spellings(name), method(ours)))
    for name, apply in _OPERATORS.items():
        table.update(dict.fromkeys(_spellings(name), operation(apply)))
    for name, alternatives in _UNDECIDED.items():
        table.update(dict.fromkeys(_spellings(name), _undecided(name, alternatives)))
    for name, join in joins.items():
        table.update(dict.fromkeys(_spellings(name), join))
    return table
