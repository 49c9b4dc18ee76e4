"""The path tables of a model as intervals: five small matrices that determine every logit.

Notation: ``q`` query token, ``t`` key token, ``p`` key position, ``x`` output token, ``P̄ = mean_p
W_pos[p]``, ``E_q = W_E + W_pos[K−1]`` and ``E_k = W_E + P̄``::

    EQKE[q,t] = E_q[q] W_Q W_Kᵀ E_k[t]ᵀ / √h            EQKP[q,p] = E_q[q] W_Q W_Kᵀ (W_pos[p] − P̄)ᵀ / √h
    EVOU[t,x] = (W_E W_V W_O W_U)[t,x]                   PVOU[p,x] = (W_pos W_V W_O W_U)[p,x]
    EUPU[q,x] = (E_q W_U)[q,x]

The attention score of token t at position p under query q is ``EQKE[q,t] + EQKP[q,p]``, and the logits are
``EUPU[q] + Σ_p α_p (EVOU[t_p] + PVOU[p])`` (the folding is exact in real arithmetic;
`docs/explanation/identities.md`).

Every entry encloses the exact real value. The products are `Interval` products, whose a-priori radius is
a few hundred units in the last place of the sum of magnitudes; ``√h`` is irrational in general and is an
interval too.
"""

from __future__ import annotations

import attrs

from certkit.interval import Interval
from proofs.model import Model
from proofs.workspace import shared


@attrs.frozen(eq=False)
class Paths:
    """The five path tables of one model, float64 intervals.

    Attributes:
        EQKE: ``[V, V]`` (query, key token), 1/√h included.
        EQKP: ``[V, K]`` (query, key position), 1/√h included.
        EVOU: ``[V, V]`` (token, output).
        PVOU: ``[K, V]`` (position, output).
        EUPU: ``[V, V]`` (query, output).
    """

    EQKE: Interval
    EQKP: Interval
    EVOU: Interval
    PVOU: Interval
    EUPU: Interval

    @property
    def vocab(self) -> int:
        """V, the number of tokens."""
        return int(self.EVOU.shape[0])

    @property
    def n_ctx(self) -> int:
        """K, the sequence length."""
        return int(self.PVOU.shape[0])


def query_rows(model: Model) -> Interval:
    """``E_q = W_E + W_pos[K−1]``, ``[V, d_model]``."""
    return shared(
        model,
        ("proofs.paths", "query_rows"),
        lambda: Interval.exact(model.W_E) + Interval.exact(model.W_pos)[-1],
    )


def mean_position(model: Model) -> Interval:
    """``P̄``, the mean position embedding, ``[d_model]``."""
    return shared(model, ("proofs.paths", "mean_position"), lambda: Interval.exact(model.W_pos).mean(0))


def _query_heads(model: Model) -> Interval:
    """``E_q W_Q / √h``, ``[V, h]``."""
    return shared(
        model,
        ("proofs.paths", "query_heads"),
        lambda: query_rows(model) @ Interval.exact(model.W_Q) / Interval.exact(model.d_head).sqrt(),
    )


def _values(model: Model) -> Interval:
    """``W_V W_O W_U``, ``[d_model, V]``."""
    w_v, w_o, w_u = Interval.exact(model.W_V), Interval.exact(model.W_O), Interval.exact(model.W_U)
    return shared(model, ("proofs.paths", "values"), lambda: w_v @ (w_o @ w_u))


def eqke(model: Model) -> Interval:
    """Score of a key token, ``[V, V]`` (query, key token)."""

    def compute() -> Interval:
        keys = (Interval.exact(model.W_E) + mean_position(model)) @ Interval.exact(model.W_K)
        return _query_heads(model) @ keys.mT

    return shared(model, ("proofs.paths", "eqke"), compute)


def eqkp(model: Model) -> Interval:
    """Score of a key position, ``[V, K]`` (query, key position)."""

    def compute() -> Interval:
        keys = (Interval.exact(model.W_pos) - mean_position(model)) @ Interval.exact(model.W_K)
        return _query_heads(model) @ keys.mT

    return shared(model, ("proofs.paths", "eqkp"), compute)


def evou(model: Model) -> Interval:
    """Logits a token writes, ``[V, V]`` (token, output)."""
    return shared(model, ("proofs.paths", "evou"), lambda: Interval.exact(model.W_E) @ _values(model))


def pvou(model: Model) -> Interval:
    """Logits a position writes, ``[K, V]`` (position, output)."""
    return shared(model, ("proofs.paths", "pvou"), lambda: Interval.exact(model.W_pos) @ _values(model))


def eupu(model: Model) -> Interval:
    """Logits of the direct path, ``[V, V]`` (query, output)."""
    return shared(model, ("proofs.paths", "eupu"), lambda: query_rows(model) @ Interval.exact(model.W_U))


def path_tables(model: Model) -> Paths:
    """All five path tables of ``model``; each is kept in the active workspace.

    A proof that does without one of them (the low-rank strategies never multiply out EQKE) asks for the
    others one by one, and is charged for those alone.

    >>> import torch
    >>> two = torch.full((1, 1), 2.0)
    >>> model = Model(W_E=two, W_pos=two, W_Q=two, W_K=two, W_V=two, W_O=two, W_U=two)
    >>> path_tables(model).EUPU.contains(8.0).item()
    True
    """
    return Paths(EQKE=eqke(model), EQKP=eqkp(model), EVOU=evou(model), PVOU=pvou(model), EUPU=eupu(model))
