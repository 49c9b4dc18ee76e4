"""Bounds of the attention scores that do not multiply out the V × V table.

A score may be shifted by anything that depends on the query alone, because the weights of one query have a
common factor. With ``A = W_Q W_Kᵀ/√h`` the token score is ``E_q A E_kᵀ``. All matrices and vectors below are
witnesses: any finite numbers are sound.

* `low_rank_scores`: ``a = E_q A`` is computed (V d²) and split, ``a = (a B) Dᵀ + r``. Then ``a·e_t =
  (aB)(Dᵀe_t) + r·k̄ + r·(e_t − k̄)``; the second term depends on the query alone, the third is at most
  ``|r_q| |e_t − k̄|``.
* `quadratic_scores`: no product of V × d with d × d is formed. ``A = B Dᵀ + A′`` and
  ``e_q A′ e_t = q̄ A′ e_t + (e_q − q̄) A′ k̄ + (e_q − q̄) A′ (e_t − k̄)``; the second term depends on the
  query alone, the third is at most ``|e_q − q̄| σ₁(A′) |e_t − k̄|``, where ``σ₁(A′)⁴ ≤ |A′ᵀA′|_F²``.
"""

from __future__ import annotations

from torch import Tensor

from certkit.interval import Interval
from proofs.model import Model
from proofs.separable.counted import mul_up
from proofs.separable.direct import norm_upper

__all__ = ["low_rank_scores", "quadratic_scores"]

Split = tuple[Tensor, Tensor]


def _embeddings(model: Model) -> tuple[Interval, Interval, Interval]:
    """``E_q [V, d]``, ``E_k [V, d]`` and the positions less their mean, ``[K, d]``."""
    w_e, w_pos = Interval.exact(model.W_E), Interval.exact(model.W_pos)
    mean = w_pos.mean(0)
    return w_e + w_pos[-1], w_e + mean, w_pos - mean


def _bilinear(model: Model) -> Interval:
    """``W_Q W_Kᵀ/√h``, ``[d, d]``."""
    root = Interval.exact(model.d_head).sqrt()
    return (Interval.exact(model.W_Q) / root) @ Interval.exact(model.W_K).mT


def _blurred(scores: Interval, query_size: Tensor, key_size: Tensor) -> Interval:
    """``scores [V, V] ± query_size [V] · key_size [V]``."""
    radius = mul_up(query_size[:, None], key_size)
    return scores + Interval.hull(-radius, radius)


def low_rank_scores(model: Model, split: Split, key_centre: Tensor) -> tuple[Interval, Interval]:
    """Token scores ``[V, V]`` up to a shift for each query, and position scores ``[V, K]``."""
    at_query, at_key, positions = _embeddings(model)
    b, d = Interval.exact(split[0]), Interval.exact(split[1])
    a = at_query @ _bilinear(model)
    coefficients = a @ b
    rest = a - coefficients @ d.mT
    known = coefficients @ (at_key @ d).mT
    scores = _blurred(known, norm_upper(rest, 1), norm_upper(at_key - Interval.exact(key_centre), 1))
    return scores, a @ positions.mT


def quadratic_scores(
    model: Model, split: Split, query_centre: Tensor, key_centre: Tensor
) -> tuple[Interval, Interval]:
    """Token scores ``[V, V]`` up to a shift for each query, and position scores ``[V, K]``."""
    at_query, at_key, positions = _embeddings(model)
    b, d = Interval.exact(split[0]), Interval.exact(split[1])
    bilinear = _bilinear(model)
    rest = bilinear - b @ d.mT
    known = (at_query @ b) @ (at_key @ d).mT + at_key @ (rest.mT @ Interval.exact(query_centre))
    largest = (rest.mT @ rest).sqr().sum().sqrt().sqrt().hi
    query_size = mul_up(norm_upper(at_query - Interval.exact(query_centre), 1), largest)
    scores = _blurred(known, query_size, norm_upper(at_key - Interval.exact(key_centre), 1))
    return scores, at_query @ (bilinear @ positions.mT)
