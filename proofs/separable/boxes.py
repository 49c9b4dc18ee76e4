"""From bounds of bands to certified boxes: split a class position by position until a whole box passes.

A *group* is a band of tokens, or ``{m}``. In the position p a token of group j contributes at most ``s_p ·
h_j``, with the position weight ``s_p = e^{EQKP[q,p]}``. A prefix of groups, one for each of the positions
before p, has an upper bound of its sum; the positions after p add at most what the best group adds in all of
them, and if q < m and no m has been placed yet, one of them must hold m. The groups that pass at p whatever
follows make one box (prefix × passing groups × anything); each of the others makes the prefix longer by one.
At the last position what does not pass is not certified. Boxes are disjoint because their prefixes or their
sets at p are.

The number of prefixes of a class is bounded by ``limit``: what would exceed it is dropped, so long contexts
cost no more than short ones, and certify less. Of the boxes of a class the first ``MAX_SETS`` are kept, all
that an entry may hold: those of the shortest prefixes, which are the largest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import Box, CertifiedSet, Runs, SetContent, full_content, runs_from_tokens
from certkit.content import MAX_SETS
from proofs.separable.bands import BandTable, Weights
from proofs.separable.counted import add_up, amax, mul_up, scale_up, sub_up

__all__ = ["LIMIT", "certified_boxes"]

LIMIT: Final = 64
"""Prefixes of one class that are looked at, at most, for each position."""


@attrs.frozen(eq=False)
class _Rest:
    """What positions p … K−2 add, ``[C, K]``: the most freely, the most with m in one of them (−inf if there
    is none), and with m in all of them (where even that does not help, a prefix is given up)."""

    free: Tensor
    holding: Tensor
    all_max: Tensor


def _rest(table: BandTable, w: Weights, groups: Tensor) -> _Rest:
    best = amax(groups, 1)
    concession = sub_up(table.at_max, best)
    slots = w.position_lower.shape[1] - 1
    lower = upper = torch.zeros_like(w.position_lower[:, 0])
    least = torch.full_like(lower, torch.inf)
    free, holding = [torch.zeros_like(best)], [torch.full_like(best, -torch.inf)]
    all_max = [torch.zeros_like(best)]
    for p in reversed(range(slots)):
        lower = rounding.add_down(lower, w.position_lower[:, p])
        upper = add_up(upper, w.position_upper[:, p])
        least = torch.minimum(least, w.position_lower[:, p])
        cost.record(comparisons=len(least))
        free.append(scale_up(lower[table.q], upper[table.q], best))
        holding.append(add_up(free[-1], mul_up(least[table.q], concession)))
        all_max.append(mul_up(lower[table.q], table.at_max))
    return _Rest(*(torch.stack(columns[::-1], 1) for columns in (free, holding, all_max)))


@attrs.frozen(eq=False)
class _Prefixes:
    """Classes, groups chosen so far ``[N, p]``, upper bounds of their sums, whether an m is still needed."""

    row: Tensor
    groups: Tensor
    total: Tensor
    needs_max: Tensor


@attrs.frozen(eq=False)
class _Level:
    """Prefixes of length p with the groups that pass at position p ``[N, J+1]``."""

    prefixes: _Prefixes
    passing: Tensor


def _passing(
    prefixes: _Prefixes, groups: Tensor, rest: _Rest, position: tuple[Tensor, Tensor], p: int
) -> Tensor:
    """Whether ``prefix + s_p h_j + rest < 0``; the group {m} has a threshold of its own."""
    row, last = prefixes.row, groups.shape[1] - 1
    h = groups[row]
    free = _threshold(add_up(prefixes.total, rest.free[row, p + 1]), position)
    holding = _threshold(add_up(prefixes.total, rest.holding[row, p + 1]), position)
    passing = h < torch.where(prefixes.needs_max, holding, free)[:, None]
    passing[:, last] = h[:, last] < free
    cost.record(comparisons=passing.numel())
    return passing


def _threshold(total: Tensor, position: tuple[Tensor, Tensor]) -> Tensor:
    """A number below which every h has ``s h + total < 0`` for all s > 0 between the bounds (−inf if there is
    none).
    """
    lower, upper = position
    room = -total
    cost.record(flops=room.numel(), comparisons=room.numel())
    by = torch.where(room >= 0, upper, lower)
    found = torch.where(room == torch.inf, torch.inf, rounding.div_down(room, by))
    return found.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _longer(
    prefixes: _Prefixes, passing: Tensor, groups: Tensor, position: tuple[Tensor, Tensor]
) -> _Prefixes:
    """One prefix for each group that exists and did not pass; the most promising last."""
    h = groups[prefixes.row]
    parent, group = (~passing & (h > -torch.inf)).nonzero(as_tuple=True)
    step = scale_up(position[0][parent], position[1][parent], h[parent, group])
    return _Prefixes(
        prefixes.row[parent],
        torch.cat((prefixes.groups[parent], group[:, None]), 1),
        add_up(prefixes.total[parent], step),
        prefixes.needs_max[parent] & (group != groups.shape[1] - 1),
    )


def _within(prefixes: _Prefixes, floor: Tensor, limit: int) -> _Prefixes:
    """At most ``limit`` prefixes of each class, of those that pass if all that follows is m (adding ``floor
    [C]``).
    """
    prefixes = _kept(prefixes, add_up(prefixes.total, floor[prefixes.row]) < 0)
    cost.record(comparisons=len(prefixes.row))
    end = torch.bincount(prefixes.row, minlength=len(floor)).cumsum(0)
    return _kept(prefixes, end[prefixes.row] - torch.arange(len(prefixes.row)) <= limit)


def _kept(prefixes: _Prefixes, keep: Tensor) -> _Prefixes:
    return _Prefixes(
        prefixes.row[keep], prefixes.groups[keep], prefixes.total[keep], prefixes.needs_max[keep]
    )


def _levels(table: BandTable, w: Weights, groups: Tensor, limit: int) -> tuple[Tensor, list[_Level]]:
    """The classes that pass as a whole ``[C]``, and for the others the prefixes of each length."""
    rest = _rest(table, w, groups)
    needs_max = table.m > table.q
    query = scale_up(w.position_lower[table.q, -1], w.position_upper[table.q, -1], table.at_query)
    whole = add_up(query, torch.where(needs_max, rest.holding[:, 0], rest.free[:, 0])) < 0
    cost.record(comparisons=len(whole))
    row = (~whole).nonzero()[:, 0]
    prefixes = _Prefixes(row, row.new_empty((len(row), 0)), query[row], needs_max[row])
    levels = []
    for p in range(w.position_lower.shape[1] - 1):
        q = table.q[prefixes.row]
        position = (w.position_lower[q, p], w.position_upper[q, p])
        passing = _passing(prefixes, groups, rest, position, p)
        levels.append(_Level(prefixes, passing))
        if p + 2 < w.position_lower.shape[1]:
            longer = _longer(prefixes, passing, groups, position)
            prefixes = _within(longer, rest.all_max[:, p + 1], limit)
    return whole, levels


def certified_boxes(table: BandTable, w: Weights, vocab: int, limit: int = LIMIT) -> CertifiedSet:
    """The boxes that pass, class by class; of each the first ``MAX_SETS``, from the shortest prefixes on."""
    k = w.position_lower.shape[1]
    groups = torch.cat((table.bands, table.at_max[:, None]), 1)
    whole, levels = _levels(table, w, groups, limit)
    boxes: dict[int, list[Box]] = defaultdict(list)
    for p, level in enumerate(levels):
        _collect(boxes, table, level, k - 2 - p)
    contents = []
    for row, (q, m, passed) in enumerate(
        zip(table.q.tolist(), table.m.tolist(), whole.tolist(), strict=True)
    ):
        if passed:
            contents.append(full_content(q, m, k))
        elif boxes[row]:
            cost.record(int_ops=k * len(boxes[row]))
            contents.append(SetContent(q, m, boxes=tuple(boxes[row])))
    return CertifiedSet(k, vocab, tuple(contents))


def _collect(boxes: dict[int, list[Box]], table: BandTable, level: _Level, remaining: int) -> None:
    """Add the boxes of one level; ``remaining`` positions follow and hold any token."""
    exists = torch.cat((table.bands > -torch.inf, torch.ones_like(table.q[:, None], dtype=torch.bool)), 1)
    passing = level.passing & exists[level.prefixes.row]
    if remaining == 0:
        # a sequence that still needs an m gets it here or is not of the class
        passing[:, :-1] &= ~level.prefixes.needs_max[:, None]
    some = passing.any(1)
    columns = (
        level.prefixes.row[some],
        level.prefixes.groups[some],
        passing[some],
        level.prefixes.needs_max[some],
    )
    for row, prefix, mask, needs in zip(*(column.tolist() for column in columns), strict=True):
        if len(boxes[row]) == MAX_SETS:
            continue
        m = int(table.m[row])
        here = _runs(table, row, [group for group, passed in enumerate(mask) if passed])
        positions = [*(_runs(table, row, [group]) for group in prefix), here, *((0, m),) * remaining]
        boxes[row].append(Box(tuple(positions), contains_max=needs and here != (m, m)))


def _runs(table: BandTable, row: int, groups: list[int]) -> Runs:
    tokens: list[int] = []
    for group in groups:
        first, last = table.tokens(row, group)
        tokens += range(first, last + 1)
    return runs_from_tokens(tokens)
