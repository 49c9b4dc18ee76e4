"""Search for `proofs.separable.union`: sampling, plans, bins. Trusted for nothing.

Class by class, sequences are drawn with tokens of much attention over-represented (their weights put that
right), and the terms of all outputs that may fail are evaluated on them. `proofs.separable.union_plan` makes
the rows; each gets as many bins as the sample says it needs (`proofs.separable.union_bins`).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import Pruner, alive_pairs, pruner
from proofs.separable.groups import NONE, Rows
from proofs.separable.numerator import Query, query_tables
from proofs.separable.queries import each_query
from proofs.separable.shares import class_shares, worth_it
from proofs.separable.union_bins import OFFSET, class_widths
from proofs.separable.union_plan import Plan, Sample, plan_class

__all__ = ["plan_rows"]

SAMPLES: Final = (512, 2048)
"""Sizes of the samples of a class, one after the other as long as much is at stake."""
_STAKE: Final = (1e-6, 0.0)
"""A class that loses this share of all sequences gets the next larger sample."""
HOT: Final = 1.2
"""Tokens of much attention in a sequence, about, beyond those that are there by chance."""
_DROPPED: Final = 3e-5
"""Classes that hold less than this share of all sequences, together, are left out."""


@attrs.frozen(eq=False)
class _Tables:
    """Midpoints of the path tables, float32."""

    token: Tensor
    position: Tensor
    direct: Tensor


def _tables(paths: Paths) -> _Tables:
    middle = [(0.5 * (t.lo + t.hi)).float() for t in (paths.EVOU, paths.PVOU, paths.EUPU)]
    return _Tables(*middle)


def _draw(query: Query, m: int, shape: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``[N, K]`` tokens of sequences of the class, and their weights."""
    count, k = shape
    attention = query.weight_upper[m - query.q, : m + 1].clone().nan_to_num(nan=0.0, posinf=0.0)
    attention[m] = 0.0
    hot = min(0.5, HOT / max(1, k - 1))
    chance = (1 - hot) / (m + 1) + hot * attention / attention.sum().clamp(min=1e-300)
    chance = chance / chance.sum()
    level = torch.rand((count, k - 1), generator=generator, dtype=torch.float64)
    tokens = torch.searchsorted(chance.cumsum(0), level, right=True).clamp(max=m)
    logs = -chance.log()
    if query.q < m:
        tokens[torch.arange(count), torch.randint(k - 1, (count,), generator=generator)] = m
        copies = (tokens == m).sum(1)
        log_weight = logs[tokens].sum(1) - logs[m] - copies.double().log()
    else:
        log_weight = logs[tokens].sum(1)
    asked = torch.full((count, 1), query.q)
    return torch.cat((tokens, asked), 1), torch.softmax(log_weight, 0).float()


@attrs.frozen(eq=False)
class _Class:
    """A class (q, m) and its outputs that may fail."""

    tables: _Tables
    query: Query
    m: int
    x: Tensor


def _numerators(of: _Class) -> tuple[Tensor, Tensor]:
    """``[T, X]`` and ``[K, X]``: their sums are the numerators g of every token up to m and position."""
    tables, q, m, x = of.tables, of.query.q, of.m, of.x
    direct = tables.direct[q, x] - tables.direct[q, m]
    token = tables.token[: m + 1, x] - tables.token[: m + 1, m, None]
    return token, tables.position[:, x] - tables.position[:, m, None] + direct


def _sample(of: _Class, count: int, generator: torch.Generator) -> Sample:
    tables, query, m = of.tables, of.query, of.m
    tokens, weight = _draw(query, m, (count, tables.position.shape[0]), generator)
    token, place = _numerators(of)
    attention = (query.weight_upper[m - query.q, tokens] * query.position_upper).float()
    return Sample((token[tokens] + place) * attention[:, :, None], weight)


