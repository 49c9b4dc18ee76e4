"""Which outputs can beat the maximum at all: three bounds, each dearer and sharper than the one before.

For a query q the pairs (m, x) that survive are those whose worst case over the class (q, m) is not proved
negative. Every bound is an upper bound of that worst case, so what is dropped never fails:

1. *By tokens*: x is maximised for each key token on its own and positions are forgotten. With ``h(m,t) ≥ w_t
   g_p(t)`` for all x and p (`proofs.separable.bands.gains`; O(1) for each (q, m, t)) the worst case is at
   most ``S·max_t h(m,t)`` plus the query's term, where S is the sum of the position weights.
2. *By outputs*: x is kept, positions are forgotten. Only the *dangerous* tokens of (q, m) are looked at:
   those with ``h(m,t) > τ`` for a τ at which the first bound would just succeed. For the others τ itself is
   the bound.
3. `class_worst` is exact: O(K·V) for each surviving pair.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from certkit import cost
from certkit.interval import Interval
from proofs.listening import report
from proofs.paths import Paths
from proofs.separable.bands import gains
from proofs.separable.counted import add_up, amax, scale_up, sub_up, sum_up
from proofs.separable.direct import exact_direct
from proofs.separable.numerator import Query, Terms, class_worst, query_tables, terms_of

__all__ = ["Pruner", "alive_pairs", "alive_terms", "pruner"]

_BLOCK = 2**21
"""Elements of the largest intermediate tensor; bounds memory, changes no result."""


@attrs.frozen(eq=False)
class Pruner:
    """What all queries share.

    Attributes:
        paths: the path tables.
        gain: ``[V, V]`` (m, t), at least ``max_{x≠m} max_p`` of g without the direct path's deviation from
        its mean.
        direct: ``[V, V]`` (q, m), at least that deviation.
        position: ``[V, V]`` (m, x), at least ``max_p PVOU[p,x] − PVOU[p,m]``.
    """

    paths: Paths
    gain: Tensor
    direct: Tensor
    position: Tensor


def pruner(paths: Paths) -> Pruner:
    """The shared tables of a model: O(V²K)."""
    c = (0.5 * (paths.EUPU.lo + paths.EUPU.hi)).mean(0)  # any vector is sound
    cost.record(flops=2 * paths.EUPU.numel())
    slots, query = gains(paths.EVOU, paths.PVOU, Interval.exact(c))
    position = amax(sub_up(paths.PVOU.hi[:, None, :], paths.PVOU.lo[:, :, None]), 0)
    cost.record(comparisons=query.numel())
    return Pruner(paths, torch.maximum(slots, query), exact_direct(paths.EUPU, c), position)


@attrs.frozen(eq=False)
class _Worst:
    """Worst case of a class from bounds of ``w_t g``: of any token, of the token m, of the query's token."""

    slots_lower: Tensor
    slots_upper: Tensor
    least_lower: Tensor
    least_upper: Tensor
    query_lower: Tensor
    query_upper: Tensor

    def __call__(self, best: Tensor, at_max: Tensor, at_query: Tensor, must_hold: Tensor) -> Tensor:
        """Upper bound of ``Σ_p s_p max + s_q·(query)``; if m must occur, one slot at least holds it."""
        slots = scale_up(self.slots_lower, self.slots_upper, best)
        total = add_up(slots, scale_up(self.query_lower, self.query_upper, at_query))
        concession = scale_up(self.least_lower, self.least_upper, sub_up(at_max, best))
        return torch.where(must_hold, add_up(total, concession), total)

    def threshold(self, at_max: Tensor, at_query: Tensor, must_hold: Tensor) -> Tensor:
        """About the largest ``best`` for which the worst case is negative; any number would be sound."""
        least = self.least_upper * must_hold
        room = -(self.query_upper * at_query + least * at_max)
        cost.record(flops=5 * room.numel())
        return 0.999 * room / (self.slots_upper - least).clamp(min=1e-300)


def _worst(query: Query) -> _Worst:
    slots = query.position_lower.shape[0] - 1
    lower, upper = query.position_lower, query.position_upper
    least = (
        (lower[:slots].amin(), upper[:slots].amin()) if slots else (lower.new_zeros(()), lower.new_zeros(()))
    )
    sums = (-sum_up(-lower[:slots], 0), sum_up(upper[:slots], 0))
    return _Worst(*sums, *least, lower[slots], upper[slots])


