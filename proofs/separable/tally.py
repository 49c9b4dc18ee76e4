"""Counting sequences whose binned sum is high enough, in floating point with a proved error.

Given integers ``a_p(t)`` and A, count the sequences of a class with ``Σ_p a_p(t_p) ≥ A`` (at least one ``t_p
= m`` where the class asks for it). With the *deficits* ``s_p(t) = max_t' a_p(t') − a_p(t)`` and ``room = Σ_p
max a_p − A`` this says ``Σ_p s_p(t_p) ≤ room``, so only deficits up to the room matter, however low the other
values are. The number of prefixes for each total deficit, with and without an m, is carried from position to
position; equal deficits are merged, so a position costs a row (number of its different deficits) · (room + 1)
multiplications: the many tokens with next to no attention share a few deficits, however many they are.

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

_BLOCK = 2**14
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
    least = _least_of_max(bins)
    need = bins.room - least
    todo = (need >= 0).nonzero()[:, 0]
    todo = todo[need[todo].argsort()]
    positions, vocab = bins.deficit.shape[1:]
    while len(todo):
        size = int(need[todo[-1]]) + 1  # the widest rows first
        some, todo = todo[-max(1, _BLOCK // size) :], todo[: -max(1, _BLOCK // size)]
        counted[some] = _tally(bins.rows(some), least[some], size)
    depth = 2 * (positions * (vocab + 2) + int(bins.room.amax().clamp(min=0)) + 2) if len(bins.room) else 0
    up = rounding.mul_up(counted, counted.new_tensor(1.0 + 2 * depth * rounding.U))
    down = rounding.mul_down(counted, counted.new_tensor(1.0 - 2 * depth * rounding.U))
    finite = torch.isfinite(up)
    return torch.where(finite, down, 0.0), torch.where(finite, up, torch.inf)


def _histogram(deficit: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The different deficits below ``size`` of each row, and how many tokens have each: ``[R, J]`` twice."""
    count = torch.zeros((len(deficit), size + 1), dtype=torch.float64)
    cost.record(int_ops=deficit.numel())
    count.scatter_add_(1, deficit.clamp(max=size), torch.ones(deficit.shape, dtype=torch.float64))
    row, shift = count[:, :size].nonzero(as_tuple=True)
    before = torch.bincount(row, minlength=len(deficit)).cumsum(0).roll(1)
    before[:1] = 0
    place = torch.arange(len(row)) - before[row]
    shape = len(deficit), int(place.amax()) + 1 if len(place) else 1
    shifts, counts = torch.full(shape, size, dtype=torch.int64), torch.zeros(shape, dtype=torch.float64)
    shifts[row, place], counts[row, place] = shift, count[row, shift]
    return shifts, counts


def _step(numbers: Tensor, shifts: Tensor, counts: Tensor) -> Tensor:
    """Prefix counts ``[R, size]`` after one more position: ``out[s] = Σ_j counts_j · numbers[s − shifts_j]``.

    One product of a row of counts with the matrix of shifted prefix counts, for each row.
    """
    size = numbers.shape[1]
    padded = torch.cat((torch.zeros_like(numbers), numbers), 1)
    windows = padded.unfold(1, size, 1)  # [R, size + 1, size]: the prefix counts, shifted by size, …, 1, 0
    shifted = windows[torch.arange(len(numbers))[:, None], size - shifts]
    cost.record(flops=2 * shifted.numel())
    return torch.bmm(counts[:, None], shifted)[:, 0]


def _tally(bins: Bins, least: Tensor, size: int) -> Tensor:
    """The counts of rows whose ``room − least`` is below ``size``; see `_least_of_max`."""
    inside = torch.arange(size) <= (bins.room - least)[:, None]
    without = torch.zeros((len(bins.room), size), dtype=torch.float64)
    having = torch.zeros_like(without)
    # where m need not occur, every prefix counts as having one
    having[~bins.must_hold, 0], without[bins.must_hold, 0] = 1.0, 1.0
    asks = bool(bins.must_hold.any())
    for deficit in bins.deficit.unbind(1):
        having = _step(having, *_histogram(deficit, size))
        if asks:
            at_max = (deficit.gather(1, bins.m[:, None]) - least[:, None]).clamp(max=size)
            having = having + _step(without, at_max, torch.ones_like(having[:, :1]))
            without = _step(without, *_histogram(deficit.scatter(1, bins.m[:, None], size), size))
    cost.record(flops=having.numel())
    return (having * inside).sum(1)


def _least_of_max(bins: Bins) -> Tensor:
    """``[R]`` the least deficit of the token m in any position, where m must occur, else 0.

    Prefixes with an m are counted from there on; to one without, so much is still to come: both tables hold
    ``room − least + 1`` numbers, the worst case of the class in bins.
    """
    index = bins.m[:, None, None].expand(-1, bins.deficit.shape[1], 1)
    least = (
        bins.deficit.gather(2, index)[..., 0].amin(1) if bins.deficit.shape[1] else torch.zeros_like(bins.m)
    )
    return torch.where(bins.must_hold, least, 0)
