"""The truth about a tiny model: every sequence decided, exactly.

Independent of `certkit` and of the auditor. Path tables are exact rationals; the attention weights are
balls (Arb) whose precision is raised until a comparison is decided. A tie is recognised exactly: with
``logit[x] − logit[m]`` proportional to ``Σ_p e^{a_p} g_p``, where the ``a_p`` are algebraic (a rational
over √h) and the ``g_p`` rational, Lindemann–Weierstrass says that the sum is 0 if and only if, for each
distinct ``a``, the g with that ``a`` sum to 0. So every comparison terminates.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import flint
from flint import arb, fmpq, fmpq_mat

from certkit.certificate import CertifiedSet, SetContent, run_tokens
from proofs.model import Model

_START_BITS = 128


def _rational(value: float) -> fmpq:
    return fmpq(*value.as_integer_ratio())


def _matrix(rows: Sequence[Sequence[float]]) -> fmpq_mat:
    return fmpq_mat(len(rows), len(rows[0]), [_rational(value) for row in rows for value in row])


def _add_row(matrix: fmpq_mat, row: Sequence[fmpq]) -> fmpq_mat:
    return fmpq_mat(
        matrix.nrows(),
        matrix.ncols(),
        [matrix[i, j] + row[j] for i in range(matrix.nrows()) for j in range(matrix.ncols())],
    )


class Truth:
    """Exact path tables of a model, and whether each sequence is classified correctly."""

    def __init__(self, model: Model) -> None:
        self.vocab, self.k, self.d_head = model.vocab, model.n_ctx, model.d_head
        w = {name: _matrix(tensor.double().tolist()) for name, tensor in model.tensors().items()}
        last = [w["W_pos"][self.k - 1, j] for j in range(model.d_model)]
        mean = [
            sum((w["W_pos"][p, j] for p in range(self.k)), fmpq(0)) / self.k for j in range(model.d_model)
        ]
        at_query = _add_row(w["W_E"], last)
        qk = at_query * w["W_Q"] * w["W_K"].transpose()
        values = w["W_V"] * w["W_O"] * w["W_U"]
        # scores without the common factor 1/√h
        self.eqke = qk * _add_row(w["W_E"], mean).transpose()
        self.eqkp = qk * _add_row(w["W_pos"], [-value for value in mean]).transpose()
        self.evou, self.pvou = w["W_E"] * values, w["W_pos"] * values
        self.eupu = at_query * w["W_U"]
        self._exponentials: dict[tuple[fmpq, int], arb] = {}

    def score(self, q: int, t: int, p: int) -> fmpq:
        """√h times the attention score."""
        return self.eqke[q, t] + self.eqkp[q, p]

    def exponential(self, score: fmpq, bits: int) -> arb:
        """``e^(score/√h)``: an unnormalised attention weight, or a ratio of two."""
        key = (score, bits)
        if key not in self._exponentials:
            self._exponentials[key] = (arb(score) / arb(self.d_head).sqrt()).exp()
        return self._exponentials[key]

    @functools.cache  # noqa: B019 - one Truth per test
    def difference(self, q: int, m: int, t: int, p: int, x: int) -> fmpq:
        """g_p(q,m,t,x) of Identity 1."""
        return (
            self.evou[t, x]
            - self.evou[t, m]
            + self.pvou[p, x]
            - self.pvou[p, m]
            + self.eupu[q, x]
            - self.eupu[q, m]
        )

    def sign(self, sequence: Sequence[int], x: int) -> int:
        """The sign of ``logit[x] − logit[m]`` on a sequence of K tokens (the last one is the query)."""
        q, m = sequence[-1], max(sequence)
        terms = [(self.score(q, t, p), self.difference(q, m, t, p, x)) for p, t in enumerate(sequence)]
        if self._is_tie(terms):
            return 0
        largest, bits = max(score for score, _ in terms), _START_BITS
        while True:
            with flint.ctx.workprec(bits):
                total = sum((self.exponential(s - largest, bits) * arb(g) for s, g in terms), arb(0))
                if total > 0:
                    return 1
                if total < 0:
                    return -1
            bits *= 2

    def _is_tie(self, terms: Iterable[tuple[fmpq, fmpq]]) -> bool:
        by_score: dict[fmpq, fmpq] = {}
        for score, g in terms:
            by_score[score] = by_score.get(score, fmpq(0)) + g
        return not any(by_score.values())

    def correct(self, sequence: Sequence[int]) -> bool:
        """Whether ``logit[m] > logit[x]`` for every x ≠ m."""
        m = max(sequence)
        return all(self.sign(sequence, x) < 0 for x in range(self.vocab) if x != m)

    def sequences(self) -> Iterator[tuple[int, ...]]:
        """All inputs, ``vocab^k`` of them."""
        return itertools.product(range(self.vocab), repeat=self.k)

    @functools.cached_property
    def failing(self) -> frozenset[tuple[int, ...]]:
        """Every sequence the model gets wrong (ties included)."""
        return frozenset(s for s in self.sequences() if not self.correct(s))

    @property
    def correct_count(self) -> int:
        """How many sequences the model gets right."""
        return int(self.vocab**self.k) - len(self.failing)

    @property
    def accuracy(self) -> Fraction:
        """The exact accuracy."""
        return Fraction(self.correct_count, self.vocab**self.k)


def members(content: SetContent, k: int) -> Iterator[tuple[int, ...]]:
    """Every sequence (query last) that cells and boxes of one (q, m) contain, by plain enumeration."""
    q, m = content.q, content.m
    for cell in content.cells:
        allowed = set(run_tokens(cell.allowed))
        for others in itertools.product(sorted(allowed | {m}), repeat=k - 1):
            if sum(token != m for token in others) == cell.n:
                yield (*others, q)
    for box in content.boxes:
        excluded = set(box.exceptions)
        for others in itertools.product(*map(run_tokens, box.positions)):
            if others not in excluded and (not box.contains_max or m in others):
                yield (*others, q)


def check_certified(certified: CertifiedSet, truth: Truth) -> list[tuple[int, ...]]:
    """All sequences in the certified sets; asserts that each is right, in its class, and listed once."""
    found: list[tuple[int, ...]] = []
    for entry in certified.entries:
        assert isinstance(entry, SetContent)
        for sequence in members(entry, certified.k):
            assert (sequence[-1], max(sequence)) == (entry.q, entry.m), f"{sequence} in {entry}"
            assert sequence not in truth.failing, f"misclassified {sequence} certified in {entry}"
            found.append(sequence)
    assert len(found) == len(set(found)), "a sequence is certified twice"
    assert len(found) == certified.correct_at_least
    return found
