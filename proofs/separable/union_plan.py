"""Which outputs of a class to count together, and which to meet: planned on a sample. Trusted for nothing.

Outputs are ordered by how often they fail. The first j get rows of their own, each meeting the output before
it, and as large a part of it, that leaves least to count on the sample; the rest is one group. Some j are
tried, and the least estimate is taken.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.separable.groups import PARTS

__all__ = ["ROW", "Meet", "Plan", "Sample", "plan_class"]

CUTS: Final = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192)
"""Rows about one output that are tried."""
EARLIER: Final = 32
"""Outputs that a row may meet: those that fail most."""
PARTNERS: Final = 3
"""Of these, how many are tried for a row: those whose failing sequences leave least."""
_COARSE: Final = (3, 6, 12, 24, 48, 64, 96, 192, 384, 768)
_FINE: Final = (0.65, 0.75, 0.87, 1.15, 1.33, 1.5)
"""Multiples (in 64ths) that are tried first, and then near the best of them."""
_TRIED: Final = 300
"""Failing sequences on which meets are tried, at most."""
_MARGIN: Final = 0.1
"""A group counts as failing on a sequence when it comes as close as that, in standard deviations."""
ROW: Final = 1e-9
"""What a row must save to be worth its work, as a share of all sequences."""
_WORTH: Final = 0.98
"""What a meet must leave of the count of a row, to be worth its work."""


@attrs.frozen(eq=False)
class Sample:
    """Terms ``[N, K, X]`` of sequences of one class, and weights that sum to 1."""

    terms: Tensor
    weight: Tensor

    def share(self, failing: Tensor) -> Tensor:
        """Estimated share of the class, of sequences in the first dimension."""
        shares: Tensor = torch.tensordot(self.weight, failing.float(), 1)
        return shares

    def first(self, count: int) -> Sample:
        """At most so many of the sequences: a sample too."""
        weight = self.weight[:count]
        return Sample(self.terms[:count], weight / weight.sum())


@attrs.frozen
class Meet:
    """An earlier output, as a column, and the multiple of it in 64ths."""

    column: int
    multiple: int


@attrs.frozen
class Plan:
    """Rows of one class: groups of columns, for each what it meets, if anything, and the estimated share of
    the class that all rows count together.
    """

    groups: list[list[int]]
    meets: list[Meet | None]
    estimate: float


@attrs.frozen(eq=False)
class _Failing:
    """The sequences of a sample that fail for some output, with their sums ``[N, X]``."""

    terms: Tensor
    sums: Tensor
    weight: Tensor

    def left(self, row: int, columns: Tensor, multiples: Tensor) -> Tensor:
        """``[E, G]`` the share that a row counts beyond its meets with multiples of some columns."""
        own = (self.sums[:, row] >= 0).nonzero()[:, 0]
        weight = self.weight[own]
        some = own[:_TRIED]
        both = self.terms[some][:, :, columns, None] * multiples
        met = torch.minimum(both, self.terms[some, :, row, None, None]).sum(1) >= 0
        shared = torch.tensordot(weight[:_TRIED], met.float(), 1)
        rest: Tensor = weight.sum() * (1 - shared / weight[:_TRIED].sum())
        return rest

    def best_meet(self, row: int, columns: Tensor) -> tuple[float, Meet]:
        """What is left by the best meet of a row with one of some columns."""
        coarse = torch.tensor(_COARSE)
        least = self.left(row, columns, coarse / PARTS)
        column, at = divmod(int(least.argmin()), len(coarse))
        fine = (torch.tensor(_FINE) * _COARSE[at]).round().clamp(min=1)
        nearby = self.left(row, columns[column : column + 1], fine / PARTS)[0]
        better = int(nearby.argmin())
        if float(nearby[better]) < float(least[column, at]):
            return float(nearby[better]), Meet(int(columns[column]), int(fine[better]))
        return float(least[column, at]), Meet(int(columns[column]), _COARSE[at])


def _meets(sample: Sample, sums: Tensor, stake: float) -> tuple[Tensor, list[Meet | None]]:
    """For the rows about one output, by column: what each counts, and the best meet of those that count more
    than ``stake``.
    """
    added = sample.share(sums >= 0)
    found: list[Meet | None] = [None] * len(added)
    some = (sums >= 0).any(1)
    failing = _Failing(sample.terms[some], sums[some], sample.weight[some])
    fails = (failing.sums >= 0).float()
    alone = (fails.T * failing.weight) @ (1 - fails[:, :EARLIER])  # [X, E]: fails for x and not for y
    later = torch.arange(alone.shape[1]) >= torch.arange(len(alone))[:, None]
    alone = alone.masked_fill(later, torch.inf)
    for row in (added > stake).nonzero()[:, 0].tolist():
        tried = alone[row].topk(min(PARTNERS, row, alone.shape[1]), largest=False)
        if row and float(tried.values[0]) < _WORTH * float(added[row]):
            least, meet = failing.best_meet(row, tried.indices)
            if least < _WORTH * float(added[row]):
                added[row], found[row] = least, meet
    return added, found


def _rest(sample: Sample, cuts: list[int]) -> Tensor:
    """For each cut j the share for which the group of the columns from the j-th on fails, or nearly so."""
    parts = [sample.terms[:, :, a:b].amax(2) for a, b in pairwise(cuts)]
    sums = torch.stack(parts[::-1]).cummax(0).values.sum(2).T  # [N, C]: the last group first
    rest = sample.share(sums >= -_MARGIN * sums.std(0)).flip(0)
    return torch.cat((rest, rest.new_zeros(1)))


def plan_class(sample: Sample, share: float) -> Plan:
    """The cheapest number of single outputs before the group of the rest."""
    sums = sample.terms.sum(1)
    spread = sums.std(0).clamp(min=1e-30)
    rank = sample.share(sums >= 0) + 1e-3 * sample.share(torch.sigmoid(8 * sums / spread))
    order = rank.argsort(descending=True, stable=True)
    sums, sample = sums[:, order], attrs.evolve(sample, terms=sample.terms[:, :, order])
    size = len(order)
    added, meets = _meets(sample, sums, 10 * ROW / share)
    cuts = [cut for cut in CUTS if cut < size] + [size]
    estimate = torch.cat((added.new_zeros(1), added.cumsum(0)))[cuts] + _rest(sample, cuts)
    rows = torch.tensor(cuts) + (torch.tensor(cuts) < size)
    best = int((estimate * share + ROW * rows).argmin())
    columns, cut = order.tolist(), cuts[best]
    groups = [[column] for column in columns[:cut]]
    named = [meet and attrs.evolve(meet, column=columns[meet.column]) for meet in meets[:cut]]
    if cut < size:
        groups.append(sorted(columns[cut:]))
        named.append(None)
    return Plan(groups, named, min(1.0, float(estimate[best])))
