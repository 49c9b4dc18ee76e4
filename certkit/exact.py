"""The truth about a model: any sequence decided exactly, a tiny model completely.

Independent of the rest of `certkit`, of every strategy and of the auditor. Path tables are exact rationals;
attention weights are balls (Arb) whose precision is raised until a comparison is decided. A tie is
recognised exactly: with ``logit[x] − logit[m]`` proportional to ``Σ_p e^{a_p} g_p``, where the ``a_p`` are
algebraic (a rational over √h) and the ``g_p`` rational, the Lindemann–Weierstrass theorem says that the sum
is 0 if and only if, for each distinct ``a``, the g with that ``a`` sum to 0. So every comparison
terminates.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import flint
from flint import arb, fmpq, fmpq_mat
from torch import Tensor

__all__ = ["Truth", "truth_of"]

_START_BITS = 128


def _rational(value: float) -> fmpq:
    return fmpq(*value.as_integer_ratio())


def _matrix(tensor: Tensor) -> fmpq_mat:
    rows = tensor.double().tolist()
    return fmpq_mat(len(rows), len(rows[0]), [_rational(value) for row in rows for value in row])


def _add_row(matrix: fmpq_mat, row: Sequence[fmpq]) -> fmpq_mat:
    entries = [matrix[i, j] + row[j] for i in range(matrix.nrows()) for j in range(matrix.ncols())]
    return fmpq_mat(matrix.nrows(), matrix.ncols(), entries)


class Truth:
    """Exact path tables of a model of Max-of-K, and what it gets wrong.

    Args:
        weights: the seven tensors by name, as in a model file.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        w = {name: _matrix(tensor) for name, tensor in weights.items()}
        self.vocab, self.k, self.d_head = w["W_E"].nrows(), w["W_pos"].nrows(), w["W_Q"].ncols()
        width = w["W_E"].ncols()
        last = [w["W_pos"][self.k - 1, j] for j in range(width)]
        mean = [sum((w["W_pos"][p, j] for p in range(self.k)), fmpq(0)) / self.k for j in range(width)]
        at_query = _add_row(w["W_E"], last)
        qk = at_query * w["W_Q"] * w["W_K"].transpose()
        values = w["W_V"] * w["W_O"] * w["W_U"]
        # scores without the common factor 1/√h
        self.eqke = qk * _add_row(w["W_E"], mean).transpose()
        self.eqkp = qk * _add_row(w["W_pos"], [-value for value in mean]).transpose()
        self.evou, self.pvou = w["W_E"] * values, w["W_pos"] * values
        self.eupu = at_query * w["W_U"]
        self._weights: dict[tuple[int, int, int, int], arb] = {}
        self._differences: dict[tuple[int, int, int, int, int], fmpq] = {}

    def score(self, q: int, t: int, p: int) -> fmpq:
        """√h times the attention score of token t at position p under query q."""
        return self.eqke[q, t] + self.eqkp[q, p]

    def weight(self, q: int, t: int, p: int, bits: int) -> arb:
        """The unnormalised attention weight ``e^score``, at the current precision of at least `bits`."""
        key = (q, t, p, bits)
        if key not in self._weights:
            self._weights[key] = (arb(self.score(q, t, p)) / arb(self.d_head).sqrt()).exp()
        return self._weights[key]

    def difference(self, q: int, m: int, t: int, p: int, x: int) -> fmpq:
        """``EVOU[t,x] − EVOU[t,m] + PVOU[p,x] − PVOU[p,m] + EUPU[q,x] − EUPU[q,m]``."""
        key = (q, m, t, p, x)
        if key not in self._differences:
            tables = ((self.evou, t), (self.pvou, p), (self.eupu, q))
            self._differences[key] = sum((table[i, x] - table[i, m] for table, i in tables), fmpq(0))
        return self._differences[key]

    def sign(self, sequence: Sequence[int], x: int) -> int:
        """The sign of ``logit[x] − logit[m]`` on a sequence of K tokens (the last one is the query)."""
        q, m = sequence[-1], max(sequence)
        terms = [(q, t, p, self.difference(q, m, t, p, x)) for p, t in enumerate(sequence)]
        if all(g < 0 for *_, g in terms):
            return -1
        if self._is_tie(terms):
            return 0
        bits = _START_BITS
        while True:
            with flint.ctx.workprec(bits):
                total = sum((self.weight(q, t, p, bits) * arb(g) for q, t, p, g in terms), arb(0))
                if total > 0:
                    return 1
                if total < 0:
                    return -1
            bits *= 2

    def _is_tie(self, terms: Iterable[tuple[int, int, int, fmpq]]) -> bool:
        by_score: dict[fmpq, fmpq] = {}
        for q, t, p, g in terms:
            score = self.score(q, t, p)
            by_score[score] = by_score.get(score, fmpq(0)) + g
        return not any(by_score.values())

    def wrong_outputs(self, sequence: Sequence[int]) -> frozenset[int]:
        """The x ≠ m with ``logit[x] ≥ logit[m]``; empty exactly if the sequence is classified correctly."""
        m = max(sequence)
        return frozenset(x for x in range(self.vocab) if x != m and self.sign(sequence, x) >= 0)

    def sequences(self) -> Iterator[tuple[int, ...]]:
        """All inputs, ``vocab^k`` of them."""
        return itertools.product(range(self.vocab), repeat=self.k)

    @functools.cached_property
    def failing(self) -> Mapping[tuple[int, ...], frozenset[int]]:
        """Every sequence the model gets wrong (ties included), with the outputs that are not beaten."""
        decided = ((s, self.wrong_outputs(s)) for s in self.sequences())
        return {sequence: wrong for sequence, wrong in decided if wrong}

    @property
    def total(self) -> int:
        """The number of all sequences."""
        return int(self.vocab**self.k)

    @property
    def correct_count(self) -> int:
        """How many sequences the model gets right."""
        return self.total - len(self.failing)

    @property
    def accuracy(self) -> Fraction:
        """The exact accuracy."""
        return Fraction(self.correct_count, self.total)


_KNOWN: dict[bytes, Truth] = {}


def truth_of(weights: Mapping[str, Tensor]) -> Truth:
    """The (remembered) truth about these weights, so that many strategies share one enumeration."""
    key = b"".join(
        name.encode() + str(tuple(tensor.shape)).encode() + tensor.double().contiguous().numpy().tobytes()
        for name, tensor in sorted(weights.items())
    )
    if key not in _KNOWN:
        _KNOWN[key] = Truth(weights)
    return _KNOWN[key]
