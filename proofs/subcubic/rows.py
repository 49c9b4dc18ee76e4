"""How far the residual of a low-rank split can vary within a row: the choices, and what the search minimises.

The residual is known as a product of matrices ``F₁ F₂ … F_k``. Each choice bounds ``ρ(q) ≥ R[q,i] − R[q,j]``
with the helpers of `certkit.relax`, which prove their own laws; beside it stands the same bound in plain
float64, up to rounding, as the loss that the search of directions minimises.
"""

from __future__ import annotations

import abc
import functools

import attrs
import torch
from torch import Tensor

from certkit import relax
from certkit.interval import Interval
from certkit.relax import MeanRows


class ResidualBound(abc.ABC):
    """A way to bound the row ranges of a product of two factors or more."""

    @abc.abstractmethod
    def row_range(self, factors: tuple[Interval, ...]) -> Interval:
        """ρ(q), ``[V]``: the upper end of each entry is a bound. The factors are bounded."""

    @abc.abstractmethod
    def loss(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The bound in float64, ``[V]``, differentiable. Untrusted."""

    @abc.abstractmethod
    def unexplained_dimension(self, vocab: int, width: int) -> int:
        """Parameters of the residual that the proof treats one by one."""


def _product(factors: tuple[Tensor, ...]) -> Tensor:
    return functools.reduce(torch.matmul, factors)


def _ranges(table: Tensor) -> Tensor:
    return table.amax(-1) - table.amin(-1)


@attrs.frozen
class MultipliedOut(ResidualBound):
    """The product itself, and the range of each row: exact up to rounding."""

    def row_range(self, factors: tuple[Interval, ...]) -> Interval:
        """``max_k R[q,k] − min_k R[q,k]``."""
        first, *rest = factors
        return relax.row_range(functools.reduce(lambda left, right: left @ right, rest, first))

    def loss(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The same in float64."""
        return _ranges(_product(factors))

    def unexplained_dimension(self, vocab: int, width: int) -> int:
        """``4V``."""
        return 4 * vocab


@attrs.frozen
class SpectralNorm(ResidualBound):
    """``R[q,i] − R[q,j] = R[q,·]·(e_i − e_j) ≤ √2·σ₁(R)``, with a verified upper bound on σ₁. Two factors."""

    def row_range(self, factors: tuple[Interval, ...]) -> Interval:
        """The same for every q."""
        left, right = factors
        norm = relax.product_singular_value(left, right) * Interval.exact(2).sqrt()
        return norm.expand(left.shape[0])

    def loss(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The same in float64."""
        norm: Tensor = 2.0**0.5 * torch.linalg.matrix_norm(_product(factors), 2)
        return norm.expand(factors[0].shape[0])

    def unexplained_dimension(self, vocab: int, width: int) -> int:
        """``2V``."""
        return 2 * vocab


@attrs.frozen
class MaxDiff(ResidualBound):
    """``ρ(A B)[q] ≤ Σ_j |A[q,j]| · range(B)[j]``, at the best place to split the product into A and B.

    Attributes:
        mean_row: split the mean row off A first: ``range(ā B) + Σ_j |A[q,j] − ā_j| · range(B)[j]``.
    """

    mean_row: bool

    def row_range(self, factors: tuple[Interval, ...]) -> Interval:
        """See the class."""
        return relax.row_range_split(factors, mean=self.mean_row)

    def loss(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The same in float64."""
        halves = [(_product(factors[:i]), _product(factors[i:])) for i in range(1, len(factors))]
        return functools.reduce(torch.minimum, (self._half_loss(left, right) for left, right in halves))

    def _half_loss(self, left: Tensor, right: Tensor) -> Tensor:
        if not self.mean_row:
            return left.abs() @ _ranges(right)
        centre = left.mean(0, keepdim=True)
        return _ranges(centre @ right) + (left - centre).abs() @ _ranges(right)

    def unexplained_dimension(self, vocab: int, width: int) -> int:
        """``2V + 2d``, and V for a mean row."""
        return 2 * vocab + 2 * width + (vocab if self.mean_row else 0)


@attrs.frozen
class Recursive(ResidualBound):
    """``ρ(F₁·rest) ≤ |F₁|·ρ(rest)``: no two matrices are ever multiplied.

    Attributes:
        mean_rows: the factors whose mean row is split off first.
    """

    mean_rows: MeanRows

    def row_range(self, factors: tuple[Interval, ...]) -> Interval:
        """See the class."""
        return relax.row_range_recursive(factors, self.mean_rows)

    def loss(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The same in float64."""
        bound = _ranges(factors[-1])
        for i in reversed(range(len(factors) - 1)):
            if self.mean_rows is MeanRows.NONE or (self.mean_rows is MeanRows.FIRST and i > 0):
                bound = factors[i].abs() @ bound
            else:
                centre = factors[i].mean(0, keepdim=True)
                bound = _ranges(_product((centre, *factors[i + 1 :]))) + (factors[i] - centre).abs() @ bound
        return bound

    def unexplained_dimension(self, vocab: int, width: int) -> int:
        """``2V + 2d``, and V for mean rows."""
        return 2 * vocab + 2 * width + (0 if self.mean_rows is MeanRows.NONE else vocab)
