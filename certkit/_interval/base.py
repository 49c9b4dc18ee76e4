"""What an interval is: two float64 tensors, how they are checked, how empties and infinities are settled."""

from __future__ import annotations

from typing import NoReturn, Self

import torch
from torch import Tensor

EXACT_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGER_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


class Base:
    """Two tensors ``lo`` and ``hi``; an element is empty iff ``lo = +inf`` and ``hi = -inf``.

    Invariant of every instance: float64, one shape, no NaN, and each element is empty or has ``lo <= hi``,
    ``lo < +inf``, ``hi > -inf``. ``lo is hi`` (the same tensor) marks a tensor of points and lets
    operations work once.
    """

    __slots__ = ("__weakref__", "hi", "lo")
    lo: Tensor
    hi: Tensor

    def __init__(self) -> None:
        raise TypeError(
            "Interval is made by Interval.exact(x), Interval.hull(lo, hi), Interval.ball(mid, rad) or "
            "Interval.from_decimal(text)"
        )

    @classmethod
    def _unchecked(cls, lo: Tensor, hi: Tensor) -> Self:
        """Proved bounds. Precondition: the invariant of the class; nothing is looked at."""
        self = object.__new__(cls)
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Interval is immutable; cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Interval is immutable; cannot delete {name!r}")

    def __reduce__(self) -> tuple[object, tuple[Tensor, Tensor]]:
        return type(self)._unchecked, (self.lo, self.hi)

    @property
    def _is_point(self) -> bool:
        return self.lo is self.hi


def first_index(mask: Tensor) -> tuple[int, ...]:
    """The index of the first true element."""
    return tuple(int(i) for i in torch.nonzero(mask)[0])


def check_no_nan(x: Tensor, name: str) -> None:
    """Raise ValueError naming the index of the first NaN."""
    bad = torch.isnan(x)
    if bool(bad.any()):
        raise ValueError(f"{name}: NaN at index {first_index(bad)}; an interval bound must be a number")


_TINY, _ONE, _U = 2.0**-1074, 1.0, 2.0**-53  # not constants to the compiler: multiplied and added when asked


def check_this_thread() -> None:
    """Refuse a thread whose floats flush subnormals to zero or are not rounded to nearest.

    A few operations of Python's floats, which share the processor's control register with torch's on the CPU;
    ``certkit doctor`` examines all threads and devices. Called where intervals are made.

    Raises:
        EnvironmentRefused: naming what is wrong.
    """
    nearest = _ONE + _U == _ONE and -_ONE - _U == -_ONE and _ONE + 1.5 * _U > _ONE
    if _TINY * _ONE == 0.0 or not nearest:
        from certkit.environment import EnvironmentRefused

        raise EnvironmentRefused(
            "this thread flushes subnormals to zero or does not round to nearest, so no bound would hold; "
            "call torch.set_flush_denormal(False), and run `certkit doctor`"
        )


def to_float64(value: object, name: str, device: torch.device | None = None) -> Tensor:
    """A float64 tensor with exactly the values given (infinities included), or an error that says why not.

    Raises:
        TypeError: a dtype or type whose values are not real numbers.
        ValueError: NaN (naming the index), an integer that float64 cannot hold, a tensor that requires grad.
        EnvironmentRefused: see `check_this_thread`.
    """
    check_this_thread()
    if isinstance(value, Tensor):
        tensor = _checked_tensor(value, name)
    elif isinstance(value, bool | int | float):
        if isinstance(value, int) and int(float(value)) != value:
            raise ValueError(
                f"{name}={value} is not exactly a float64; use Interval.from_decimal({str(value)!r})"
            )
        tensor = torch.tensor(float(value), dtype=torch.float64, device=device)
    else:
        tensor = _checked_tensor(torch.as_tensor(value, device=device), name)
    check_no_nan(tensor, name)
    return tensor


def _checked_tensor(value: Tensor, name: str) -> Tensor:
    if value.requires_grad:
        raise ValueError(f"{name} requires grad and intervals have no gradient; pass {name}.detach()")
    if value.layout != torch.strided:
        raise TypeError(f"{name} has layout {value.layout}; pass a dense tensor")
    if value.dtype in EXACT_DTYPES:
        return value.to(torch.float64)
    if value.dtype not in INTEGER_DTYPES:
        raise TypeError(f"{name} has dtype {value.dtype}; supported are real floats, integers and bool")
    tensor = value.to(torch.float64)
    if value.dtype == torch.int64:
        # 2**63 does not fit: compare in range only, and treat the rounded-up top as inexact.
        inexact = (tensor >= 2.0**63) | (tensor.clamp(max=2.0**62).to(torch.int64) != value.clamp(max=2**62))
        inexact = inexact | ((value > 2**62) & (tensor.clamp(max=2.0**63 - 1024).to(torch.int64) != value))
        if bool(inexact.any()):
            index = first_index(inexact)
            raise ValueError(
                f"{name}: the integer {int(value[index])} at index {index} is not exactly a float64"
            )
    return tensor


def empty_mask(lo: Tensor, hi: Tensor) -> Tensor:
    return lo > hi


def all_finite(*tensors: Tensor) -> bool:
    """True only if every element is finite (a sum that overflows may say False for finite elements)."""
    total = tensors[0].sum()
    for tensor in tensors[1:]:
        total = total + tensor.sum()
    return bool(torch.isfinite(total))


def with_empty(lo: Tensor, hi: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
    """``(lo, hi)`` with the empty interval wherever ``empty``."""
    return torch.where(empty, torch.inf, lo), torch.where(empty, -torch.inf, hi)
