"""How often a model is right, by floating point: references to hold bounds against, never proofs.

Everything here is evaluated in ordinary float64 with the library's own exp and products. A count made this
way (`FloatCount`) or a sample (`certkit.Estimate`) is of another type than a certificate on purpose: nothing
that asks for a proof accepts it.

`count_correct` counts *all* sequences without evaluating each. For a query q, a maximum m and a wrong token x
the sequences on which x is not beaten are those with ``Σ_p f_p(t_p, x) ≥ 0``, a sum with one term per
position. Split the K−1 non-query positions into two halves, sort the sums of one half, and look the other
half up in it: the failing sequences are listed, nothing else is visited. The union over x is taken by number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from certkit.certificate import Estimate
from proofs.model import Model

_SAMPLES_AT_ONCE: Final = 16_384
_LARGEST_HALF: Final = 2**24
"""Most sums of one half that `count_correct` will hold."""


@attrs.frozen
class FloatCount:
    """All sequences counted in float64: a reference value, not a proof.

    Attributes:
        correct: sequences on which the right token's logit is strictly largest, as float64 sees it.
        total: all sequences.
    """

    correct: int
    total: int

    @property
    def accuracy(self) -> Fraction:
        """``correct / total``."""
        return Fraction(self.correct, self.total)


@attrs.frozen
class FloatPaths:
    """The path tables in plain float64 (see `proofs.paths` for the certified ones)."""

    eqke: Tensor
    eqkp: Tensor
    evou: Tensor
    pvou: Tensor
    eupu: Tensor

    @classmethod
    def of(cls, model: Model) -> FloatPaths:
        """The tables of ``model``: EQKE [V,V], EQKP [V,K], EVOU [V,V], PVOU [K,V], EUPU [V,V]."""
        w = {name: tensor.double() for name, tensor in model.tensors().items()}
        mean_position = w["W_pos"].mean(0)
        query = w["W_E"] + w["W_pos"][-1]
        key_map = query @ w["W_Q"] @ w["W_K"].mT / math.sqrt(model.d_head)
        value_map = w["W_V"] @ w["W_O"] @ w["W_U"]
        return cls(
            eqke=key_map @ (w["W_E"] + mean_position).mT,
            eqkp=key_map @ (w["W_pos"] - mean_position).mT,
            evou=w["W_E"] @ value_map,
            pvou=w["W_pos"] @ value_map,
            eupu=query @ w["W_U"],
        )


def margins(paths: FloatPaths, tokens: Tensor) -> Tensor:
    """The true maximum's logit minus the largest other one, for ``tokens [N, K]`` (+inf where V = 1)."""
    query = tokens[:, -1]
    attention = (paths.eqke[query].gather(1, tokens) + paths.eqkp[query]).softmax(1)
    mixed = F.embedding_bag(tokens, paths.evou, per_sample_weights=attention, mode="sum")
    logits = mixed + attention @ paths.pvou + paths.eupu[query]
    target = tokens.amax(1, keepdim=True)
    right = logits.gather(1, target).squeeze(1)
    wrong = logits.scatter(1, target, -math.inf).amax(1)
    return right - wrong


def is_correct(paths: FloatPaths, tokens: Tensor) -> Tensor:
    """Whether the right token's logit is strictly largest, ``[N]`` (a tie is wrong; NaN is wrong)."""
    return margins(paths, tokens) > 0


def sampled_accuracy(
    model: Model, samples: int = 100_000, seed: int = 0, confidence: float = 0.9999
) -> Estimate:
    """The model's accuracy on ``samples`` uniform random sequences, with a confidence interval.

    >>> one = torch.ones(1, 1)
    >>> sampled_accuracy(Model(*[one] * 7), samples=10)
    Estimate(10 of 10 sampled sequences correct; 37.1447 % to 100.0000 % with 99.99 % confidence; no proof)
    """
    paths = FloatPaths.of(model)
    generator = torch.Generator().manual_seed(seed)
    correct = 0
    for start in range(0, samples, _SAMPLES_AT_ONCE):
        size = (min(_SAMPLES_AT_ONCE, samples - start), model.n_ctx)
        correct += int(is_correct(paths, torch.randint(model.vocab, size, generator=generator)).sum())
    return Estimate(correct, samples, confidence)


