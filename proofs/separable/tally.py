"""Counting sequences whose binned sum is high enough, in floating point with a proved error.

Given integers ``a_p(t)`` and A, count the sequences of a class with ``Σ_p a_p(t_p) ≥ A`` (at least one ``t_p
= m`` where the class asks for it). With the *deficits* ``s_p(t) = max_t' a_p(t') − a_p(t)`` and ``room = Σ_p
max a_p − A`` this says ``Σ_p s_p(t_p) ≤ room``, so only deficits up to the room matter, however low the other
values are. The number of prefixes for each total deficit, with and without an m, is carried from position to
position; equal deficits are merged, so a position costs at most (number of different deficits in a block of
rows) · (room + 1) multiplications for each row.

All numbers are ≥ 0 and only added and multiplied: after n such roundings on any path the computed count is
the true one times a factor in ``[(1 − u)^n, (1 + u)^n]``. Counts are integers, so nothing underflows; an
overflow shows as inf and is reported as such.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding

__all__ = ["MAX_ROOM", "Bins", "tally"]

MAX_ROOM = 2**16 - 1
"""The largest room an auditor accepts."""

_BLOCK = 2**16
"""Numbers in one block of rows: small enough for a processor's cache."""


@attrs.frozen(eq=False)
class Bins:
    """Deficits of R rows.

    Attributes:
        deficit: ``[R, P, V]`` int64 ≥ 0; anything above the room for tokens that are not allowed.
        room: ``[R]`` int64; negative where nothing can reach A; at most `MAX_ROOM`.
        m: ``[R]`` int64.
        must_hold: ``[R]`` whether m must occur.
    """

    deficit: Tensor
    room: Tensor
    m: Tensor
    must_hold: Tensor

    def rows(self, index: Tensor) -> Bins:
        """Some of the rows."""
        return Bins(self.deficit[index], self.room[index], self.m[index], self.must_hold[index])


def tally(bins: Bins) -> tuple[Tensor, Tensor]:
    """``(down, up)``: float64 bounds ``[R]`` of the number of sequences; ``up`` is inf where it overflows,
    ``down`` then 0.
    """
    counted = torch.zeros(len(bins.room), dtype=torch.float64)
    todo = (bins.room >= 0).nonzero()[:, 0]
    todo = todo[bins.room[todo].argsort()]
    positions, vocab = bins.deficit.shape[1:]
    while len(todo):
        size = int(bins.room[todo[-1]]) + 1  # the widest rows first
        some, todo = todo[-max(1, _BLOCK // size) :], todo[: -max(1, _BLOCK // size)]
        counted[some] = _tally(bins.rows(some), size)
    depth = 2 * (positions * (vocab + 2) + int(bins.room.amax().clamp(min=0)) + 2) if len(bins.room) else 0
    up = rounding.mul_up(counted, counted.new_tensor(1.0 + 2 * depth * rounding.U))
    down = rounding.mul_down(counted, counted.new_tensor(1.0 - 2 * depth * rounding.U))
    finite = torch.isfinite(up)
    return torch.where(finite, down, 0.0), torch.where(finite, up, torch.inf)


def _step(numbers: Tensor, deficit: Tensor) -> Tensor:
    """Prefix counts ``[size, R]`` after one more position whose tokens have these deficits ``[R, V]``.

    For each deficit that occurs in some row, one multiply-add of a shifted block for all rows (adding 0 where
    a row does not have it, which is exact).
    """
    size = len(numbers)
    count = numbers.new_zeros((size + 1, numbers.shape[1]))
    count.scatter_add_(0, deficit.clamp(max=size).T, torch.ones(deficit.T.shape, dtype=numbers.dtype))
    out = torch.zeros_like(numbers)
    for shift in count[:size].any(1).nonzero()[:, 0].tolist():
        out[shift:].addcmul_(numbers[: size - shift], count[shift])
        cost.record(flops=2 * (size - shift) * numbers.shape[1])
    return out


def _tally(bins: Bins, size: int) -> Tensor:
    inside = torch.arange(size)[:, None] <= bins.room
    without = torch.zeros(size, len(bins.room), dtype=torch.float64)
    without[0] = 1.0
    having = torch.zeros_like(without)
    # where m need not occur, every prefix counts as having one
    having[0, ~bins.must_hold], without[0, ~bins.must_hold] = 1.0, 0.0
    asks = bool(bins.must_hold.any())
    for p in range(bins.deficit.shape[1]):
        deficit = bins.deficit[:, p]
        having = _step(having, deficit)
        if asks:
            at_max = deficit.gather(1, bins.m[:, None])
            having = having + _step(without, at_max)
            without = _step(without, deficit.scatter(1, bins.m[:, None], size))
    cost.record(flops=having.numel())
    return (having * inside).sum(0)
