"""Elementary functions as methods. The bounds come from `certkit.elementary`; empties are settled here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from certkit import cost
from certkit._interval.base import Base, empty_mask, with_empty

BoundsOf = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Functions(Base):
    """Each method encloses ``{f(x) : x in self, x in the domain of f}``; tightness as its
    `certkit.elementary` function states. An element with no member in the domain becomes empty."""

    __slots__ = ()

    def _apply(self, bounds_of: BoundsOf) -> Self:
        cost.record(flops=self.lo.numel())
        empty = empty_mask(self.lo, self.hi)
        if not bool(empty.any()):
            return self._unchecked(*bounds_of(self.lo, self.hi))
        lo, hi = bounds_of(torch.where(empty, 1.0, self.lo), torch.where(empty, 1.0, self.hi))
        return self._unchecked(*with_empty(lo, hi, empty))

    def exp(self) -> Self:
        """``e**x``."""
        from certkit import elementary

        return self._apply(elementary.exp_bounds)

    def log(self) -> Self:
        """The natural logarithm of the positive members."""
        from certkit import elementary

        return self._apply(elementary.log_bounds)
