"""Taking low-rank parts out of the score table: ``EQKE = Ã + R``, R a product of remainders.

All directions are witnesses: arbitrary vectors, not necessarily of length 1. Removing u from a matrix E
means ``E = u r + (E − u r)`` with ``r = uᵀE``, an identity for every u (and every r; `certkit.relax`
rounds r to a point and takes that same point in both places). Every product with a removed part goes into
Ã, the cross terms included: they vanish only for exact singular vectors, and the published code drops
them. With ``E_q = W_E + W_pos[K−1]`` and ``E_k = W_E + P̄``:

Two factors: ``EQKE = A B``, ``A = E_q (W_Q W_Kᵀ/√h)``, ``B = E_kᵀ``. With ``A = u r + A_r`` and
``B = s vᵀ + B_r``,

    Ã = u (r B) + (A_r s) vᵀ        R = A_r B_r.

Four factors: ``EQKE = E_q (W_Q/√h) W_Kᵀ E_kᵀ``. From E_q and from E_k two directions of R^V are removed,
the second from what the first left, from W_Q and from W_K one of R^d. Moving from the left, with a prime
for what remains,

    EQKE = (removed from E_q) W_Q W_Kᵀ E_kᵀ + E_q′ (removed from W_Q) W_Kᵀ E_kᵀ
           + E_q′ W_Q′ (removed from W_K)ᵀ E_kᵀ + E_q′ W_Q′ W_K′ᵀ (removed from E_k)ᵀ + E_q′ W_Q′ W_K′ᵀ E_k′ᵀ.

The last term is R; the others are six products of a column and a row, each made of matrix times vector.
"""

from __future__ import annotations

import abc

import attrs
import torch
from torch import Tensor

import certkit
from certkit.interval import Interval
from certkit.relax import split_directions
from proofs import paths
from proofs.model import Model
from proofs.workspace import shared


@attrs.frozen(eq=False)
class Peeled:
    """``EQKE = approx + factors[0] @ factors[1] @ …``."""

    approx: Interval
    factors: tuple[Interval, ...]


