"""The model as executed in binary32: path tables and attention weights wide enough to contain every
execution.

A ``float32`` claim is about this program, for each sequence, with ``û = 2^-24`` and ``τ = 2^-149``::

    r = W_E[t] + W_pos;  s = (r_{K−1} W_Q)·(r W_K) / √h;  α = softmax(s);  logits = (r_{K−1} + Σ_p α_p r_p
    W_V W_O) W_U

* Each ``+ − × ÷ √`` is rounded to nearest in binary32, gradual underflow on. A product may be fused with
  the addition that follows it. Sums and matrix products are added up in any order, and ``α r W_V W_O
  W_U`` is associated in any way; no TF32, no shorter formats. The scale is a division by the rounded √h
  or a product with its rounded reciprocal.
* Softmax subtracts the computed maximum, exponentiates, sums, and divides (or multiplies with the rounded
  reciprocal). The exponential of a float ≤ 0 is off by at most `EXP_ULPS` units in the last place, except
  that results below ``2^-126`` may be anything between 0 and ``2^-125``.

**Scores.** A computed score is a sum of monomials ``r_q[a] W_Q[a,b] r_p[c] W_K[c,b]``, each of which
passes through at most ``2d + h + 5`` roundings on its way (two embeddings, three contractions, three for
the scale). So ``|ŝ − s| ≤ δ = γ_{2d+h+5} Σ|r_q||W_Q||W_K||r_p| / √h`` plus underflow, whatever the order.

**Weights.** Rounding ``ŝ − max`` is a relative error ``û`` of an argument of size at most D, so the
computed exponential is ``e^{s − max}`` times a factor in ``[e^-Δ, e^Δ]`` with ``Δ = δ + û D + e/(1−e)``,
``e = 2 û EXP_ULPS``, plus at most ``2^-125``. A factor common to all positions cancels. What underflow
adds is at most ``K 2^-124`` of the largest logit, because the largest exponential is at least 1/2.

**Logits.** With α̃ the computed exponentials divided by their exact sum, a computed logit is a sum of
monomials ``α̃_p r_p[a] W_V[a,b] W_O[b,c] W_U[c,x]`` and ``r_q[c] W_U[c,x]``, each passing through at most
``2d + h + 2K + 3`` roundings (the sum of exponentials, the division, the embedding, the contractions over
d, K, h, d, the residual addition). So it differs from ``Σ_p α̃_p (EVOU + PVOU + EUPU)[x]`` by at most ``γ
Σ_p α̃_p (|W_E| + |W_pos|)|W_V||W_O||W_U|[x] + γ |r_q||W_U|[x]`` plus underflow: an error per position,
token and output.

Hence some numbers in the widened tables and weights give the computed logits up to a positive factor, and
a proof of Identity 1 that holds for *all* numbers in them holds for every such execution. Underflow
errors are bounded all together: one adds at most τ to an intermediate number, at most ``8(d+h+K+2)`` of
them act on each, and what follows amplifies it by at most the product of the absolute column sums.
Weights so large that an intermediate number could overflow are refused.

All bounds are doubled, so that an auditor who derives its own need not be as sharp as this one. Where Δ is
above `_MOST_DOUBT`, attention weights are not known up to a factor of thousands: such models are refused.
"""

from __future__ import annotations

from typing import Final

import attrs
from torch import Tensor

from certkit.interval import Interval
from certkit.linalg import gamma
from proofs.model import Model
from proofs.paths import Paths, path_tables, query_rows
from proofs.strategy import Semantics, StrategyError
from proofs.weights import ScaledWeights, attention_weights
from proofs.workspace import shared

EXP_ULPS: Final = 32
"""What is assumed of the executed exponential; libraries state between 1 and 20."""

_UNIT = 2.0**-24
_TINY = 2.0**-149
_SLACK: Final = 2
_LARGEST: Final = 2.0**100
_MOST_DOUBT: Final = 8.0


@attrs.frozen(eq=False)
class Tables:
    """What a proof computes with: all path tables and weights an execution of these semantics may have."""

    paths: Paths
    weights: ScaledWeights


def tables(model: Model, semantics: Semantics) -> Tables:
    """The tables of ``model`` under ``semantics``; kept in the workspace.

    Raises:
        StrategyError: under ``float32``, weights whose execution might overflow, or scores too large.
    """
    if semantics is Semantics.REAL:
        return Tables(path_tables(model), attention_weights(model))
    return shared(model, ("proofs.execution", "float32"), lambda: _executed(model))


