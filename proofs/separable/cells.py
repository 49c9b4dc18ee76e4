"""From bounds of bands to certified cells: for each (q, m, n) the largest set of bands that passes.

With the position weights ``s_p`` of the K−1 slots, ``T_n`` the sum of the n largest upper ends, ``h_j`` the
bound of band j and ``h_m`` that of the token m, every sequence of the cell (q, m, n, S) has

    Σ_p f_p ≤ base + T_n · max(0, max_{j∈S} h_j − h_m),      base ≥ Σ_p s_p h_m + (the query's term).

So with ``room = −base > 0`` all bands with ``h_j < h_m + room/T_n`` pass together. One threshold for each
cell: O(V²K) in all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import Cell, CertifiedSet, SetContent, runs_from_tokens
from proofs.separable.bands import BandTable, Weights
from proofs.separable.counted import add_up, scale_up, sum_up

__all__ = ["certified_cells"]


def _largest_sums(upper: Tensor) -> Tensor:
    """``[V, K−1]`` upper bounds of the sum of the n = 1 … K−1 largest of the weights ``[V, K−1]``."""
    ordered = upper.sort(1, descending=True).values
    cost.record(comparisons=upper.numel() * max(1, upper.shape[1].bit_length()))
    sums = [ordered[:, :1].sum(1)]
    for column in ordered.unbind(1)[1:]:
        sums.append(add_up(sums[-1], column))
    return torch.stack(sums, 1)[:, : upper.shape[1]]


def _base(table: BandTable, w: Weights) -> Tensor:
    """``[C]`` upper bounds of the sum when every slot holds m."""
    lower = -sum_up(-w.position_lower[:, :-1], 1)
    upper = sum_up(w.position_upper[:, :-1], 1)
    slots = scale_up(lower[table.q], upper[table.q], table.at_max)
    query = scale_up(w.position_lower[table.q, -1], w.position_upper[table.q, -1], table.at_query)
    return query if w.position_lower.shape[1] == 1 else add_up(slots, query)


def certified_cells(table: BandTable, w: Weights, vocab: int) -> CertifiedSet:
    """The cells that pass, class by class."""
    k = w.position_lower.shape[1]
    base = _base(table, w)
    none = (base < 0).tolist()
    cost.record(comparisons=len(none))
    passing = [_passing(table, w, base, n) for n in range(1, k)]
    contents = []
    for row, (q, m) in enumerate(zip(table.q.tolist(), table.m.tolist(), strict=True)):
        cells = [Cell(0, ())] if q == m and none[row] else []
        for n, sets in enumerate(passing[: k - 1 if q == m else k - 2], 1):
            tokens = [t for group in sets[row] for t in _tokens(table, row, group)]
            if tokens:
                cells.append(Cell(n, runs_from_tokens(tokens)))
        if cells:
            cost.record(int_ops=2 * len(cells))
            contents.append(SetContent(q, m, cells=tuple(cells)))
    return CertifiedSet(k, vocab, tuple(contents))


def _passing(table: BandTable, w: Weights, base: Tensor, n: int) -> list[list[int]]:
    """The bands of each class that pass together in n slots."""
    most = _largest_sums(w.position_upper[:, :-1])[:, n - 1][table.q]
    room = rounding.div_down(-base, most)
    threshold = rounding.add_down(table.at_max, room)
    fits = (table.bands < threshold[:, None]) & (base < 0)[:, None] & (table.bands > -torch.inf)
    cost.record(flops=2 * len(base), comparisons=table.bands.numel())
    found: list[list[int]] = [[] for _ in range(len(base))]
    for row, band in fits.nonzero().tolist():
        found[row].append(band)
    return found


def _tokens(table: BandTable, row: int, group: int) -> range:
    first, last = table.tokens(row, group)
    return range(first, last + 1)
