"""Gap cells: which sequences a gap stands for, and the certified content they add up to.

The cell ``(q, m, n)`` with gap g holds the sequences with query q and maximum m in which exactly n non-query
tokens differ from m and every token other than m, the query included, is at most ``m − g``. It is empty if
``q < m`` and ``q > m − g``, or if ``n ≥ 1`` and ``g > m``. With g = 1 the cells of all (q, m, n) partition
``V^K``; a larger gap gives away the sequences with a token close below m, in exchange for a better bound.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import starmap

import attrs
import torch
from torch import Tensor

from certkit import cost
from certkit.content import Cell, CertifiedSet, SetContent
from proofs.witness import require_range, require_tensor


@attrs.frozen(eq=False)
class GapCells:
    """Non-empty gap cells, in lexicographic order of (q, m, n).

    Attributes:
        q: query tokens, ``[C]``.
        m: maxima, ``[C]``.
        n: numbers of non-query tokens that are not m, ``[C]``.
        below: the largest token other than m that the cell admits, ``m − gap``, ``[C]``.
    """

    q: Tensor
    m: Tensor
    n: Tensor
    below: Tensor

    def __len__(self) -> int:
        return int(self.q.shape[0])

    @property
    def query_is_below(self) -> Tensor:
        """1 where q < m, 0 where q = m, ``[C]``."""
        return (self.q < self.m).long()

    def with_below(self, below: Tensor) -> GapCells:
        """The same (q, m, n) with other gaps."""
        return attrs.evolve(self, below=below)

    def parts(self, size: int) -> Iterator[GapCells]:
        """The cells in pieces of at most ``size``, in order; one empty piece if there are none."""
        columns = (self.q, self.m, self.n, self.below)
        return starmap(GapCells, zip(*(column.split(size) for column in columns), strict=True))

    def select(self, chosen: Tensor) -> GapCells:
        """The cells at which the mask ``chosen`` is true."""
        return GapCells(self.q[chosen], self.m[chosen], self.n[chosen], self.below[chosen])


def check_gaps(gaps: Tensor, vocab: int, n_ctx: int) -> Tensor:
    """``gaps`` if it is an integer tensor ``[V, V, K]`` of values 1 … V.

    A gap of V is larger than every m, so it claims nothing.

    Raises:
        WitnessError: wrong shape or dtype, or a gap outside 1 … V.
    """
    require_tensor("gaps", gaps, [vocab, vocab, n_ctx], torch.int64)
    return require_range("gaps", gaps, 1, vocab)


def gap_cells(gaps: Tensor) -> GapCells:
    """The non-empty cells of ``gaps [V, V, K]``, without q = m, n = 0 (the sequence m … m)."""
    vocab, _, n_ctx = gaps.shape
    token = torch.arange(vocab)
    q, m, n = token.view(-1, 1, 1), token.view(1, -1, 1), torch.arange(n_ctx)
    below = m - gaps
    cost.record(int_ops=gaps.numel())
    others_fit = (n == 0) | (below >= 0)
    with_max = (q == m) & (n >= 1) & others_fit
    below_max = (q < m) & (q <= below) & (n <= n_ctx - 2)
    q_of, m_of, n_of = (with_max | below_max).nonzero().unbind(1)
    return GapCells(q_of, m_of, n_of, below[q_of, m_of, n_of])


@functools.lru_cache(maxsize=1 << 16)
def _cell(n: int, below: int) -> Cell:
    """One object for the thousands of classes (q, m) that have this cell."""
    return Cell(n, (0, below) if n else ())


def certified_set(cells: GapCells, alone: Tensor, vocab: int, n_ctx: int) -> CertifiedSet:
    """The content that certifies ``cells``, and for each m with ``alone[m]`` the sequence ``m … m``."""
    found: dict[tuple[int, int], list[Cell]] = {
        (m, m): [Cell(0, ())] for m in alone.nonzero().flatten().tolist()
    }
    rows = zip(cells.q.tolist(), cells.m.tolist(), cells.n.tolist(), cells.below.tolist(), strict=True)
    for q, m, n, below in rows:
        found.setdefault((q, m), []).append(_cell(n, below))
    entries = (SetContent(q, m, cells=tuple(members)) for (q, m), members in sorted(found.items()))
    return CertifiedSet(k=n_ctx, vocab=vocab, entries=tuple(entries))