def alive_pairs(shared: Pruner, query: Query) -> tuple[Tensor, Tensor]:
    """The pairs (m, x) that the first two bounds leave."""
    vocab, q = shared.paths.vocab, query.q
    maxima = torch.arange(q, q + query.weight_upper.shape[0])
    value = add_up(shared.gain[maxima], shared.direct[q, maxima, None])
    tokens = scale_up(query.weight_lower, query.weight_upper, value)
    tokens = tokens.masked_fill(torch.arange(vocab) > maxima[:, None], -torch.inf)
    own = tokens.gather(1, maxima[:, None])[:, 0]
    worst, must_hold = _worst(query), maxima > q
    alive = ~(worst(amax(tokens, 1), own, tokens[:, q], must_hold) < 0)
    maxima, tokens, own, must_hold = maxima[alive], tokens[alive], own[alive], must_hold[alive]
    if not len(maxima):
        return maxima, maxima
    tau = worst.threshold(own, tokens[:, q], must_hold)
    dangerous = ~(tokens <= tau[:, None]) & (tokens > -torch.inf)
    cost.record(comparisons=dangerous.numel())
    by_output = _by_output(shared, query, maxima)
    best = by_output.maxima_over(dangerous, tau)
    at_max, at_query = by_output.of(maxima), by_output.of(torch.full_like(maxima, q))
    failing = ~(worst(best, at_max, at_query, must_hold[:, None]) < 0)
    row, x = (failing & (torch.arange(vocab) != maxima[:, None])).nonzero(as_tuple=True)
    return maxima[row], x


@attrs.frozen(eq=False)
class _ByOutput:
    """Bounds of ``w_t g_p(t)`` for all p, by row (a maximum) and output."""

    shared: Pruner
    query: Query
    maxima: Tensor
    constant: Tensor

    def of(self, token: Tensor, row: Tensor | None = None) -> Tensor:
        """``[N, V]`` (x) for one token each of the given rows (of all rows, in order, if not given)."""
        evou = self.shared.paths.EVOU
        row = torch.arange(len(self.maxima)) if row is None else row
        value = sub_up(evou.hi[token], evou.lo[token, self.maxima[row]][:, None])
        value = add_up(value, self.constant[row])
        weight = self.maxima[row] - self.query.q
        lower, upper = self.query.weight_lower[weight, token], self.query.weight_upper[weight, token]
        return scale_up(lower[:, None], upper[:, None], value)

    def maxima_over(self, chosen: Tensor, least: Tensor) -> Tensor:
        """``[A, V]`` the maximum over the chosen tokens ``[A, V]`` of each row and ``least [A]``."""
        vocab = self.constant.shape[1]
        out = torch.where(torch.isnan(least), torch.inf, least)[:, None].repeat(1, vocab)
        row, token = chosen.nonzero(as_tuple=True)
        length = max(1, _BLOCK // vocab)
        for rows, tokens in zip(row.split(length), token.split(length), strict=True):
            value = self.of(tokens, rows)
            out.scatter_reduce_(0, rows[:, None].expand(-1, vocab), value, "amax")
            cost.record(comparisons=value.numel())
        return out


def _by_output(shared: Pruner, query: Query, maxima: Tensor) -> _ByOutput:
    eupu = shared.paths.EUPU[query.q]
    direct = sub_up(eupu.hi, eupu.lo[maxima][:, None])
    return _ByOutput(shared, query, maxima, add_up(direct, shared.position[maxima]))


def surviving_terms(paths: Paths, query: Query, m: Tensor, x: Tensor) -> Iterator[Terms]:
    """The terms of those of the given pairs whose exact worst case is not proved negative, in blocks."""
    length = max(1, _BLOCK // (paths.n_ctx * paths.vocab))
    for block_m, block_x in zip(m.split(length), x.split(length), strict=True):
        if len(block_m):
            terms = terms_of(paths, query, block_m, block_x)
            terms = terms.rows(~(class_worst(terms, query.q) < 0))
            if len(terms.m):
                yield terms


def alive_terms(paths: Paths) -> Iterator[tuple[Query, Iterator[Terms]]]:
    """Query by query, its tables and the terms of every pair (m, x) in which x may fail; no other pair ever
    does.
    """
    shared = pruner(paths)
    for q in range(paths.vocab):
        query = query_tables(paths, q)
        yield query, surviving_terms(paths, query, *alive_pairs(shared, query))
        report(q + 1, paths.vocab)
