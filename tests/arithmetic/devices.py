"""Where a test runs: the CPU, a GPU if there is one, and a stand-in for a GPU on every machine.

The stand-in is a second device whose tensors are kept, and computed with, on the CPU. Like CUDA it refuses
to work on tensors of two devices (numbers without dimensions and index tensors excepted) and knows nothing
that was not created on it or moved to it. So it finds a constant made on the wrong device, a program that
asks for the CPU, or a result that comes back to it; only a GPU finds an operation that rounds differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

AWAY = torch.device("meta")
"""The device type that the stand-in goes by: torch has no memory of its own there."""

_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default)


class Away(Tensor):
    """A tensor on the stand-in."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> Away:
        wrapper: Away = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=AWAY
        )
        wrapper.inner = inner
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    away: dict[int, Away] = {}
    here: list[Tensor] = []

    def unwrapped(x: Any) -> Any:
        if isinstance(x, Away):
            away[id(x.inner)] = x
            return x.inner
        if isinstance(x, Tensor):
            assert x.device.type != AWAY.type, f"{func}: a tensor that the stand-in did not make"
            here.append(x)
        elif isinstance(x, list | tuple):
            return [unwrapped(y) for y in x]
        return x

    target = kwargs.get("device")
    inner_args = [unwrapped(x) for x in args]
    inner_kwargs = {name: unwrapped(x) for name, x in kwargs.items()}
    if _names_away(target):
        inner_kwargs["device"] = "cpu"
    if func not in _MOVES and any(x.ndim > 0 for x in here):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device")
    stays = _names_away(target) if target is not None else func not in _MOVES or isinstance(args[0], Away)

    def wrapped(x: Any) -> Any:
        if isinstance(x, Tensor):
            return (away[id(x)] if id(x) in away else Away(x)) if stays else x
        return type(x)(map(wrapped, x)) if isinstance(x, list | tuple) else x

    return wrapped(func(*inner_args, **inner_kwargs))


def _names_away(device: Any) -> bool:
    return device is not None and torch.device(device) == AWAY


def _number(x: Any) -> Any:
    """torch would put a number that it needs as a tensor on the device of the others."""
    if isinstance(x, bool | int | float):
        return torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else None)
    return x


def _ordinary(x: Any) -> bool:
    return isinstance(x, Tensor) and not isinstance(x, Away)


def _inside(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(map(_inside, x))
    return x.inner if isinstance(x, Away) else x


_READ: tuple[Callable[..., Any], ...] = (Tensor.tolist, Tensor.__repr__)


class _Stand(TorchFunctionMode):
    """What torch does by itself for its own devices: reading elements, and making tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        for kind in types:
            if not issubclass(kind, Tensor):  # an Interval among the operands
                with self:
                    return kind.__torch_function__(func, types, args, kwargs)
        if func is torch.where:
            args = tuple(map(_number, args))
        if func is torch.matmul and isinstance(kwargs.get("out"), Away):
            assert all(isinstance(x, Away) for x in args)
            func(*_inside(args), out=kwargs["out"].inner)
            return kwargs["out"]
        if args and isinstance(args[0], Away):
            if func in _READ:
                return func(args[0].inner)
            if func is Tensor.__getitem__:
                return Away(func(args[0].inner, _inside(args[1])))
            if func is Tensor.__setitem__ and (not _ordinary(args[2]) or args[2].ndim == 0):
                return func(args[0].inner, _inside(args[1]), _inside(args[2]))
            if func is Tensor.new_tensor:
                return Away(func(args[0].inner, *args[1:], **kwargs))
        elif _names_away(kwargs.get("device")):
            return Away(func(*args, **kwargs | {"device": "cpu"}))
        elif func is Tensor.to and len(args) > 1 and isinstance(args[1], torch.device) and args[1] == AWAY:
            return Away(args[0].to("cpu", *args[2:], **kwargs))
        return func(*args, **kwargs)


@pytest.fixture(params=["cpu", "stand-in", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Each device in turn. A test moves its operands there with ``.to(device)``."""
    if request.param == "stand-in":
        if request.node.get_closest_marker("extended"):
            pytest.skip("a long run on the CPU says all that one on the stand-in would")
        with _Stand():
            yield AWAY
    else:
        yield torch.device(request.param)