def check_executable(model: Model, semantics: Semantics) -> None:
    """Refuse a model of which nothing can be said under these semantics: what a search does first.

    Raises:
        StrategyError: under ``float32``, weights whose execution might overflow, or scores too large.
    """
    if semantics is not Semantics.REAL:
        tables(model, semantics)


def _growth(roundings: int) -> Interval:
    """γ_n of binary32, doubled: ``2^29`` binary64 roundings make one of binary32."""
    return Interval.from_fraction(_SLACK * gamma(roundings * 2**29))


def _magnitude(tensor: Tensor) -> Interval:
    return Interval.exact(tensor).abs()


def _column_sum(tensor: Tensor) -> Interval:
    return _magnitude(tensor).sum(0).amax(0)


def _score_error(model: Model) -> Interval:
    """δ, ``[V, V, K]``: how far a computed score is from the real one."""
    d, h = model.d_model, model.d_head
    rows = Interval.exact(model.W_E)[:, None, :] + Interval.exact(model.W_pos)
    keys = (rows.abs() @ _magnitude(model.W_K)).reshape(-1, h)
    queries = query_rows(model).abs() @ _magnitude(model.W_Q)
    products = (queries @ keys.mT).reshape(model.vocab, model.vocab, model.n_ctx)
    largest = queries.amax((0, 1)) + keys.amax((0, 1)) + 1.0
    _check_overflow(largest.sqr() * float(h))
    underflow = largest * float(_SLACK * h * (2 * d + h + 4)) * _TINY
    return _growth(2 * d + h + 5) * products / Interval.exact(h).sqrt() + underflow


def _weights(model: Model) -> ScaledWeights:
    """Attention weights times ``[e^-Δ, e^Δ]``."""
    real, paths = attention_weights(model), path_tables(model)
    error = _score_error(model)
    score = paths.EQKE[:, :, None] + paths.EQKP[:, None, :]
    spread = (score + error).amax((1, 2), keepdim=True) - (score - error)
    relative = Interval.exact(2 * EXP_ULPS * _UNIT)
    total = error + spread * (_SLACK * _UNIT) + relative / (1.0 - relative) * float(_SLACK)
    if not bool(total.certainly_lt(_MOST_DOUBT).all()):
        raise StrategyError(
            "the scores are so large that binary32 says nothing; prove the model under semantics 'real'"
        )
    return ScaledWeights(real.significand * Interval.hull(-total.hi, total.hi).exp(), real.exponent)


def _paths(model: Model) -> Paths:
    """Path tables plus and minus the rounding of the logits."""
    real, d, h, k = path_tables(model), model.d_model, model.d_head, model.n_ctx
    w_v, w_o, w_u = (_magnitude(tensor) for tensor in (model.W_V, model.W_O, model.W_U))
    values = w_v @ (w_o @ w_u)
    tokens, positions = _magnitude(model.W_E) @ values, _magnitude(model.W_pos) @ values
    direct = query_rows(model).abs() @ w_u
    largest = _magnitude(model.W_E).amax((0, 1)) + _magnitude(model.W_pos).amax((0, 1)) + 1.0
    amplified = largest * float(d * h * k)
    for tensor in (model.W_V, model.W_O, model.W_U):
        amplified = amplified * (_column_sum(tensor) + 1.0)
    _check_overflow(amplified)
    underflow = amplified * (_SLACK * 8 * (d + h + k + 2) * _TINY)
    # Exponentials that underflow: at most 2^-125 each, beside a sum of at least 1/2, times any difference.
    flushed = (tokens.amax() + positions.amax() + direct.amax()) * (_SLACK * 4 * k * 2.0**-125)
    growth = _growth(2 * d + h + 2 * k + 3)
    return Paths(
        EQKE=real.EQKE,
        EQKP=real.EQKP,
        EVOU=_widened(real.EVOU, growth * tokens),
        PVOU=_widened(real.PVOU, growth * positions),
        EUPU=_widened(real.EUPU, growth * direct + underflow + flushed),
    )


def _widened(table: Interval, error: Interval) -> Interval:
    return table + Interval.hull(-error.hi, error.hi)


def _check_overflow(magnitude: Interval) -> None:
    if not bool(magnitude.certainly_lt(_LARGEST)):
        raise StrategyError(
            "the weights are so large that binary32 could overflow; prove the model under semantics 'real'"
        )


def _executed(model: Model) -> Tables:
    return Tables(_paths(model), _weights(model))
