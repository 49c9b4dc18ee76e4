"""cubic: token sets for every (q, m, n), with the output token maximised separately in each path; O(V³ K).

Rests on Identity 1 with the worst wrong token taken per position. For any vector ``c`` (the witness), with

    M_p[t,x] = EVOU[t,x] + PVOU[p,x] + c[x]      D_p[t,m] = max_{x≠m} M_p[t,x] − M_p[t,m]
    U[q,m]   = max_{x≠m} (EUPU[q,x] − c[x]) − (EUPU[q,m] − c[m])

every term of Identity 1 is bounded, for all x ≠ m at once, by ``F_p(t) = w_p(q,t) · (D_p[t,m] +
U[q,m])``, because the weight is positive and ``EVOU + PVOU + EUPU = M + (EUPU − c)``. The maxima cost
O(V² K): a row needs running maxima from both ends. A cell (q, m, n, S) holds only correct sequences if

    Σ_{p<K−1} F_p(m) + F_{K−1}(q) + (sum of the n largest d_p) < 0,     d_p = max_{t∈S} F_p(t) − F_p(m),

since the left side is the largest value that a sum of one bound per position takes in the cell. Position
and token stay together in F, which is tighter than replacing PVOU by its maximum over positions, and
within the same O(V³ K).

S is found on the way: tokens are put in order of harm, running maxima of F over the prefixes of that
order bound all prefixes at once, and the longest passing prefix is taken. Two orders are tried (by the
sum over positions and by the maximum); any order is sound. n = 0 (every non-query token is m) is decided
for each x, without the split.

The published form is the special case without position in F and with ``c = 0``.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import Cell, CertifiedSet, SetContent
from certkit.interval import Interval, where
from proofs.cells import cell_from_mask, everything, largest_n, max_over_others
from proofs.execution import Tables, check_executable, tables
from proofs.model import Model
from proofs.paths import Paths
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.weights import ScaledWeights
from proofs.witness import require_tensor

_CHUNK: Final = 2**18


@attrs.frozen(eq=False)
class CubicWitness:
    """``offset [V]``: the part c of the direct path that joins the rows before they are maximised; any
    finite vector."""

    offset: Tensor


@attrs.frozen(eq=False)
class _Bounds:
    """What `verify` needs of a model: worst differences per position and token, and weights.

    Attributes:
        token: D as ``[V(t), K(p), V(m)]``.
        direct: U as ``[V(q), V(m)]``.
        reference: ``[V(q), V(m)]``, the exponent that weights of class (q, m) are divided by.
    """

    paths: Paths
    weights: ScaledWeights
    token: Interval
    direct: Interval
    reference: Tensor


def _reference(weights: ScaledWeights) -> Tensor:
    """The largest exponent in class (q, m): tokens ≤ m at non-query positions, the query at its own."""
    own = weights.exponent[:, :, -1].diagonal()[:, None]
    if weights.exponent.shape[-1] == 1:
        return own.expand(-1, own.shape[0])
    return torch.maximum(weights.exponent[:, :, :-1].amax(-1).cummax(1).values, own)


def _bounds(of: Tables, offset: Tensor) -> _Bounds:
    paths, weights = of.paths, of.weights
    rows = paths.EVOU[:, None, :] + (paths.PVOU + offset)
    direct = paths.EUPU - offset
    return _Bounds(
        paths=paths,
        weights=weights,
        token=max_over_others(rows) - rows,
        direct=max_over_others(direct) - direct,
        reference=_reference(weights),
    )


def _only_max(bounds: _Bounds, queries: Tensor) -> Tensor:
    """``[Q, V]``: for these queries and each m ≥ q, whether K−1 times m, then q, is proved correct."""
    paths, weights = bounds.paths, bounds.weights
    reference = bounds.reference[queries]
    at_max = weights[queries, :, :-1].over(reference[:, :, None])
    own = weights[queries, queries, -1][:, None].over(reference)
    bounded = torch.isfinite(at_max.hi).all(-1)
    at_max = where(bounded[:, :, None], at_max, 0.0)
    on_max = at_max.sum(-1)
    numerators = (
        on_max[:, :, None] * paths.EVOU
        + at_max @ paths.PVOU[:-1]
        + own[:, :, None] * (paths.EVOU[queries] + paths.PVOU[-1])[:, None]
        + (on_max + own)[:, :, None] * paths.EUPU[queries][:, None]
    )
    tokens = torch.arange(paths.vocab)
    lead = numerators - numerators[:, tokens, tokens][:, :, None]
    return bounded & where(torch.eye(paths.vocab, dtype=torch.bool), -1.0, lead).amax(-1).certainly_lt(0.0)


def _token_sets(harm: Tensor, base: Tensor) -> Tensor:
    """``[Q, K−1, T]`` masks: for each query and n = 1 … K−1, a set of tokens that passes.

    ``harm [Q, T, K−1]`` bounds d_p of each token from above, ``base [Q]`` the sum for n = 0. Only upper ends
    matter, so the sums are plain numbers rounded up. In any order of tokens, the worst case of a prefix is
    found from its running maxima.
    """
    order = harm.sum(-1).argsort(1)
    running = harm.take_along_dim(order[:, :, None], 1).cummax(1).values
    largest = running.sort(-1, descending=True).values
    cost.record(flops=2 * harm.numel(), comparisons=harm.numel() * (2 + harm.shape[-1].bit_length()))
    total, passing = base[:, None], []
    for n in range(harm.shape[-1]):
        total = rounding.add_up(total, largest[..., n])
        passing.append((total < 0).to(torch.int64).cumprod(1).bool())
    return torch.stack(passing, 1).take_along_dim(order.argsort(1)[:, None, :], 2)


def _entries_of(bounds: _Bounds, only_max: list[bool], m: int) -> list[SetContent]:
    """The content of the classes (0, m) … (m, m); ``only_max[q]``: the n = 0 sequence is correct."""
    k, queries = bounds.paths.n_ctx, torch.arange(m + 1)
    reference = bounds.reference[: m + 1, m]
    weights = bounds.weights[: m + 1, : m + 1, :-1].over(reference[:, None, None])
    own = bounds.weights[queries, queries, -1].over(reference)
    direct = bounds.direct[: m + 1, m]
    worst = weights * (bounds.token[: m + 1, :-1, m] + direct[:, None, None])
    at_max = worst[:, m]
    base = own * (bounds.token[: m + 1, -1, m] + direct) + at_max.sum(1)
    allowed = None
    if m > 0 and k > 1:
        allowed = _token_sets((worst[:, :m] - at_max[:, None]).hi, base.hi)
    entries = []
    for q in range(m + 1) if k > 1 else [m]:
        cells = [Cell(0, ())] if only_max[q] else []
        for n in range(1, largest_n(q, m, k) + 1):
            cell = cell_from_mask(n, allowed[q, n - 1]) if allowed is not None else None
            cells += [cell] if cell is not None else []
        if cells:
            entries.append(SetContent(q, m, tuple(cells)))
    return entries


@attrs.frozen
class Cubic:
    """The strategy ``cubic``; see the module's docstring."""

    name: str = "cubic"
    version: int = 1
    family: Family = Family.PUBLISHED
    complexity_class: ComplexityClass = ComplexityClass.CUBIC
    semantics: Semantics = Semantics.REAL
    description: str = "token sets for each (q, m, n), worst output token per path; O(V^3 K)"
    witness_type: type[CubicWitness] = CubicWitness

    def search(self, model: Model) -> CubicWitness:
        """The mean row of EUPU, in floats."""
        check_executable(model, self.semantics)
        direct = (model.W_E + model.W_pos[-1]).double() @ model.W_U.double()
        return CubicWitness(direct.mean(0))

    def verify(self, model: Model, witness: CubicWitness) -> CertifiedSet:
        """Cells for each (q, m, n), sound for any finite offset.

        Raises:
            WitnessError: the offset is not a finite float64 vector of V entries.
        """
        offset = require_tensor("offset", witness.offset, [model.vocab])
        if model.vocab == 1:
            return everything(model)
        bounds = _bounds(tables(model, self.semantics), offset)
        rows = torch.arange(model.vocab).split(max(1, _CHUNK // model.vocab**2))
        only_max = torch.cat([_only_max(bounds, queries) for queries in rows]).T.tolist()
        entries = [entry for m in range(model.vocab) for entry in _entries_of(bounds, only_max[m], m)]
        return CertifiedSet(model.n_ctx, model.vocab, tuple(sorted(entries, key=lambda e: (e.q, e.m))))

    def unexplained_dimension(self, model: Model) -> int:
        """EUPU V², PVOU K V, EQKE V², EQKP V K, EVOU V²."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (Cubic(), Cubic(semantics=Semantics.FLOAT32))
