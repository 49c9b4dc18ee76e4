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
    """Each method encloses ``{f(x) : x in self, x in the domain of f}``; its tightness is that of its
    function in `certkit.elementary`. An element with no member in the domain becomes empty."""

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

    def expm1(self) -> Self:
        """``e**x − 1``."""
        from certkit import elementary

        return self._apply(elementary.expm1_bounds)

    def log(self) -> Self:
        """The natural logarithm of the positive members."""
        from certkit import elementary

        return self._apply(elementary.log_bounds)

    def log1p(self) -> Self:
        """``log(1 + x)`` of the members above −1."""
        from certkit import elementary

        return self._apply(elementary.log1p_bounds)

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        from certkit import elementary

        return self._apply(elementary.tanh_bounds)

    def sigmoid(self) -> Self:
        """``1 / (1 + e**−x)``."""
        from certkit import elementary

        return self._apply(elementary.sigmoid_bounds)

    def sin(self) -> Self:
        """The sine."""
        from certkit import elementary

        return self._apply(elementary.sin_bounds)

    def cos(self) -> Self:
        """The cosine."""
        from certkit import elementary

        return self._apply(elementary.cos_bounds)

    def erf(self) -> Self:
        """The error function."""
        from certkit import elementary

        return self._apply(elementary.erf_bounds)

    def pow(self, exponent: int) -> Self:
        """``x**n`` for an integer n; of a negative n, of the members other than 0.

        Raises:
            TypeError: an exponent that is not an integer.
        """
        from certkit import elementary

        if isinstance(exponent, bool) or not isinstance(exponent, int):
            raise TypeError(f"exponent={exponent!r} must be an int; for others use (y * x.log()).exp()")
        return self._apply(lambda lo, hi: elementary.pow_bounds(lo, hi, exponent))

    def __pow__(self, exponent: int) -> Self:
        return self.pow(exponent)
