"""Comparisons: *certainly* holds for all pairs of members, *possibly* for at least one pair.

An undecided comparison has no truth value, so ``<`` and ``==`` raise and name these instead.
Of an empty interval *certainly* is true (there is no counterexample) and *possibly* false.
"""

from __future__ import annotations

from typing import Any, NoReturn

from torch import Tensor

from certkit import cost
from certkit._interval.base import Base, empty_mask
from certkit._interval.operand import Operand, bounds_of


def _compared(result: Tensor) -> Tensor:
    cost.record(comparisons=result.numel())
    return result


class Comparisons(Base):
    """Elementwise comparisons with interval, tensor or number; each returns a bool tensor."""

    __slots__ = ()

    def certainly_lt(self, other: Operand) -> Tensor:
        """True where every member of self is less than every member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.hi < lo) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def certainly_le(self, other: Operand) -> Tensor:
        """True where every member of self is at most every member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.hi <= lo) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def certainly_gt(self, other: Operand) -> Tensor:
        """True where every member of self exceeds every member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.lo > hi) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def certainly_ge(self, other: Operand) -> Tensor:
        """True where every member of self is at least every member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.lo >= hi) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def certainly_eq(self, other: Operand) -> Tensor:
        """True where both are the same single point (or one is empty)."""
        lo, hi = bounds_of(other, self)
        same = (self.lo == hi) & (self.hi == lo)
        return _compared(same | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def certainly_ne(self, other: Operand) -> Tensor:
        """True where the two have no common member."""
        lo, hi = bounds_of(other, self)
        return _compared((self.hi < lo) | (self.lo > hi) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def possibly_lt(self, other: Operand) -> Tensor:
        """True where some member of self is less than some member of other."""
        return ~self.certainly_ge(other)

    def possibly_le(self, other: Operand) -> Tensor:
        """True where some member of self is at most some member of other."""
        return ~self.certainly_gt(other)

    def possibly_gt(self, other: Operand) -> Tensor:
        """True where some member of self exceeds some member of other."""
        return ~self.certainly_le(other)

    def possibly_ge(self, other: Operand) -> Tensor:
        """True where some member of self is at least some member of other."""
        return ~self.certainly_lt(other)

    def possibly_eq(self, other: Operand) -> Tensor:
        """True where the two have a common member."""
        return ~self.certainly_ne(other)

    def possibly_ne(self, other: Operand) -> Tensor:
        """True where some member of self differs from some member of other."""
        return ~self.certainly_eq(other)

    def same_bounds(self, other: Operand) -> Tensor:
        """True where the two are the same set: equal bounds (−0 and +0 are the same number)."""
        lo, hi = bounds_of(other, self)
        return _compared((self.lo == lo) & (self.hi == hi))

    def _undecided(self, symbol: str, names: str) -> NoReturn:
        raise TypeError(f"an interval comparison with {symbol} may be undecided; use {names}")

    def __lt__(self, other: object) -> NoReturn:
        self._undecided("<", "certainly_lt or possibly_lt")

    def __le__(self, other: object) -> NoReturn:
        self._undecided("<=", "certainly_le or possibly_le")

    def __gt__(self, other: object) -> NoReturn:
        self._undecided(">", "certainly_gt or possibly_gt")

    def __ge__(self, other: object) -> NoReturn:
        self._undecided(">=", "certainly_ge or possibly_ge")

    def __eq__(self, other: object) -> Any:
        self._undecided("==", "certainly_eq, possibly_eq or same_bounds")

    def __ne__(self, other: object) -> Any:
        self._undecided("!=", "certainly_ne, possibly_ne or same_bounds")

    def __bool__(self) -> NoReturn:
        raise TypeError("an interval has no truth value; use a certainly_… or possibly_… comparison")
