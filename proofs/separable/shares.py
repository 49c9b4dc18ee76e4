"""How much of all sequences each class holds: for searches, in floating point, trusted for nothing."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["class_shares", "worth_it"]


def class_shares(vocab: int, k: int) -> Tensor:
    """``[V, V]`` (q, m) the share of all sequences in each class."""
    m = torch.arange(vocab, dtype=torch.float64)
    whole = ((m + 1) / vocab) ** (k - 1) / vocab
    less = (m / vocab) ** (k - 1) / vocab
    share = torch.where(m[:, None] < m, whole - less, whole)
    return share.triu() if k > 1 else torch.diag(whole)


def worth_it(vocab: int, k: int, dropped: float) -> Tensor:
    """``[V, V]`` whether a class is looked at: the smallest, which together hold ``dropped``, are not."""
    share = class_shares(vocab, k).flatten()
    order = share.argsort()
    kept = torch.empty_like(share, dtype=torch.bool)
    kept[order] = share[order].cumsum(0) > dropped
    return kept.reshape(vocab, vocab)
