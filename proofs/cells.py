"""Tools that strategies certifying cells and boxes have in common."""

from __future__ import annotations

from torch import Tensor

from certkit.certificate import Cell, CertifiedSet, full_content, runs_from_mask
from certkit.interval import Interval, cat
from proofs.model import Model


def largest_n(q: int, m: int, k: int) -> int:
    """The largest n in class (q, m): with q < m at least one of the K−1 non-query positions holds m.

    >>> largest_n(2, 2, 4), largest_n(1, 2, 4), largest_n(0, 0, 4)
    (3, 2, 0)
    """
    return 0 if m == 0 else k - 1 if q == m else k - 2


def max_over_others(table: Interval) -> Interval:
    """``result[…, m] = max_{x ≠ m} table[…, x]``, tightest; the last dimension must hold at least two
    elements.

    Running maxima from both ends: three comparisons per element, whatever the number of columns.

    >>> import torch
    >>> max_over_others(Interval.exact(torch.tensor([3.0, 1.0, 2.0]))).hi.tolist()
    [2.0, 3.0, 3.0]
    """
    width = table.shape[-1]
    if width < 2:
        raise ValueError(f"max_over_others needs at least 2 columns, not {width}")
    before = table.cummax(-1)[..., : width - 1]
    after = table.flip(-1).cummax(-1).flip(-1)[..., 1:]
    inner = before[..., : width - 2].maximum(after[..., 1:])
    return cat([after[..., :1], inner, before[..., width - 2 :]], -1)


def everything(model: Model) -> CertifiedSet:
    """All sequences, each class as one box: what is true of a model with one token, where no token is
    wrong."""
    entries = tuple(
        full_content(q, m, model.n_ctx)
        for q in range(model.vocab)
        for m in range(q, model.vocab if model.n_ctx > 1 else q + 1)
    )
    return CertifiedSet(model.n_ctx, model.vocab, entries, two_sided=True)


def cell_from_mask(n: int, allowed: Tensor) -> Cell | None:
    """The cell of ``n`` slots from the tokens where ``allowed`` is true; None if it holds no sequence.

    >>> import torch
    >>> cell_from_mask(2, torch.tensor([True, True, False, True]))
    Cell(n=2, allowed=(0, 1, 3, 3))
    """
    if n == 0:
        return Cell(0, ())
    runs = runs_from_mask(allowed.tolist())
    return Cell(n, runs) if runs else None
