"""Intervals as sets: membership, inclusion, order, intersection, hull; IEEE 1788-2015, 9.3 and 10.5.10."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

import torch
from torch import Tensor

from certkit import cost
from certkit._interval.base import Base, empty_mask, to_float64, with_empty
from certkit._interval.operand import Operand, bounds_of


class Overlap(IntEnum):
    """How two intervals lie on the line (IEEE 1788-2015, table 10.7)."""

    BOTH_EMPTY = 0
    FIRST_EMPTY = 1
    SECOND_EMPTY = 2
    BEFORE = 3
    MEETS = 4
    OVERLAPS = 5
    STARTS = 6
    CONTAINED_BY = 7
    FINISHES = 8
    EQUALS = 9
    FINISHED_BY = 10
    CONTAINS = 11
    STARTED_BY = 12
    OVERLAPPED_BY = 13
    MET_BY = 14
    AFTER = 15


def _compared(result: Tensor) -> Tensor:
    cost.record(comparisons=result.numel())
    return result


def _below(a: Tensor, b: Tensor) -> Tensor:
    """``a < b``, where equal infinities count as below: the standard's order of unbounded ends."""
    return (a < b) | ((a == b) & torch.isinf(a))


class Sets(Base):
    """Set relations return bool tensors; the other operand may be a tensor or a number (points)."""

    __slots__ = ()

    def intersection(self, other: Operand) -> Self:
        """The common members, exactly; empty where there are none."""
        lo, hi = bounds_of(other, self)
        low, high = torch.maximum(self.lo, lo), torch.minimum(self.hi, hi)
        cost.record(comparisons=low.numel())
        return self._unchecked(*with_empty(low, high, low > high))

    def convex_hull(self, other: Operand) -> Self:
        """The least interval that holds both."""
        lo, hi = bounds_of(other, self)
        cost.record(comparisons=self.lo.numel())
        return self._unchecked(torch.minimum(self.lo, lo), torch.maximum(self.hi, hi))

    def contains(self, value: Operand) -> Tensor:
        """True where a number (a tensor's element, or every member of an interval) is a member of self.

        An infinity is no real number and in no interval.
        """
        if isinstance(value, Base):
            return _subset(value.lo, value.hi, self.lo, self.hi)
        point = to_float64(value, "value", self.lo.device)
        return _compared((self.lo <= point) & (point <= self.hi) & torch.isfinite(point))

    def subset(self, other: Operand) -> Tensor:
        """True where every member of self is in other."""
        return _subset(self.lo, self.hi, *bounds_of(other, self))

    def interior(self, other: Operand) -> Tensor:
        """True where self lies in the interior of other."""
        lo, hi = bounds_of(other, self)
        inside = _below(lo, self.lo) & _below(self.hi, hi)
        return _compared(inside | empty_mask(self.lo, self.hi))

    def disjoint(self, other: Operand) -> Tensor:
        """True where the two have no common member."""
        lo, hi = bounds_of(other, self)
        return _compared(torch.maximum(self.lo, lo) > torch.minimum(self.hi, hi))

    def less(self, other: Operand) -> Tensor:
        """The standard's weak order: each bound of self is at most that of other; empty only with empty."""
        lo, hi = bounds_of(other, self)
        ordered = (self.lo <= lo) & (self.hi <= hi)
        return _compared(_alike_when_empty(ordered, empty_mask(self.lo, self.hi), empty_mask(lo, hi)))

    def strictly_less(self, other: Operand) -> Tensor:
        """The standard's strict order: each bound of self is below that of other (equal infinities count)."""
        lo, hi = bounds_of(other, self)
        ordered = _below(self.lo, lo) & _below(self.hi, hi)
        return _compared(_alike_when_empty(ordered, empty_mask(self.lo, self.hi), empty_mask(lo, hi)))

    def precedes(self, other: Operand) -> Tensor:
        """True where no member of self exceeds a member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.hi <= lo) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def strictly_precedes(self, other: Operand) -> Tensor:
        """True where every member of self is less than every member of other."""
        lo, hi = bounds_of(other, self)
        return _compared((self.hi < lo) | empty_mask(self.lo, self.hi) | empty_mask(lo, hi))

    def overlap(self, other: Operand) -> Tensor:
        """How self and other lie on the line: an int64 tensor of `Overlap` codes."""
        lo, hi = bounds_of(other, self)
        a, b = self.lo, self.hi
        first, second = empty_mask(a, b), empty_mask(lo, hi)
        cases = [
            (first & second, Overlap.BOTH_EMPTY),
            (first, Overlap.FIRST_EMPTY),
            (second, Overlap.SECOND_EMPTY),
            (b < lo, Overlap.BEFORE),
            (hi < a, Overlap.AFTER),
            ((a == lo) & (b == hi), Overlap.EQUALS),
            ((b == lo) & (a < b) & (lo < hi), Overlap.MEETS),
            ((hi == a) & (a < b) & (lo < hi), Overlap.MET_BY),
            ((a == lo) & (b < hi), Overlap.STARTS),
            ((a == lo) & (hi < b), Overlap.STARTED_BY),
            ((b == hi) & (lo < a), Overlap.FINISHES),
            ((b == hi) & (a < lo), Overlap.FINISHED_BY),
            ((lo < a) & (b < hi), Overlap.CONTAINED_BY),
            ((a < lo) & (hi < b), Overlap.CONTAINS),
            (a < lo, Overlap.OVERLAPS),
        ]
        code = torch.full_like(_compared(first & second), int(Overlap.OVERLAPPED_BY), dtype=torch.int64)
        for mask, case in reversed(cases):
            code = torch.where(mask, int(case), code)
        return code


def _subset(a_lo: Tensor, a_hi: Tensor, b_lo: Tensor, b_hi: Tensor) -> Tensor:
    return _compared((b_lo <= a_lo) & (a_hi <= b_hi) | empty_mask(a_lo, a_hi))


def _alike_when_empty(ordered: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return (ordered & ~first & ~second) | (first & second)
