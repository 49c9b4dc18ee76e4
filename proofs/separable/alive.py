"""Which outputs can beat the maximum at all: three bounds, each dearer and sharper than the one before.

For a query q the pairs (m, x) that survive are those whose worst case over the class (q, m) is not proved
negative. Every bound is an upper bound of that worst case, so what is dropped never fails:

1. `by_tokens` maximises over x for each key token on its own and forgets positions: with
   ``h(m,t) = w_t · max_{x≠m} max_p g_p(t)`` the worst case is at most ``S·max_t h(m,t)`` plus the query's
   term, where S is the sum of the position weights. O(V²) per query, from the two largest entries of each
   row.
2. `by_outputs` keeps x and forgets positions: O(V²) per surviving m.
3. `class_worst` is exact: O(K·V) per surviving pair.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from certkit import cost, rounding
from proofs.paths import Paths
from proofs.separable.counted import add_up, amax, scale_up, sub_up, sum_up, top_two
from proofs.separable.numerator import Query, Terms, class_worst, query_tables, terms_of

__all__ = ["alive_pairs", "alive_terms", "by_outputs", "by_tokens", "surviving_terms"]

_BLOCK = 2**21
"""Elements of the largest intermediate tensor; bounds memory, changes no result."""


def _position_free_worst(query: Query, tokens: Tensor, m: Tensor) -> Tensor:
    """Upper bound of the worst case of each row's class from ``tokens[..., t] ≥ w_t g_p(t)`` for all p; −inf
    for t > m.

    ``m`` has the shape of the result.
    """
    slots = query.position_lower.shape[0] - 1
    lower, upper = query.position_lower, query.position_upper
    best = amax(tokens, -1)
    slot_sum_lower = -sum_up(-lower[:slots], 0)
    slot_sum_upper = sum_up(upper[:slots], 0)
    total = add_up(
        scale_up(slot_sum_lower, slot_sum_upper, best),
        scale_up(lower[slots], upper[slots], tokens[..., query.q]),
    )
    if slots == 0:
        return total
    at_max = tokens.gather(-1, m[..., None])[..., 0]
    concession = scale_up(lower[:slots].amin(), upper[:slots].amin(), sub_up(at_max, best))
    return torch.where(m > query.q, add_up(total, concession), total)


def by_tokens(paths: Paths, query: Query) -> Tensor:
    """The maxima m (int64, increasing) of this query for which some x may fail, by the first bound."""
    evou, pvou, eupu = paths.EVOU, paths.PVOU, paths.EUPU[query.q]
    maxima = torch.arange(query.q, query.q + query.weight_upper.shape[0])
    gain = add_up(eupu.hi, amax(pvou.hi, 0))
    loss = rounding.add_down(eupu.lo, -amax(-pvou.lo, 0))
    cost.record(flops=loss.numel())
    first, second, where = top_two(add_up(evou.hi, gain))
    others = torch.where(where == maxima[:, None], second, first)
    loss_table = rounding.add_down(evou.lo, loss).T[maxima]
    cost.record(flops=loss_table.numel(), comparisons=others.numel())
    tokens = scale_up(query.weight_lower, query.weight_upper, sub_up(others, loss_table))
    tokens = tokens.masked_fill(torch.arange(paths.vocab) > maxima[:, None], -torch.inf)
    return maxima[~(_position_free_worst(query, tokens, maxima) < 0)]


def by_outputs(paths: Paths, query: Query, maxima: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs (m, x) with m in ``maxima`` for which x may fail, by the second bound."""
    vocab = paths.vocab
    evou, pvou, eupu = paths.EVOU, paths.PVOU, paths.EUPU[query.q]
    pairs: list[Tensor] = []
    for m in maxima.split(max(1, _BLOCK // vocab**2)):
        if not len(m):
            break
        top = int(m.max()) + 1
        direct = sub_up(eupu.hi, eupu.lo[m][:, None])
        constant = add_up(direct, amax(sub_up(pvou.hi[:, None, :], pvou.lo[:, m][:, :, None]), 0))
        value = sub_up(evou.hi.T[:, :top], evou.lo.T[m][:, None, :top])
        value = add_up(value, constant[:, :, None])
        rows = m - query.q
        tokens = scale_up(
            query.weight_lower[rows][:, None, :top], query.weight_upper[rows][:, None, :top], value
        )
        tokens = tokens.masked_fill(torch.arange(top) > m[:, None, None], -torch.inf)
        worst = _position_free_worst(query, tokens, m[:, None].expand(-1, vocab))
        alive = ~(worst < 0) & (torch.arange(vocab) != m[:, None])
        row, x = alive.nonzero(as_tuple=True)
        pairs.append(torch.stack((m[row], x)))
    found = torch.cat(pairs, 1) if pairs else maxima.new_empty((2, 0))
    return found[0], found[1]


def alive_pairs(paths: Paths, query: Query) -> tuple[Tensor, Tensor]:
    """The pairs (m, x) that the first two bounds leave."""
    return by_outputs(paths, query, by_tokens(paths, query))


def surviving_terms(paths: Paths, query: Query, m: Tensor, x: Tensor) -> Iterator[Terms]:
    """The terms of those of the given pairs whose exact worst case is not proved negative, in blocks."""
    length = max(1, _BLOCK // (paths.n_ctx * paths.vocab))
    for block_m, block_x in zip(m.split(length), x.split(length), strict=True):
        if len(block_m):
            terms = terms_of(paths, query, block_m, block_x)
            terms = terms.rows(~(class_worst(terms, query.q) < 0))
            if len(terms.m):
                yield terms


def alive_terms(paths: Paths, q: int) -> Iterator[Terms]:
    """For one query, the terms of every pair (m, x) in which x may fail; no other pair ever does."""
    query = query_tables(paths, q)
    yield from surviving_terms(paths, query, *alive_pairs(paths, query))
