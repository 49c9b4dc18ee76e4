"""The direct path: five ways to bound what the query token itself adds to the logits.

With a point vector ``v ∈ R^d``, ``c = v W_U`` and ``dev(q) = W_E[q] + W_pos[K−1] − v`` **for that same v**,

    EUPU[q,x] − EUPU[q,m]  =  c[x] − c[m] + Σ_j dev_j(q) (W_U[j,x] − W_U[j,m])
                           ≤  c[x] − c[m] + e(q),   e(q) = Σ_j |dev_j(q)| · (max_x W_U[j,x] − min_x W_U[j,x]).

Any v is sound, so a vector may be a witness. A path without a vector puts c = 0 and takes e from the
EUPU table.
"""

from __future__ import annotations

import abc
from typing import ClassVar, Generic

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from proofs import paths
from proofs.model import Model
from proofs.subcubic.choice import Choice
from proofs.subcubic.tables import N, difference_to_max, fingerprint
from proofs.workspace import shared


@attrs.frozen(eq=False)
class DirectBound(Generic[N]):
    """``EUPU[q,x] − EUPU[q,m] ≤ offset[m,x] + error[q]`` for all q and x ≠ m.

    Attributes:
        offset: ``c[x] − c[m]``, ``[V, V−1]``, or None for c = 0.
        error: e(q), ``[V]``.
        alone: an upper bound of ``EUPU[m,x] − EUPU[m,m]``, ``[V, V−1]``: the query is the max token.
    """

    offset: N | None
    error: N
    alone: N


class DirectPath(Choice):
    """A choice for the direct path, named after ``EUPU-``."""

    exact: ClassVar[bool]
    """Whether the EUPU table is multiplied out (V²d)."""

    @abc.abstractmethod
    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        """The bound for these witness vectors, which have the stated `shapes` and finite values."""


def _row_range(table: Interval) -> Interval:
    return table.amax(-1) - table.amin(-1)


def _around(model: Model, centre: Interval | None) -> DirectBound[Interval]:
    """The bound for ``v = centre`` (point values; None is 0)."""
    queries, unembed = paths.query_rows(model), Interval.exact(model.W_U)
    deviation = queries if centre is None else queries - centre
    error = (deviation.abs() @ _row_range(unembed).unsqueeze(-1)).squeeze(-1)
    if centre is None:
        return DirectBound(None, error, error.unsqueeze(-1).expand(model.vocab, model.vocab - 1))
    offset = difference_to_max((centre.unsqueeze(0) @ unembed).squeeze(0))
    return DirectBound(offset, error, offset + error.unsqueeze(-1))


@attrs.frozen
class MeanQuery(DirectPath):
    """v is the mean of the query rows, rounded to a point."""

    name = "mean-query+max-diff"
    summary = "query rows around their mean"
    exact = False

    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        # The midpoint is one float vector near the mean; the bound is about that vector, not about the mean.
        return _around(model, Interval.exact(paths.query_rows(model).mean(0).mid()))

    def unexplained_dimension(self, model: Model) -> int:
        """``V + V·d + 2``."""
        return model.vocab + model.vocab * model.d_model + 2


@attrs.frozen
class SvdQuery(DirectPath):
    """v is the witness vector; the search proposes a multiple of the first right singular vector of the query
    rows.
    """

    name = "svd-query+max-diff"
    summary = "query rows around a witness vector"
    exact = False

    def propose(self, model: Model) -> tuple[Tensor, ...]:
        """The multiple that minimises the sum of e(q) over q: a weighted median of ratios."""
        rows = paths.query_rows(model).mid()
        direction = torch.linalg.svd(rows, full_matrices=False).Vh[0]
        spread = model.W_U.double().amax(-1) - model.W_U.double().amin(-1)
        return (_nearest_multiple(rows, direction, spread) * direction,)

    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """One vector ``[d_model]``."""
        return ((model.d_model,),)

    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        return _around(model, Interval.exact(vectors[0]))

    def unexplained_dimension(self, model: Model) -> int:
        """``V + V·d + 2``."""
        return model.vocab + model.vocab * model.d_model + 2


_FAR = 2.0**31
"""Multiples of a unit vector are proposed up to this size, within what verification accepts."""


def _nearest_multiple(rows: Tensor, direction: Tensor, spread: Tensor) -> Tensor:
    """The t that minimises ``Σ_{q,j} |rows[q,j] − t·direction[j]| · spread[j]`` (0 where direction is 0)."""
    weight = (direction.abs() * spread).expand_as(rows).reshape(-1)
    ratio = (rows / torch.where(direction == 0, 1.0, direction)).reshape(-1)
    order = ratio.argsort()
    passed = weight[order].cumsum(0)
    found = ratio[order][torch.searchsorted(passed, passed[-1] / 2).clamp(max=len(order) - 1)]
    return found.clamp(-_FAR, _FAR)  # where only noise in the direction has weight, any multiple will do


@attrs.frozen
class MaxDiff(DirectPath):
    """v = 0: the whole row is deviation."""

    name = "max-diff"
    summary = "query rows by size"
    exact = False

    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        return _around(model, None)

    def unexplained_dimension(self, model: Model) -> int:
        """``V·d + 2``."""
        return model.vocab * model.d_model + 2


@attrs.frozen
class MaxDiffExact(DirectPath):
    """c = 0, ``e(q) = max_x EUPU[q,x] − min_x EUPU[q,x]``."""

    name = "max-diff-exact"
    summary = "query logits by row range"
    exact = True

    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        table = paths.eupu(model)
        return DirectBound(None, _row_range(table), difference_to_max(table))

    def unexplained_dimension(self, model: Model) -> int:
        """``2V``."""
        return 2 * model.vocab


@attrs.frozen
class GlobalMaxDiffExact(DirectPath):
    """c = 0, e the same for all q: ``max EUPU − min EUPU`` over the whole table."""

    name = "global-max-diff-exact"
    summary = "query logits by overall range"
    exact = True

    def bound(self, model: Model, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
        table = paths.eupu(model)
        spread = table.reshape(1, -1).amax(-1) - table.reshape(1, -1).amin(-1)
        return DirectBound(None, spread.expand(model.vocab), difference_to_max(table))

    def unexplained_dimension(self, model: Model) -> int:
        """The least and the largest entry."""
        return 2


DIRECT_PATHS: tuple[DirectPath, ...] = (
    GlobalMaxDiffExact(),
    MaxDiffExact(),
    MeanQuery(),
    SvdQuery(),
    MaxDiff(),
)


def direct_bound(model: Model, path: DirectPath, vectors: tuple[Tensor, ...]) -> DirectBound[Interval]:
    """``path.bound``, kept in the active workspace."""
    key = ("proofs.subcubic", "direct", path.name, fingerprint(vectors))
    return shared(model, key, lambda: path.bound(model, vectors))