class Factoring(abc.ABC):
    """How EQKE is written as a product, and which directions are removed."""

    @abc.abstractmethod
    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """Shapes of the directions."""

    @abc.abstractmethod
    def peel(self, model: Model, directions: tuple[Tensor, ...]) -> Peeled:
        """The split for these directions, in interval arithmetic."""

    @abc.abstractmethod
    def start(self, model: Model) -> tuple[Tensor, ...]:
        """Directions to start a search from: singular vectors. Untrusted."""

    @abc.abstractmethod
    def remainder(self, model: Model, directions: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The factors of R in float64, differentiable in the directions. Untrusted."""


def remove(rows: Tensor, direction: Tensor) -> Tensor:
    """``E − u (uᵀE)`` in float64."""
    return rows - direction.unsqueeze(1) * (direction @ rows)


def left_singular(matrix: Tensor, index: int = 0) -> Tensor:
    """A left singular vector by its index; the last one where the matrix has fewer."""
    vectors: Tensor = torch.linalg.svd(matrix, full_matrices=False).U
    return vectors[:, min(index, vectors.shape[1] - 1)]


def scaled_query_weights(model: Model) -> Interval:
    """``W_Q / √h``."""
    return shared(
        model,
        ("proofs.subcubic", "scaled_query_weights"),
        lambda: Interval.exact(model.W_Q) / Interval.exact(model.d_head).sqrt(),
    )


def key_rows(model: Model) -> Interval:
    """``E_k = W_E + P̄``, ``[V, d]``."""
    return shared(
        model,
        ("proofs.subcubic", "key_rows"),
        lambda: Interval.exact(model.W_E) + paths.mean_position(model),
    )


@attrs.frozen
class TwoFactors(Factoring):
    """``A B``: one direction off the rows of A, one off the columns of B. Witness: u, v, both ``[V]``.

    Attributes:
        second: start v at the *second* right singular vector of EQKE. Since u takes the first pair out of
            the product on its own, v is then free for the second pair, and R starts at the third.
    """

    second: bool

    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """u and v."""
        return ((model.vocab,), (model.vocab,))

    def peel(self, model: Model, directions: tuple[Tensor, ...]) -> Peeled:
        """See the module."""
        left, right = self._factors(model)
        u, v = (direction.unsqueeze(0) for direction in directions)
        a, b = split_directions(left, u), split_directions(right.mT, v)
        approx = a.left * (a.right @ right) + (a.remainder @ b.right.mT) * b.left.mT
        return Peeled(approx, (a.remainder, b.remainder.mT))

    def start(self, model: Model) -> tuple[Tensor, ...]:
        """Singular vectors of EQKE."""
        left, right = self._factors(model)
        scores = left.mid() @ right.mid()
        return left_singular(scores), left_singular(scores.mT, int(self.second))

    def remainder(self, model: Model, directions: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A_r and B_r."""
        left, right = self._factors(model)
        u, v = directions
        return remove(left.mid(), u), remove(right.mid().mT, v).mT

    @staticmethod
    def _factors(model: Model) -> tuple[Interval, Interval]:
        def compute() -> tuple[Interval, Interval]:
            bilinear = scaled_query_weights(model) @ Interval.exact(model.W_K).mT
            return paths.query_rows(model) @ bilinear, key_rows(model).mT

        return shared(model, ("proofs.subcubic", "two factors"), compute)


@attrs.frozen
class FourFactors(Factoring):
    """``E_q (W_Q/√h) W_Kᵀ E_kᵀ``. Witness: q1, q2 ``[V]``, wq, wk ``[d]``, k1, k2 ``[V]``."""

    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """q1, q2, wq, wk, k1, k2."""
        token, width = (model.vocab,), (model.d_model,)
        return (token, token, width, width, token, token)

    def peel(self, model: Model, directions: tuple[Tensor, ...]) -> Peeled:
        """See the module."""
        q1, q2, wq, wk, k1, k2 = directions
        queries, w_q, w_k, keys = self._factors(model)
        q = split_directions(queries, torch.stack([q1, q2]))
        k = split_directions(keys, torch.stack([k1, k2]))
        a, b = split_directions(w_q, wq.unsqueeze(0)), split_directions(w_k, wk.unsqueeze(0))
        # What W_K and E_k give up, as columns that still have to pass W_Q' and E_q'.
        given_up = certkit.cat([b.right.mT, b.remainder.mT @ k.right.mT], 1)
        columns = certkit.cat([q.left, q.remainder @ a.left, q.remainder @ (a.remainder @ given_up)], 1)
        through_keys = certkit.cat([q.right @ w_q, a.right], 0) @ w_k.mT @ keys.mT
        rows = certkit.cat([through_keys, b.left.mT @ keys.mT, k.left.mT], 0)
        return Peeled(columns @ rows, (q.remainder, a.remainder, b.remainder.mT, k.remainder.mT))

    def start(self, model: Model) -> tuple[Tensor, ...]:
        """The first singular pair of EQKE, then of each factor what is left of it."""
        queries, w_q, w_k, keys = (factor.mid() for factor in self._factors(model))
        scores = queries @ w_q @ w_k.mT @ keys.mT
        q1, k1 = left_singular(scores), left_singular(scores.mT)
        q2, k2 = left_singular(remove(queries, q1)), left_singular(remove(keys, k1))
        return q1, q2, left_singular(w_q), left_singular(w_k), k1, k2

    def remainder(self, model: Model, directions: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """``E_q′, W_Q′, W_K′ᵀ, E_k′ᵀ``."""
        q1, q2, wq, wk, k1, k2 = directions
        queries, w_q, w_k, keys = (factor.mid() for factor in self._factors(model))
        return (
            remove(remove(queries, q1), q2),
            remove(w_q, wq),
            remove(w_k, wk).mT,
            remove(remove(keys, k1), k2).mT,
        )

    @staticmethod
    def _factors(model: Model) -> tuple[Interval, Interval, Interval, Interval]:
        weights = (scaled_query_weights(model), Interval.exact(model.W_K))
        return (paths.query_rows(model), *weights, key_rows(model))