def can_count(vocab: int, n_ctx: int) -> bool:
    """Whether `count_correct` is feasible: the sums of half the non-query positions must fit in memory."""
    return bool(vocab ** (n_ctx // 2) <= _LARGEST_HALF)


def count_correct(model: Model) -> FloatCount:
    """The number of sequences the model gets right, in float64: all are decided, none is evaluated by itself.

    Cost: O(V³K²) bounds, then per (q, m, x) that can fail O(V^⌈(K−1)/2⌉ log V) plus the failing sequences.

    Raises:
        ValueError: the halves would not fit in memory (`can_count`); sample instead.
    """
    if not can_count(model.vocab, model.n_ctx):
        raise ValueError(
            f"V={model.vocab}, K={model.n_ctx} has too many sequences to count; use sampled_accuracy"
        )
    paths = FloatPaths.of(model)
    wrong = sum(
        failing_sequences(paths, q, m).numel() for q in range(model.vocab) for m in range(q, model.vocab)
    )
    return FloatCount(model.total - wrong, model.total)


def failing_sequences(paths: FloatPaths, q: int, m: int) -> Tensor:
    """The numbers, sorted, of the sequences with query ``q`` and maximum ``m`` that float64 sees as wrong.

    A sequence's number is ``Σ_p t_p (m+1)^p`` over the non-query positions p.
    """
    free, query = _terms(paths, q, m)
    found = [torch.empty(0, dtype=torch.int64)]
    for mask in _masks(free.shape[0], q, m):
        terms = free + mask.unsqueeze(2)
        worst = terms.amax(1).sum(0) + query
        candidates = ((worst >= 0) | worst.isnan()).nonzero()[:, 0].tolist()
        found += [_failing(terms[:, :, x], query[x], m) for x in candidates if x != m]
    numbers: Tensor = torch.cat(found).unique()
    return numbers


def _masks(n_slots: int, q: int, m: int) -> Iterator[Tensor]:
    """Additive masks ``[K−1, m+1]`` (0 allowed, −inf not) whose products partition the sequences of (q, m).

    For q = m there is one, of zeros. For q < m some position must hold m: one mask for each choice of the
    first that does.
    """
    if q == m:
        yield torch.zeros(n_slots, m + 1, dtype=torch.float64)
        return
    for first in range(n_slots):
        mask = torch.zeros(n_slots, m + 1, dtype=torch.float64)
        mask[:first, m] = -math.inf
        mask[first, :m] = -math.inf
        yield mask


def _terms(paths: FloatPaths, q: int, m: int) -> tuple[Tensor, Tensor]:
    """``f_p(q,m,t,x)`` over a positive factor: ``[K−1, m+1, V]`` free, and ``[V]`` the query's."""
    upto = slice(0, m + 1)
    score = paths.eqke[q, upto] + paths.eqkp[q].unsqueeze(1)
    weight = (score - score.max()).exp().unsqueeze(2)
    value = paths.evou[upto] - paths.evou[upto, m : m + 1]
    position = paths.pvou - paths.pvou[:, m : m + 1]
    direct = paths.eupu[q] - paths.eupu[q, m]
    terms = weight * (value + position.unsqueeze(1) + direct)
    return terms[:-1], terms[-1, q]


def _sums(terms: Tensor) -> Tensor:
    """All sums of one entry per row of ``terms [P, T]``; entry number ``Σ_p t_p T^p``."""
    result: Tensor = torch.zeros(1, dtype=terms.dtype)
    for row in terms:
        result = (row.unsqueeze(1) + result).flatten()
    return result


def _failing(terms: Tensor, query: Tensor, m: int) -> Tensor:
    """The numbers of the sequences with ``Σ_p terms[p, t_p] + query ≥ 0``, for one x."""
    split = (terms.shape[0] + 1) // 2
    low, high = _sums(terms[:split]), _sums(terms[split:]) + query
    ordered, order = low.sort()
    first = torch.searchsorted(ordered, -high)
    counts = ordered.numel() - first
    which = torch.repeat_interleave(torch.arange(high.numel()), counts)
    ends = counts.cumsum(0)
    within = torch.arange(which.numel()) - (ends - counts)[which]
    return order[first[which] + within] + which * int((m + 1) ** split)
