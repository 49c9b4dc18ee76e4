"""Search for split directions: singular vectors in plain floating point, trusted for nothing."""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from proofs.model import Model

__all__ = ["FloatParts", "float_parts", "split_for_direct", "split_for_rows", "split_of_matrix"]


@attrs.frozen(eq=False)
class FloatParts:
    """``E_q``, ``E_k`` ``[V, d]``, ``W_Q W_Kᵀ/√h`` ``[d, d]`` and ``W_U`` ``[d, V]`` in float64."""

    at_query: Tensor
    at_key: Tensor
    bilinear: Tensor
    w_u: Tensor


def float_parts(model: Model) -> FloatParts:
    """The parts of a model that splits are made for."""
    w_e, w_pos = model.W_E.double(), model.W_pos.double()
    bilinear = model.W_Q.double() @ model.W_K.double().mT / math.sqrt(model.d_head)
    return FloatParts(w_e + w_pos[-1], w_e + w_pos.mean(0), bilinear, model.W_U.double())


def _finite(split: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    left, right = (torch.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0).contiguous() for part in split)
    return left, right


def split_of_matrix(parts: FloatParts, rank: int) -> tuple[Tensor, Tensor]:
    """``(B, D)`` with ``B Dᵀ`` the best approximation of the bilinear form by a matrix of this rank."""
    u, s, vh = torch.linalg.svd(parts.bilinear)
    return _finite((u[:, :rank] * s[:rank], vh[:rank].mT))


def _weighted(rows: Tensor, spread: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """``(B, D)`` such that ``(rows B) Dᵀ`` is near ``rows`` where products with ``spread``'s rows matter."""
    width = rows.shape[1]
    scale = spread.square().mean().clamp(min=1e-30)
    gram = spread.mT @ spread / len(spread) + 1e-3 * scale * torch.eye(width, dtype=rows.dtype)
    root, info = torch.linalg.cholesky_ex(gram)
    if int(info) != 0:
        root = torch.eye(width, dtype=rows.dtype)
    _, _, vh = torch.linalg.svd(rows @ root, full_matrices=False)
    return _finite((root @ vh[:rank].mT, torch.linalg.solve_triangular(root.mT, vh[:rank].mT, upper=True)))


def split_for_rows(parts: FloatParts, rank: int) -> tuple[Tensor, Tensor]:
    """``(B, D)`` for the rows ``E_q W_Q W_Kᵀ/√h`` against the keys."""
    return _weighted(parts.at_query @ parts.bilinear, parts.at_key - parts.at_key.mean(0), rank)


def split_for_direct(parts: FloatParts, rank: int) -> tuple[Tensor, Tensor]:
    """``(B, D)`` for the query embeddings, less their mean, against the columns of ``W_U``."""
    columns = parts.w_u.mT
    return _weighted(parts.at_query - parts.at_query.mean(0), columns - columns.mean(0), rank)
