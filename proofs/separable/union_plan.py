"""Which outputs of a class to count together, and what to take off: planned on a sample. Trusted for nothing.

Outputs are ordered by how often they fail. The first j get rows of their own, each less multiples of the
outputs before it that help most; the rest is one group. Every j is tried on the sample, and the least
estimate is taken. Where much is at stake, rows are then merged two by two.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.separable.groups import PARTS

__all__ = ["ROW", "Plan", "Sample", "plan_class", "row_samples"]

ALONE: Final = 128
"""Rows about one output, at most, in a class."""
EARLIER: Final = 16
"""Outputs of which multiples may be taken off."""
PAIRS: Final = 4
"""Multiples taken off a row, at most."""
_MULTIPLES: Final = (2, 4, 7, 13, 26, 45, 64)
_MARGIN: Final = 0.1
"""A group counts as failing on a sequence when it comes as close as that, in standard deviations."""
ROW: Final = 1e-9
"""What a row must save to be worth its work, as a share of all sequences."""
MERGED: Final = 20
"""The rows of which two may be merged: those that count most."""


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
class Plan:
    """Rows of one class: groups of columns, for each the (column, multiple) pairs that are taken off, and the
    estimated share of the class that all rows count together.
    """

    groups: list[list[int]]
    less: list[list[tuple[int, int]]]
    estimate: float


def _less(total: Tensor, earlier: Tensor, sample: Sample) -> tuple[Tensor, list[tuple[int, int]]]:
    """What is best taken off a row with sums ``total [N]``, of outputs with sums ``earlier [N, E]``: the sums
    that are left, and (column, multiple) pairs. One pair after the other, as long as it helps.
    """
    pairs = list[tuple[int, int]]()
    multiples = torch.tensor(_MULTIPLES, dtype=total.dtype)[:, None] / PARTS
    least = sample.share(total >= 0)
    for _ in range(PAIRS if earlier.shape[1] else 0):
        left = total[:, None, None] - multiples * earlier[:, None]
        shares = sample.share(left >= 0).flatten()
        best = int(shares.argmin())
        if not bool(shares[best] < least):
            break
        multiple, column = divmod(best, earlier.shape[1])
        least, total = shares[best], left[:, multiple, column]
        pairs.append((column, _MULTIPLES[multiple]))
    return total, pairs


def _chain(sums: Tensor, sample: Sample, count: int) -> tuple[Tensor, list[list[tuple[int, int]]]]:
    """What each of the first ``count`` outputs adds, and what is best taken off it."""
    added = sample.share(sums[:, :count] >= 0)
    less: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for i in range(1, int((added > 0).sum())):
        left, less[i] = _less(sums[:, i], sums[:, : min(i, EARLIER)], sample)
        added[i] = sample.share(left >= 0)
    return added, less


def plan_class(sample: Sample, share: float, *, thorough: bool) -> Plan:
    """The cheapest number of single outputs before the group of the rest; then, if asked, rows are merged."""
    sums = sample.terms.sum(1)
    spread = sums.std(0).clamp(min=1e-30)
    rank = sample.share(sums >= 0) + 1e-3 * sample.share(torch.sigmoid(8 * sums / spread))
    order = rank.argsort(descending=True, stable=True)
    sums, terms = sums[:, order], sample.terms[:, :, order]
    size = len(order)
    count = min(size, ALONE)
    added, less = _chain(sums, sample, count)
    tail = terms[:, :, count:].amax(2, keepdim=True) if count < size else terms[:, :, :0]
    worst = torch.cat((terms[:, :, :count], tail), 2).flip(2).cummax(2).values.flip(2).sum(1)
    rest = sample.share(worst >= -_MARGIN * worst.std(0))  # of the outputs from the j-th on
    rest = torch.cat((rest, rest.new_zeros(1)))[: count + 1]
    estimate = torch.cat((added.new_zeros(1), added.cumsum(0))) + rest
    rows = torch.arange(count + 1) + (torch.arange(count + 1) < size)
    best = int((estimate * share + ROW * rows).argmin())
    columns = order.tolist()
    groups, pairs = [[column] for column in columns[:best]], less[:best]
    if best < size:
        groups.append(sorted(columns[best:]))
        pairs.append(_less(worst[:, best], sums[:, : min(best, EARLIER)], sample)[1])
    named = [[(columns[column], multiple) for column, multiple in row] for row in pairs]
    found = Plan(groups, named, min(1.0, float(estimate[best])))
    return _merged(sample, found) if thorough else found


def _merged(sample: Sample, plan: Plan) -> Plan:
    """The plan with rows put together, the best two at a time, as long as that makes the estimate smaller.

    A row that is put to an earlier one is covered earlier; what is taken off is searched anew at the end.
    """
    groups = [list(group) for group in plan.groups]
    terms = row_samples(sample, Plan(groups, [[] for _ in groups], 1.0))
    off = terms.sum(2) - row_samples(sample, plan).sum(2)  # what each row has taken off, [R, N]
    parts, taken = list(terms), list(off)
    while len(parts) > 1:
        costs = torch.stack([sample.share(a.sum(1) - b >= 0) for a, b in zip(parts, taken, strict=True)])
        largest = costs.argsort(descending=True)[:MERGED].sort().values.tolist()
        best = (0.0, 0, 0)
        for place, i in enumerate(largest):
            for j in largest[place + 1 :]:
                both = sample.share(torch.maximum(parts[i], parts[j]).sum(1) - taken[i] >= 0)
                best = max(best, (float(costs[i] + costs[j] - both), i, j))
        gain, i, j = best
        if gain <= 0.0:
            break
        parts[i], groups[i] = torch.maximum(parts[i], parts[j]), sorted(groups[i] + groups[j])
        del parts[j], groups[j], taken[j]
    return _with_less(sample, groups, parts)


def _with_less(sample: Sample, groups: list[list[int]], parts: list[Tensor]) -> Plan:
    """The plan of these rows, with what is best taken off each."""
    sums, covered, pairs, estimate = sample.terms.sum(1), list[int](), list[list[tuple[int, int]]](), 0.0
    for group, part in zip(groups, parts, strict=True):
        left, found = _less(part.sum(1), sums[:, covered[:EARLIER]], sample)
        pairs.append([(covered[column], multiple) for column, multiple in found])
        estimate += float(sample.share(left >= 0))
        covered += group
    return Plan(groups, pairs, min(1.0, estimate))


def row_samples(sample: Sample, plan: Plan) -> Tensor:
    """``[R, N, K]`` the terms of each row on the sample."""
    out = []
    for group, less in zip(plan.groups, plan.less, strict=True):
        terms = sample.terms[:, :, group].amax(2)
        for column, multiple in less:
            terms = terms - multiple / PARTS * sample.terms[:, :, column]
        out.append(terms)
    return torch.stack(out)
