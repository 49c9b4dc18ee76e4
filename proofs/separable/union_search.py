"""Search for `proofs.separable.union`: sampling, plans, bins. Trusted for nothing.

Class by class, sequences are drawn with tokens of much attention over-represented (their weights put that
right), and the terms of all outputs that may fail are evaluated on them. `proofs.separable.union_plan` makes
the rows; each gets as many bins as the sample says it needs.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import alive_pairs, pruner
from proofs.separable.groups import Rows, row_blocks, row_terms
from proofs.separable.numerator import Query, class_worst, query_tables
from proofs.separable.union_plan import ROW, Plan, Sample, plan_class, row_samples

__all__ = ["plan_rows"]

BINS: Final = (32, 64, 128, 256, 512, 1024, 2048)
"""Numbers of bins between 0 and the worst case of a row that are tried on the sample, the least first."""
_FREE: Final = 8192
"""Bins at most between 0 and the worst case where m need not occur, which an auditor counts with."""
_INEXACT: Final = 0.04
"""Share by which bins may make the count of a row larger."""
_OFFSET: Final = 0.06
"""In widths."""
SAMPLES: Final = (256, 1024, 4096)
"""Sizes of the samples of a class, one after the other as long as much is at stake."""
_STAKE: Final = (2e-7, 2e-6, 0.0)
"""A class that loses this share of all sequences gets the next larger sample."""
_FOR_BINS: Final = 1024
"""Sequences on which bins are tried, at most."""
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


def class_shares(vocab: int, k: int) -> Tensor:
    """``[V, V]`` (q, m) the share of all sequences in each class."""
    m = torch.arange(vocab, dtype=torch.float64)
    whole = ((m + 1) / vocab) ** (k - 1) / vocab
    less = (m / vocab) ** (k - 1) / vocab
    share = torch.where(m[:, None] < m, whole - less, whole)
    return share.triu() if k > 1 else torch.diag(whole)


def _worth_it(vocab: int, k: int) -> Tensor:
    """``[V, V]`` whether a class is looked at: the smallest are not, as long as they are little together."""
    share = class_shares(vocab, k).flatten()
    order = share.argsort()
    kept = torch.empty_like(share, dtype=torch.bool)
    kept[order] = share[order].cumsum(0) > _DROPPED
    return kept.reshape(vocab, vocab)


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


def _sample(of: _Class, count: int, generator: torch.Generator) -> Sample:
    tables, query, m, x = of.tables, of.query, of.m, of.x
    tokens, weight = _draw(query, m, (count, tables.position.shape[0]), generator)
    token = tables.token[: m + 1, x] - tables.token[: m + 1, m, None]
    direct = tables.direct[query.q, x] - tables.direct[query.q, m]
    place = tables.position[:, x] - tables.position[:, m, None] + direct
    attention = (query.weight_upper[m - query.q, tokens] * query.position_upper).float()
    return Sample((token[tokens] + place) * attention[:, :, None], weight)


def _bins(sample: Tensor, weight: Tensor, worst: Tensor, share: float) -> Tensor:
    """``[R]`` the least numbers of bins with which the counts of rows on the sample are hardly larger."""
    tried = torch.tensor(BINS, dtype=torch.float32)
    width = (worst[:, None].float() / tried).clamp(min=1e-30)[:, :, None, None]  # [R, B, 1, 1]
    others, asked = sample[:, None, :, :-1], sample[:, None, :, -1]
    up = ((others - _OFFSET * width) / width).ceil().sum(3)
    need = (-asked / width[..., 0] - others.shape[3] * _OFFSET).ceil()
    estimate = ((up >= need) * weight).sum(2) * share
    exact = ((sample.sum(2) >= 0) * weight).sum(1) * share
    fine = estimate <= (exact * (1 + _INEXACT) + ROW)[:, None]
    fine[:, -1] = True
    return tried[fine.float().argmax(1)]


def _planned(of: _Class, share: float, generator: torch.Generator) -> tuple[Sample, Plan]:
    """A plan for a class, with a larger sample where much is at stake."""
    for count, stake in zip(SAMPLES, _STAKE, strict=True):
        sample = _sample(of, count, generator)
        plan = plan_class(sample, share, thorough=count > SAMPLES[0])
        if plan.estimate * share < stake:
            break
    return sample, plan


def plan_rows(model: Model) -> tuple[Rows, Tensor, Tensor]:
    """Rows, widths and offsets."""
    paths = path_tables(model)
    shared, tables = pruner(paths), _tables(paths)
    vocab, k = model.vocab, model.n_ctx
    shares, kept = class_shares(vocab, k), _worth_it(vocab, k)
    generator = torch.Generator().manual_seed(0)
    found, widths = list[Rows](), [torch.zeros(0, dtype=torch.float64)]
    for q in range(vocab):
        query = query_tables(paths, q)
        m, x = alive_pairs(shared, query)
        chosen, samples = _Collected(), list[tuple[Tensor, Tensor, float]]()
        for maximum in m.unique().tolist():
            if bool(kept[q, maximum]):
                of, share = _Class(tables, query, maximum, x[m == maximum]), float(shares[q, maximum])
                sample, plan = _planned(of, share, generator)
                chosen.add(maximum, of.x.tolist(), plan)
                few = sample.first(_FOR_BINS)
                samples.append((row_samples(few, plan), few.weight, share))
        rows = chosen.rows(q)
        found.append(rows)
        if len(rows.q):
            terms = [row_terms(paths, query, block) for block in row_blocks(paths, rows)]
            worst = torch.cat([class_worst(block, q).abs() for block in terms])
            free = torch.cat([block.upper.amax(2).sum(1) + block.query_upper for block in terms])
            parts = worst.split([len(part) for part, _, _ in samples])
            bins = [_bins(*part[:2], most, part[2]) for part, most in zip(samples, parts, strict=True)]
            width = torch.maximum(worst / torch.cat(bins), free / _FREE)
            widths.append(width.nan_to_num(nan=1.0).clamp(1e-290, 1e290))
    width = torch.cat(widths)
    return _joined(found), width, _OFFSET * width


@attrs.define
class _Collected:
    """The rows of one query, as they come."""

    m: list[int] = attrs.field(factory=list)
    output: list[tuple[int, int]] = attrs.field(factory=list)
    less: list[tuple[int, int, int]] = attrs.field(factory=list)

    def add(self, m: int, outputs: list[int], plan: Plan) -> None:
        """The rows of one class, whose plan is in columns of ``outputs``."""
        for group, less in zip(plan.groups, plan.less, strict=True):
            row = len(self.m)
            self.m.append(m)
            self.output += [(row, outputs[column]) for column in group]
            self.less += [(row, outputs[column], multiple) for column, multiple in less]

    def rows(self, q: int) -> Rows:
        """All of them."""
        m = torch.tensor(self.m, dtype=torch.int64)
        output = torch.tensor(self.output, dtype=torch.int64).reshape(-1, 2)
        less = torch.tensor(self.less, dtype=torch.int64).reshape(-1, 3)
        columns = (column.contiguous() for column in (*output.unbind(1), *less.unbind(1)))
        return Rows(torch.full_like(m, q), m, *columns)


def _joined(parts: list[Rows]) -> Rows:
    """Rows of several queries, in order."""
    start = torch.tensor([0, *(len(part.q) for part in parts)]).cumsum(0).tolist()
    moved = [
        attrs.evolve(part, output_row=part.output_row + first, less_row=part.less_row + first)
        for part, first in zip(parts, start, strict=False)
    ]
    names = [field.name for field in attrs.fields(Rows)]
    return Rows(*(torch.cat([getattr(part, name) for part in moved]).contiguous() for name in names))
