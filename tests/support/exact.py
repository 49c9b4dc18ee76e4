"""Ground truth by enumeration: the model's definition in ball arithmetic, sequence by sequence.

Nothing of the project is used: no path tables, no factorised weights, no identity. Logits are computed as
the model does, from embeddings to softmax to unembedding, in exact rationals but for the softmax.
A comparison still open at the last precision is taken as a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from flint import arb, ctx, fmpq, fmpq_mat

Weights = Mapping[str, Sequence[Sequence[float]]]

PRECISIONS = (100, 400, 2000)


def sizes(weights: Weights) -> tuple[int, int]:
    """Return (k, vocab)."""
    return len(weights["W_pos"]), len(weights["W_E"])


def _exact(rows: Sequence[Sequence[float]]) -> fmpq_mat:
    return fmpq_mat([[fmpq(*float(number).as_integer_ratio()) for number in row] for row in rows])


class Oracle:
    """Decides sequences of a tiny model."""

    def __init__(self, weights: Weights) -> None:
        self.k, self.vocab = sizes(weights)
        self.exact = {name: _exact(rows) for name, rows in weights.items()}
        self.d_head = self.exact["W_Q"].ncols()

    def correct(self, sequence: Sequence[int], answer: int | None = None) -> bool:
        """Whether the model gives the answer, by default the largest token, the strictly largest logit."""
        w, m = self.exact, max(sequence) if answer is None else answer
        residual = [
            [w["W_E"][t, j] + w["W_pos"][i, j] for j in range(w["W_E"].ncols())]
            for i, t in enumerate(sequence)
        ]
        r = fmpq_mat(residual)
        last = fmpq_mat([residual[-1]])
        scores = (last * w["W_Q"]) * (r * w["W_K"]).transpose()
        values = r * w["W_V"] * w["W_O"] * w["W_U"]
        direct = last * w["W_U"]
        for x in range(self.vocab):
            if x == m:
                continue
            base = direct[0, m] - direct[0, x]
            leads = [values[i, m] - values[i, x] for i in range(self.k)]
            if not self._positive(scores, leads, base):
                return False
        return True

    def _positive(self, scores: fmpq_mat, leads: list[fmpq], base: fmpq) -> bool:
        """Whether base + Σ softmax(scores/√h)_i · leads_i > 0."""
        for bits in PRECISIONS:
            ctx.prec = bits
            root = arb(self.d_head).sqrt()
            top = max(scores[0, i] for i in range(self.k))
            powers = [(arb(scores[0, i] - top) / root).exp() for i in range(self.k)]
            attended = sum((p * arb(v) for p, v in zip(powers, leads, strict=True)), arb(0))
            margin = arb(base) + attended / sum(powers, arb(0))
            if margin > 0:
                return True
            if margin <= 0:
                return False
        return False

    def failing(self) -> list[tuple[int, ...]]:
        """Return every misclassified sequence, in order."""
        return [s for s in product(range(self.vocab), repeat=self.k) if not self.correct(s)]


__all__ = ["Oracle", "Weights", "sizes"]
