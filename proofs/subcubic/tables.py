"""What every member of the family reads: output differences and position weights of one model.

All formulas of the family are written once, for a number type ``N`` that is `Interval` in verification and a
float64 tensor in the search; only the interval values prove anything. A real formula evaluated in interval
arithmetic encloses its exact value, so the upper endpoint of a margin bounds the exact margin from above.

Layout: where a formula needs every wrong token x ≠ m, the last axis has V−1 columns, column j of row m being
``x = j`` for ``j < m`` and ``x = j + 1`` after it. No entry stands for the right token, so no
infinity is needed.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs
import torch
from torch import Tensor

import certkit
from certkit.interval import Interval
from proofs import paths
from proofs.model import Model
from proofs.workspace import shared

N = TypeVar("N", Interval, Tensor)
"""An interval in verification, a float64 tensor in the search."""


def fingerprint(vectors: tuple[Tensor, ...]) -> tuple[tuple[float, ...], ...]:
    """The values of 1-d tensors as a hashable key."""
    return tuple(tuple(vector.tolist()) for vector in vectors)


def wrong_tokens(vocab: int) -> Tensor:
    """The tokens other than m, ``[V, V−1]``, row m in increasing order.

    >>> wrong_tokens(3).tolist()
    [[1, 2], [0, 2], [0, 1]]
    """
    column = torch.arange(vocab - 1)
    return column + (column >= torch.arange(vocab).unsqueeze(1)).long()


def difference_to_max(table: Interval) -> Interval:
    """``table[m, x] − table[m, m]`` for x ≠ m, ``[V, V−1]``; ``table`` is ``[V, V]`` or one row ``[V]`` for
    all m.
    """
    vocab = int(table.shape[-1])
    rows = table.expand(vocab, vocab)
    at_max = torch.arange(vocab).unsqueeze(1)
    return rows.take_along_dim(wrong_tokens(vocab), 1) - rows.take_along_dim(at_max, 1)


@attrs.frozen(eq=False)
class OutputTables(Generic[N]):
    """What attended tokens and positions add to ``logit[x] − logit[m]``.

    Attributes:
        slope: ``R_m(x) = EVOU[m,x] − EVOU[m,m]``, ``[V, V−1]``.
        slope_max: largest ``R_m(x)``, ``[V]``.
        slope_min: smallest ``R_m(x)``, ``[V]``.
        position: ``max_p (PVOU[p,x] − PVOU[p,m])``, ``[V, V−1]``: where the attention goes is pessimised
        away. spread: ``max_{k ≤ j} (max_x EVOU[k,x] − min_x EVOU[k,x])`` for each j, ``[V]``; W of the
        formulas.
    """

    slope: N
    slope_max: N
    slope_min: N
    position: N
    spread: N

    def floats(self: OutputTables[Interval]) -> OutputTables[Tensor]:
        """Midpoints, for the search."""
        return OutputTables(
            slope=self.slope.mid(),
            slope_max=self.slope_max.mid(),
            slope_min=self.slope_min.mid(),
            position=self.position.mid(),
            spread=self.spread.mid(),
        )


def _output_tables(model: Model) -> OutputTables[Interval]:
    evou, pvou = paths.evou(model), paths.pvou(model)
    slope = difference_to_max(evou)
    others = wrong_tokens(model.vocab)
    position = (pvou[:, others] - pvou.unsqueeze(-1)).amax(0)
    return OutputTables(
        slope=slope,
        slope_max=slope.amax(-1),
        slope_min=slope.amin(-1),
        position=position,
        spread=(evou.amax(-1) - evou.amin(-1)).cummax(0),
    )


def output_tables(model: Model) -> OutputTables[Interval]:
    """The output tables of ``model`` (two tokens or more); kept in the active workspace."""
    return shared(model, ("proofs.subcubic", "output_tables"), lambda: _output_tables(model))


@attrs.frozen(eq=False)
class PositionWeights(Generic[N]):
    """The extreme shares of non-max to max slots, as far as positions decide them.

    With ``w_p = exp(EQKP[q,p])`` let A be the total weight of the slots that hold m and B that of the
    others, in a sequence of the cell. The K−1 non-query slots are free to be one or the other, n of them
    not m; the query slot holds m iff q = m. The largest B/A puts the n largest weights (and the query's
    where q < m) in B and the K−1−n smallest (and the query's where q = m) in A; the smallest the other way
    round.

    Attributes:
        shares: ``[2, V, 2, K]`` (end, query, whether q < m, n): the largest B/A, where attention on m is
            least, and the smallest, where it is most. Entries with q < m and ``n = K−1`` belong to no
            cell; they repeat those with q = m.
    """

    shares: N

    def floats(self: PositionWeights[Interval]) -> PositionWeights[Tensor]:
        """Midpoints, for the search."""
        return PositionWeights(self.shares.mid())


def sorted_values(values: Interval) -> Interval:
    """Order statistics of the last axis, ascending.

    If ``lo_i ≤ x_i ≤ hi_i``, the j-th smallest x lies between the j-th smallest lo and the j-th smallest hi.
    """
    count = int(values.shape[-1])
    certkit.cost.record(comparisons=values.lo.numel() * max(0, count - 1).bit_length())
    return Interval.hull(values.lo.sort(-1).values, values.hi.sort(-1).values)


def _prefix_sums(values: Interval) -> Interval:
    """``[…, k]`` to ``[…, k+1]``: sums of the first j values, j = 0 … k."""
    sums = [Interval.exact(torch.zeros(values.shape[:-1], dtype=torch.float64))]
    for position in range(int(values.shape[-1])):
        sums.append(sums[-1] + values[..., position])
    return certkit.stack(sums, -1)


def _share_table(least: Interval, most: Interval, query: Interval) -> Interval:
    """B/A where A gets sums ``least`` and B sums ``most``; ``[V, K]`` each, by number of slots; to ``[V, 2,
    K]``.
    """
    equal = most / (least.flip(-1) + query)
    below = (most + query)[:, :-1] / least.flip(-1)[:, :-1]
    return certkit.stack([equal, certkit.cat([below, equal[:, -1:]], 1)], 1)


def _position_weights(model: Model) -> PositionWeights[Interval]:
    eqkp = paths.eqkp(model)
    # Dividing all weights of a query by one number leaves every share as it is; a point value is exact.
    weights = (eqkp - Interval.exact(eqkp.hi.amax(-1, keepdim=True))).exp()
    ascending = sorted_values(weights[:, :-1])
    smallest, largest = _prefix_sums(ascending), _prefix_sums(ascending.flip(-1))
    query = weights[:, -1:]
    ends = [_share_table(smallest, largest, query), _share_table(largest, smallest, query)]
    return PositionWeights(certkit.stack(ends))


def position_weights(model: Model) -> PositionWeights[Interval]:
    """The position weights of ``model``; kept in the active workspace."""
    return shared(model, ("proofs.subcubic", "position_weights"), lambda: _position_weights(model))


def _alone(model: Model) -> Interval:
    eqkp, pvou = paths.eqkp(model), paths.pvou(model)
    written = eqkp.softmax(-1) @ pvou
    return difference_to_max(paths.evou(model)) + difference_to_max(written)


def alone_on_max(model: Model) -> Interval:
    """What attention adds to ``logit[x] − logit[m]`` when every token is m, ``[V, V−1]``. Exact up to
    rounding.

    All tokens are equal, so EQKE shifts every score alike and the positions alone decide the weights:
    ``R_m(x) + Σ_p softmax(EQKP[m,·])_p (PVOU[p,x] − PVOU[p,m])``.
    """
    return shared(model, ("proofs.subcubic", "alone_on_max"), lambda: _alone(model))
