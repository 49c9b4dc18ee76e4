"""Tokens in bands by their distance below the maximum, and one bound of f for a whole band.

The output x is maximised for each key token on its own, and positions are pessimised: with the weight
``w_t = e^{score(q,t)}`` (positions are put back by `proofs.separable.boxes`)

    f(t) ≤ w_t · (D(m,t) + e(q,m)),     D(m,t) = max_{x≠m} max_p (M_p[t,x] − M_p[t,m]),     M_p[t,x] =
    EVOU[t,x] + PVOU[p,x] + c[x]

where c is any vector, the same for all queries, and ``e(q,m) ≥ max_{x≠m} (EUPU[q,x] − c[x]) − (EUPU[q,m] −
c[m])``. D needs only the two largest entries of each row of M: O(V²K).

Band j of the maximum m holds the tokens m−b … m−a with ``edges[j] = a ≤ b = edges[j+1]−1`` (the last band
goes down to token 0). For all its tokens ``f ≤ (max w) · max(0, max D + e)``: two maxima found apart from
each other, so the clamp at 0 is needed: for a negative value the *least* weight of the band is the worst one.
Sliding maxima by doubling give ``max w`` for all (q, m) in O(V² log V).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.interval import Interval
from proofs.separable.counted import add_up, amax, mul_up, scale_up, sub_up, top_two

__all__ = ["BandTable", "Weights", "band_table", "gains", "range_maxima", "weights"]


@attrs.frozen(eq=False)
class Weights:
    """``[V, V]`` (query, key token) and ``[V, K]`` (query, position) bounds of unnormalised attention
    weights.
    """

    token_lower: Tensor
    token_upper: Tensor
    position_lower: Tensor
    position_upper: Tensor


def _scaled_exponentials(scores: Interval) -> tuple[Tensor, Tensor]:
    """Bounds of ``e^(score − shift)``, a shift for each row: any common factor of a query is allowed."""
    top = scores.hi.amax(1, keepdim=True)
    cost.record(comparisons=scores.hi.numel())
    shifted = (scores - Interval.exact(torch.where(top.abs() < 2.0**50, top.round(), 0.0))).exp()
    return shifted.lo, shifted.hi


def weights(token_scores: Interval, position_scores: Interval) -> Weights:
    """The attention weights of scores ``[V, V]`` and ``[V, K]``; V² + V·K exponentials."""
    return Weights(*_scaled_exponentials(token_scores), *_scaled_exponentials(position_scores))


def range_maxima(values: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """For each length L, ``out[..., t] = max(values[..., t : t+L])`` over the last dimension (what lies
    beyond is −inf).

    Maxima over powers of two by doubling, then two overlapping ones for each length: O(n log n).

    >>> range_maxima(torch.tensor([1.0, 5.0, 2.0, 3.0]), [1, 3])[1].tolist()
    [5.0, 5.0, 3.0, 3.0]
    """
    power, level = 1, values
    found: dict[int, Tensor] = {}
    for length in sorted(set(lengths)):
        while 2 * power <= length:
            level = torch.maximum(level, _shifted(level, power))
            cost.record(comparisons=level.numel())
            power *= 2
        found[length] = level
        if length > power:
            found[length] = torch.maximum(level, _shifted(level, length - power))
            cost.record(comparisons=level.numel())
    return [found[length] for length in lengths]


def _shifted(values: Tensor, by: int) -> Tensor:
    """``out[..., t] = values[..., t+by]``, −inf beyond the end."""
    by = min(by, values.shape[-1])
    return torch.cat((values[..., by:], torch.full_like(values[..., :by], -torch.inf)), -1)


def gains(EVOU: Interval, PVOU: Interval, c: Interval) -> tuple[Tensor, Tensor]:
    """``(D over non-query positions, D at the query's position)``, each ``[V, V]`` (m, t), upper bounds.

    Without non-query positions (K = 1) the first is −inf.
    """
    constant = PVOU + c
    per_position = []
    for p in range(PVOU.shape[0]):
        m_upper = add_up(EVOU.hi, constant.hi[p])
        m_lower = rounding.add_down(EVOU.lo, constant.lo[p])  # the same sum as the line above
        first, second, where = top_two(m_upper)
        others = torch.where(where == torch.arange(len(m_upper))[:, None], second, first)
        cost.record(comparisons=others.numel())
        per_position.append(sub_up(others, m_lower.T))
    slots = torch.stack(per_position[:-1]) if per_position[1:] else per_position[0][None, :0]
    if not per_position[1:]:
        return torch.full_like(per_position[0], -torch.inf), per_position[0]
    return amax(slots, 0), per_position[-1]


@attrs.frozen(eq=False)
class BandTable:
    """Bounds of f, before position weights, for C classes (q, m) and J bands.

    Attributes:
        q, m: ``[C]`` int64.
        bands: ``[C, J]``; −inf where the band is empty.
        at_max: ``[C]``, token m in a non-query slot.
        at_query: ``[C]``, the query's token in the query slot.
        edges: the distances at which bands begin.
    """

    q: Tensor
    m: Tensor
    bands: Tensor
    at_max: Tensor
    at_query: Tensor
    edges: tuple[int, ...]

    def tokens(self, row: int, group: int) -> tuple[int, int]:
        """First and last token of a band, or of ``{m}`` for the group after the last band."""
        m = int(self.m[row])
        if group == len(self.edges):
            return m, m
        last = m - self.edges[group]
        first = m - self.edges[group + 1] + 1 if group + 1 < len(self.edges) else 0
        return max(first, 0), last


def band_table(
    w: Weights, slot_gain: Tensor, query_gain: Tensor, e: Tensor, edges: tuple[int, ...]
) -> BandTable:
    """Bounds for every class; ``e [V, V]`` (q, m), gains as from `gains`, edges increasing from 1."""
    vocab, k = len(e), w.position_lower.shape[1]
    q, m = torch.triu_indices(vocab, vocab).unbind() if k > 1 else (torch.arange(vocab), torch.arange(vocab))
    used = tuple(edge for edge in edges if edge < vocab)
    direct = e[q, m]
    own = add_up(slot_gain[m, m], direct)
    asked = add_up(query_gain[m, q], direct)
    at_max = scale_up(w.token_lower[q, m], w.token_upper[q, m], own)
    at_query = scale_up(w.token_lower[q, q], w.token_upper[q, q], asked)
    columns = _band_columns(w.token_upper, slot_gain, used)
    bands = [_band(weight[q, m], gain[m], direct) for weight, gain in columns]
    table = torch.stack(bands, 1) if bands else direct.new_empty((len(q), 0))
    empty = torch.tensor(used, dtype=torch.int64) > m[:, None]
    return BandTable(q, m, table.masked_fill(empty, -torch.inf), at_max, at_query, used)


def _band(weight: Tensor, gain: Tensor, direct: Tensor) -> Tensor:
    value = add_up(gain, direct).clamp(min=0.0)
    cost.record(comparisons=value.numel())
    return mul_up(weight, value).nan_to_num(nan=torch.inf, posinf=torch.inf)


def _band_columns(upper: Tensor, gain: Tensor, edges: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """For each band ``(max w [V, V] by (q, m), max D [V] by m)``; −inf where the band is empty."""
    if not edges:
        return []
    vocab = len(gain)
    ends = [*(edge - 1 for edge in edges[1:]), vocab]
    lengths = [last - first + 1 for first, last in zip(edges, ends, strict=True)]
    padded = torch.cat((torch.full_like(upper, -torch.inf), upper), 1)
    columns = []
    m = torch.arange(vocab)
    for first, last, window in zip(edges, ends, range_maxima(padded, lengths), strict=True):
        start = vocab + m - last  # of the window, in the padded row
        tokens = m[:, None] - torch.arange(first, last + 1)
        here = gain.gather(1, tokens.clamp(min=0)).masked_fill(tokens < 0, -torch.inf)
        columns.append((window[:, start], amax(here, 1)))
    return columns
