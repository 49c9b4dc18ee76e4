"""The direct path: vectors c and bounds e with ``(EUPU[q,x] − c[x]) − (EUPU[q,m] − c[m]) ≤ e(q,m)`` for every
x ≠ m.

c goes into the rows of `proofs.separable.bands.gains`, e is added to each token's gain. `exact_direct` uses
the table EUPU and any vector c. `low_rank_direct` never forms EUPU: with any point v, ``c = v W_U`` and ``δ_q
= E_q − v``, split ``δ_q = (δ_q B) Dᵀ + r_q`` with any matrices B, D; the first part is multiplied out (O(V²)
for each column), and for any vector ū

    r_q (u_x − u_m) ≤ |r_q| (|u_x − ū| + |u_m − ū|)                                (Cauchy–Schwarz, u_x the
    columns of W_U).
"""

from __future__ import annotations

import torch
from torch import Tensor

from certkit import cost
from certkit.interval import Interval
from proofs.separable.counted import add_up, mul_up, sub_up, top_two

__all__ = ["exact_direct", "low_rank_direct", "norm_upper"]


def _largest_other(upper: Tensor) -> Tensor:
    """``out[..., m] = max_{x≠m} upper[..., x]``; −inf if there is no other."""
    first, second, where = top_two(upper)
    cost.record(comparisons=upper.numel())
    return torch.where(where[..., None] == torch.arange(upper.shape[-1]), second[..., None], first[..., None])


def exact_direct(EUPU: Interval, c: Tensor) -> Tensor:
    """``e [V, V]`` (q, m) for the table EUPU and a finite vector ``c [V]``."""
    left = EUPU - Interval.exact(c)
    return sub_up(_largest_other(left.hi), left.lo)


def norm_upper(x: Interval, dim: int) -> Tensor:
    """Upper bound of the Euclidean norms along ``dim``."""
    return x.sqr().sum(dim).sqrt().hi


def low_rank_direct(
    deviation: Interval, w_u: Interval, centre: Tensor, split: tuple[Tensor, Tensor]
) -> Tensor:
    """``e [V, V]`` (q, m) from ``deviation [V, d]`` and ``W_U [d, V]``.

    ``centre [d]`` and ``split = (B, D)``, each ``[d, r]`` with r ≥ 0, may be any finite numbers.
    """
    size = norm_upper(w_u - Interval.exact(centre)[:, None], 0)
    b, d = split
    if b.shape[1] == 0:
        return mul_up(norm_upper(deviation, 1)[:, None], add_up(_largest_other(size), size))
    coefficients = deviation @ Interval.exact(b)
    rest = norm_upper(deviation - coefficients @ Interval.exact(d).mT, 1)
    known = coefficients @ (Interval.exact(d).mT @ w_u)
    spread = mul_up(rest[:, None], size)
    return sub_up(_largest_other(add_up(known.hi, spread)), -add_up(-known.lo, spread))