def _terms(of: _Class) -> Tensor:
    """``[K, T, X]`` the terms of every position, token up to m and output that may fail."""
    query, m = of.query, of.m
    token, place = _numerators(of)
    attention = query.weight_upper[m - query.q, : m + 1] * query.position_upper[:, None]
    return (token + place[:, None]) * attention.float()[:, :, None]


def _planned(of: _Class, share: float, generator: torch.Generator) -> tuple[Sample, Plan]:
    """A plan for a class, with a larger sample where much is at stake."""
    for count, stake in zip(SAMPLES, _STAKE, strict=True):
        sample = _sample(of, count, generator)
        plan = plan_class(sample, share)
        if plan.estimate * share < stake:
            break
    return sample, plan


@attrs.frozen(eq=False)
class _Search:
    """What all queries share."""

    paths: Paths
    pruner: Pruner
    tables: _Tables
    shares: Tensor
    kept: Tensor


def _plan_query(shared: _Search, q: int) -> tuple[Rows, Tensor]:
    """The rows of one query, and their widths."""
    generator = torch.Generator().manual_seed(q)
    query = query_tables(shared.paths, q)
    m, x = alive_pairs(shared.pruner, query)
    chosen, widths = _Collected(), [torch.zeros(0, dtype=torch.float64)]
    for maximum in m.unique().tolist():
        if bool(shared.kept[q, maximum]):
            of = _Class(shared.tables, query, maximum, x[m == maximum])
            share = float(shared.shares[q, maximum])
            sample, plan = _planned(of, share, generator)
            chosen.add(maximum, of.x.tolist(), plan)
            widths.append(class_widths(sample, plan, _terms(of), share, q))
    return chosen.rows(q), torch.cat(widths)


def plan_rows(model: Model) -> tuple[Rows, Tensor, Tensor]:
    """Rows, widths and offsets."""
    paths = path_tables(model)
    vocab, k = model.vocab, model.n_ctx
    shared = _Search(
        paths, pruner(paths), _tables(paths), class_shares(vocab, k), worth_it(vocab, k, _DROPPED)
    )
    found = list(each_query(partial(_plan_query, shared), vocab))
    width = torch.cat([width for _, width in found])
    return _joined([rows for rows, _ in found]), width, OFFSET * width


@attrs.define
class _Collected:
    """The rows of one query, as they come."""

    m: list[int] = attrs.field(factory=list)
    earlier: list[int] = attrs.field(factory=list)
    meet: list[int] = attrs.field(factory=list)
    output: list[tuple[int, int]] = attrs.field(factory=list)

    def add(self, m: int, outputs: list[int], plan: Plan) -> None:
        """The rows of one class, whose plan is in columns of ``outputs``."""
        for group, meet in zip(plan.groups, plan.meets, strict=True):
            self.output += [(len(self.m), outputs[column]) for column in group]
            self.m.append(m)
            self.earlier.append(NONE if meet is None else outputs[meet.column])
            self.meet.append(0 if meet is None else meet.multiple)

    def rows(self, q: int) -> Rows:
        """All of them."""
        integers = (torch.tensor(part, dtype=torch.int64) for part in (self.m, self.earlier, self.meet))
        m, earlier, meet = integers
        output = torch.tensor(self.output, dtype=torch.int64).reshape(-1, 2)
        places = (part.contiguous() for part in output.unbind(1))
        return Rows(torch.full_like(m, q), m, earlier, meet, *places)


def _joined(parts: list[Rows]) -> Rows:
    """Rows of several queries, in order."""
    start = torch.tensor([0, *(len(part.q) for part in parts)]).cumsum(0).tolist()
    moved = [
        attrs.evolve(part, output_row=part.output_row + first)
        for part, first in zip(parts, start, strict=False)
    ]
    names = [field.name for field in attrs.fields(Rows)]
    return Rows(*(torch.cat([getattr(part, name) for part in moved]).contiguous() for name in names))
