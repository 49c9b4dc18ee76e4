"""The terms of Identity 1 for one query, with their worst cases: what every separable strategy is made of.

For query q and maximum m the model is right on a sequence iff ``Σ_p f_p(t_p) < 0`` for every x ≠ m, where::

    f_p(t) = e^{EQKE[q,t] + EQKP[q,p]} · g_p(t)
    g_p(t) = EVOU[t,x] − EVOU[t,m]  +  PVOU[p,x] − PVOU[p,m]  +  EUPU[q,x] − EUPU[q,m]

Any positive factor common to one (q, m) may be divided out: here ``e^c`` with ``c = token_shift +
position_shift``, two integers near the largest scores, so that the weights are at most about 1 (`Query`).
Bounds of f come from an upper bound of g and both ends of the weight (`counted.scale_up`: the sign of g
decides which end is the worst).

`class_worst` is the exact worst case of a whole class (q, m), given upper bounds of f.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.elementary import exp_bounds
from proofs.paths import Paths
from proofs.separable.counted import add_up, amax, scale_up, sub_up, sum_up

__all__ = ["Query", "Terms", "class_worst", "query_tables", "terms_of"]


@attrs.frozen(eq=False)
class Query:
    """Attention weights of one query, divided by ``e^(token_shift[m] + position_shift)``.

    Attributes:
        q: the query token, and the least maximum: row i of a table is about the maximum ``q + i``.
        weight_lower, weight_upper: ``[M, V]`` bounds of ``e^(EQKE[q,t] − token_shift[m])``, for M maxima.
        position_lower, position_upper: ``[K]`` bounds of ``e^(EQKP[q,p] − position_shift)``.
        token_shift: ``[M]`` integers (as float64); ``position_shift``: an integer.
    """

    q: int
    weight_lower: Tensor
    weight_upper: Tensor
    position_lower: Tensor
    position_upper: Tensor
    token_shift: Tensor
    position_shift: float

    def shift(self, m: int) -> float:
        """The dyadic c whose ``e^c`` divides every f of (q, m)."""
        return float(self.token_shift[m - self.q]) + self.position_shift


@attrs.frozen(eq=False)
class Terms:
    """Bounds of f for R pairs (m, x) of one query.

    Attributes:
        m, x: ``[R]`` int64.
        upper: ``[R, K−1, V]`` upper bounds of ``f_p(t)``; −inf for t > m.
        query_upper: ``[R]`` upper bounds of ``f_{K−1}(q)``.
    """

    m: Tensor
    x: Tensor
    upper: Tensor
    query_upper: Tensor

    def at_max(self) -> Tensor:
        """``[R, K−1]`` upper bounds of ``f_p(m)``."""
        index = self.m[:, None, None].expand(-1, self.upper.shape[1], 1)
        return self.upper.gather(2, index)[..., 0]

    def rows(self, keep: Tensor) -> Terms:
        """The pairs that ``keep`` selects."""
        return Terms(self.m[keep], self.x[keep], self.upper[keep], self.query_upper[keep])


def _safe_integer(values: Tensor) -> Tensor:
    """A nearby integer that is exact together with another such one; 0 for scores beyond 2**50."""
    return torch.where(values.abs() < 2.0**50, values.round(), 0.0)


def query_tables(paths: Paths, q: int) -> Query:
    """The attention weights of query q; ``(V − q)·V + K`` exponentials."""
    scores, positions = paths.EQKE[q], paths.EQKP[q]
    maxima = paths.vocab - q if paths.n_ctx > 1 else 1
    best = scores.hi.cummax(0).values[q : q + maxima]
    token_shift = _safe_integer(best)
    position_shift = _safe_integer(positions.hi.max())
    cost.record(flops=2 * (maxima * paths.vocab + paths.n_ctx), comparisons=paths.vocab + paths.n_ctx)
    lower, upper = exp_bounds(
        rounding.sub_down(scores.lo, token_shift[:, None]), rounding.sub_up(scores.hi, token_shift[:, None])
    )
    position_lower, position_upper = exp_bounds(
        rounding.sub_down(positions.lo, position_shift), rounding.sub_up(positions.hi, position_shift)
    )
    return Query(q, lower, upper, position_lower, position_upper, token_shift, float(position_shift))


def _numerators(paths: Paths, query: Query, m: Tensor, x: Tensor, sign: int) -> Tensor:
    """``[R, K, V]`` upper bounds of ``g`` (sign +1) or of ``−g`` (sign −1), for every key token."""
    evou, pvou, eupu = paths.EVOU, paths.PVOU, paths.EUPU[query.q]
    if sign < 0:
        m, x = x, m  # −g is g with the two outputs exchanged
    direct = sub_up(eupu.hi[x], eupu.lo[m])
    token = add_up(sub_up(evou.hi.T[x], evou.lo.T[m]), direct[:, None])
    position = sub_up(pvou.hi.T[x], pvou.lo.T[m])
    return add_up(position[:, :, None], token[:, None, :])


def terms_of(paths: Paths, query: Query, m: Tensor, x: Tensor, sign: int = 1) -> Terms:
    """Upper bounds of f for the pairs ``(m[i], x[i])``; with ``sign=-1`` upper bounds of −f.

    Two additions and one product per (pair, position, token).
    """
    k, vocab, q = paths.n_ctx, paths.vocab, query.q
    numerator = _numerators(paths, query, m, x, sign)
    present, row = torch.unique(m - q, return_inverse=True)
    lower = _times_positions(query.weight_lower[present], query.position_lower, upward=False)
    upper = _times_positions(query.weight_upper[present], query.position_upper, upward=True)
    f = scale_up(lower[row], upper[row], numerator)
    absent = torch.arange(vocab) > m[:, None, None]
    return Terms(m, x, f[:, : k - 1].masked_fill(absent, -torch.inf), f[:, k - 1, q])


def _times_positions(weights: Tensor, positions: Tensor, *, upward: bool) -> Tensor:
    """``[M, K, V]`` products of token and position weights, rounded outward; two ends, one product."""
    if upward:
        cost.record(flops=weights.numel() * positions.numel())
        return rounding.mul_up(weights[:, None, :], positions[:, None])
    return rounding.mul_down(weights[:, None, :], positions[:, None])


def class_worst(terms: Terms, q: int) -> Tensor:
    """``[R]`` upper bound of ``Σ_p f_p`` over all sequences of the class (q, m), for each pair (exact up to
    rounding).

    Every slot takes its worst token ≤ m; if q < m, at least one slot must hold m, and the slot where that
    costs least is the worst.
    """
    best = amax(terms.upper, 2)
    total = add_up(sum_up(best, 1), terms.query_upper)
    must_hold = terms.m > q
    if not bool(must_hold.any()):
        return total
    concession = amax(sub_up(terms.at_max(), best), 1)
    return torch.where(must_hold, add_up(total, concession), total)
