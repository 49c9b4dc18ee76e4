"""Running a model in binary32 the way hardware may: any order of sums, fused or not, a poor exponential.

What `certkit.exact` is for claims in the reals, this is for claims under ``float32``, from one side only:
an execution that follows the rules of those claims and gets a sequence wrong refutes a certificate that
holds it; that some executions get it right proves nothing. Every step is an IEEE operation on float32
arrays; the exponential is a rounded float64 one, then spoiled by some units in the last place.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Association", "Executor", "Order", "executors", "fused", "is_correct"]

Floats = NDArray[np.float32]

WORST_EXP_ULPS = 31
"""The rules allow 32; one is left for the rounding of the float64 exponential."""


class Order(enum.Enum):
    """How sums of products are accumulated."""

    FORWARD = enum.auto()
    SHUFFLED = enum.auto()
    PAIRWISE = enum.auto()
    FUSED = enum.auto()


class Association(enum.Enum):
    """Where the attention weights enter the value path, and what is multiplied first."""

    VALUES = enum.auto()
    """(Σ α (r W_V)) W_O W_U."""
    OUTPUTS = enum.auto()
    """Σ α ((r W_V) W_O), then W_U."""
    EMBEDDINGS = enum.auto()
    """((Σ α r) W_V) W_O W_U."""
    FOLDED = enum.auto()
    """Σ α (r (W_V W_O)), then W_U."""


def fused(x: Floats, y: Floats, z: Floats) -> Floats:
    """``x·y + z``, rounded once.

    The product of two float32 is exact in float64. The float64 sum is made odd: if it is not exact (TwoSum
    tells) and its last bit is 0, it becomes its neighbour on the side of the exact sum. With two bits to
    spare, rounding an odd number to float32 is rounding the exact one.

    >>> one, tiny = np.float32([1.0]), np.float32([2.0**-100])
    >>> fused(one, one + np.float32(2.0**-23), tiny) > one
    array([ True])
    """
    product, addend = x.astype(np.float64) * y, z.astype(np.float64)
    total = np.asarray(product + addend)
    part = total - product
    error = (product - (total - part)) + (addend - part)
    bits = total.view(np.int64)
    away = np.where((error > 0) == (total > 0), 1, -1)
    inexact = np.isfinite(error) & (error != 0) & (bits % 2 == 0)
    return np.where(inexact, bits + away, bits).view(np.float64).astype(np.float32)


@attrs.frozen
class Executor:
    """One way to execute the model; ``exp_ulps`` is the largest error of its exponential."""

    order: Order
    association: Association
    reciprocal: bool
    exp_ulps: int
    seed: int

    def _product(self, a: Floats, b: Floats) -> Floats:
        """``a [..., n] @ b [n, m]``, in the chosen order, each operation rounded to binary32."""
        n = a.shape[-1]
        order = np.arange(n)
        if self.order is Order.SHUFFLED:
            np.random.default_rng(self.seed + n).shuffle(order)
        terms = [(a[..., i, None], b[i]) for i in order]
        if self.order is Order.FUSED:
            total = np.zeros(np.broadcast_shapes(terms[0][0].shape, terms[0][1].shape), np.float32)
            for x, y in terms:
                total = fused(x, y, total)
            return total
        return self._sum([x * y for x, y in terms])

    def _sum(self, terms: list[Floats]) -> Floats:
        while len(terms) > 1 and self.order is Order.PAIRWISE:
            terms = [sum(terms[i + 1 : i + 2], terms[i]) for i in range(0, len(terms), 2)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _exp(self, x: Floats) -> Floats:
        """A good exponential, then the worst one allowed: off by ulps, subnormal results flushed."""
        rng = np.random.default_rng(self.seed)
        good = np.exp(x.astype(np.float64)).astype(np.float32)
        ulps = rng.integers(-self.exp_ulps, self.exp_ulps + 1, x.shape).astype(np.float32)
        bad = (good + ulps * np.spacing(good)).astype(np.float32)
        return np.where(good < 2.0**-126, np.float32(0.0) if self.exp_ulps else good, bad)

    def logits(self, weights: Mapping[str, Tensor], tokens: NDArray[np.int64]) -> Floats:
        """``[N, V]`` logits of ``tokens [N, K]`` by the model with these seven float32 tensors."""
        w = {name: tensor.numpy() for name, tensor in weights.items()}
        rows = w["W_E"][tokens] + w["W_pos"]
        alpha = self._softmax(self._scores(w, rows))
        mixed = self._mixed(w, rows, alpha)
        return self._product(rows[:, -1] + mixed, w["W_U"])

    def _scores(self, w: dict[str, Floats], rows: Floats) -> Floats:
        query, keys = self._product(rows[:, -1], w["W_Q"]), self._product(rows, w["W_K"])
        root = np.float32(math.sqrt(query.shape[-1]))
        dots = self._sum([query[:, None, i] * keys[..., i] for i in range(query.shape[-1])])
        return dots * (np.float32(1.0) / root) if self.reciprocal else dots / root

    def _softmax(self, scores: Floats) -> Floats:
        unnormalised = self._exp(scores - scores.max(1, keepdims=True))
        total = self._sum([unnormalised[:, p] for p in range(scores.shape[1])])[:, None]
        return unnormalised * (np.float32(1.0) / total) if self.reciprocal else unnormalised / total

    def _mixed(self, w: dict[str, Floats], rows: Floats, alpha: Floats) -> Floats:
        def mix(vectors: Floats) -> Floats:
            return self._sum([alpha[:, p, None] * vectors[:, p] for p in range(alpha.shape[1])])

        if self.association is Association.VALUES:
            return self._product(mix(self._product(rows, w["W_V"])), w["W_O"])
        if self.association is Association.OUTPUTS:
            return mix(self._product(self._product(rows, w["W_V"]), w["W_O"]))
        if self.association is Association.EMBEDDINGS:
            return self._product(self._product(mix(rows), w["W_V"]), w["W_O"])
        return mix(self._product(rows, self._product(w["W_V"], w["W_O"])))


def executors(seed: int, worst_ulps: int = WORST_EXP_ULPS) -> list[Executor]:
    """Every order with every association; exponentials from correctly rounded to poor.

    Three consecutive seeds combine each of them with each quality of the exponential.
    """
    return [
        Executor(order, association, bool((i + j) % 2), (0, 1, worst_ulps)[(i + j + seed) % 3], seed)
        for i, order in enumerate(Order)
        for j, association in enumerate(Association)
    ]


def is_correct(logits: Floats, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the largest token's logit is strictly the largest."""
    target = tokens.max(1)[:, None]
    at_max = np.take_along_axis(logits, target, 1)[:, 0]
    others = logits.copy()
    np.put_along_axis(others, target, -np.inf, 1)
    result: NDArray[np.bool_] = at_max > others.max(1)
    return result
