"""What may stand beside an interval in an operation: another interval, a tensor, a number."""

from __future__ import annotations

from torch import Tensor

from certkit._interval.arithmetic import Bounds
from certkit._interval.base import Base, first_index, to_float64

import torch  # isort: skip

Operand = Base | Tensor | float | int


def bounds_of(value: Operand, like: Base, name: str = "operand") -> Bounds:
    """The bounds of an operand; tensors and numbers are points, exactly.

    Raises:
        TypeError, ValueError: as `certkit._interval.base.to_float64`; ValueError also for an infinite point.
    """
    if isinstance(value, Base):
        return value.lo, value.hi
    point = finite_points(to_float64(value, name, like.lo.device), name)
    return point, point


def finite_points(x: Tensor, name: str) -> Tensor:
    """``x`` if all its elements are real numbers; an infinity is no member of any interval."""
    bad = torch.isinf(x)
    if bool(bad.any()):
        raise ValueError(
            f"{name}: infinity at index {first_index(bad)} is not a real number; "
            "use Interval.hull(lo, hi) for an unbounded interval"
        )
    return x
