"""The model as exact integers, and integer enclosures of its attention weights.

For query q, key token t at position p and output x, with r = W_E[q] + W_pos[K−1] and O = W_V·W_O·W_U,

    score = (token[q][t] + place[q][p]) · unit      token = r·W_Q·(W_E[t]·W_K)ᵀ, place = r·W_Q·(W_pos[p]·W_K)ᵀ
    out   = (evou[x][t] + pvou[x][p] + eupu[x][q]) · 2^−exponent    the rows of W_E·O, W_pos·O, r·W_U, by x

where the tables are exact integers and unit = 2^−score_exponent/√d_head. The *gain* of x over m is out less
the same with m in place of x. Multiplying logit[x] − logit[m] by the positive softmax denominator shows: the
model is correct on a sequence of the class (q, m) exactly if Σ_p exp(score_p)·gain_p < 0 for every x ≠ m.
"""

from __future__ import annotations

from functools import lru_cache
from operator import add, sub

from flint import arb, ctx, fmpz, fmpz_mat

from certkit.kernel.reader import refuse
from certkit.kernel.weights import Matrix, Weights


class Model:
    """Sizes, model digest, and the exact tables above."""

    executed = False  # whether gains and weights allow for the rounding of executions

    def __init__(self, weights: Weights) -> None:
        self.sha256, w = weights.sha256, weights.matrices
        size = {name: (len(matrix.rows), len(matrix.rows[0])) for name, matrix in w.items()}
        (self.vocab, width), self.k, self.d_head = size["W_E"], size["W_pos"][0], size["W_Q"][1]
        expected = {"W_E": (self.vocab, width), "W_pos": (self.k, width), "W_U": (width, self.vocab)}
        expected |= dict.fromkeys(("W_Q", "W_K", "W_V"), (width, self.d_head))
        if size != expected | {"W_O": (self.d_head, width)}:
            refuse("model", f"the shapes of the tensors do not fit together: {size}")
        if self.k * self.vocab.bit_length() > 13_000:
            refuse("model", "more than 10^3900 sequences")
        query = queries(w)
        asked = product(query, w["W_Q"])
        keys = [turned(product(w[name], w["W_K"])) for name in ("W_E", "W_pos")]
        (self.token, self.place), self.score_exponent = align(*(product(asked, key) for key in keys))
        out = product(product(w["W_V"], w["W_O"]), w["W_U"])
        paths = product(w["W_E"], out), product(w["W_pos"], out), product(query, w["W_U"])
        (self.evou, self.pvou, self.eupu), self.exponent = align(*map(turned, paths))

    def gains(self, q: int, m: int, x: int, sign: int = 1) -> tuple[list[fmpz], list[fmpz]]:
        """Return exact lists G (by token ≤ m) and c (by position) with gain_p(t, x) = G[t] + c[p].

        Where gains are only bounded, as in executions, these are the most (`sign` 1) or the least (−1).
        """
        direct = self.eupu[x][q] - self.eupu[m][q]
        tokens = list(map(sub, self.evou[x][: m + 1], self.evou[m]))
        return tokens, [direct + a - b for a, b in zip(self.pvou[x], self.pvou[m], strict=True)]

    def doubts(self, q: int, m: int) -> tuple[list[arb], list[arb]]:
        """Return, by token ≤ m and by position, balls for what a score may be off by: nothing."""
        return [arb(0)] * (m + 1), [arb(0)] * self.k

    def score_unit(self) -> arb:
        """Return the unit of the scores, at the current precision."""
        return arb(1) / (arb(self.d_head).sqrt() * arb(2) ** self.score_exponent)


def queries(w: dict[str, Matrix]) -> Matrix:
    """Return W_E + W_pos[K−1], by query token."""
    last = Matrix([w["W_pos"].rows[-1]] * len(w["W_E"].rows), w["W_pos"].exponent)
    (embedded, positioned), exponent = align(w["W_E"], last)
    return Matrix([list(map(add, a, b)) for a, b in zip(embedded, positioned, strict=True)], exponent)


def product(a: Matrix, b: Matrix) -> Matrix:
    """Return the exact product."""
    return Matrix((fmpz_mat(a.rows) * fmpz_mat(b.rows)).tolist(), a.exponent + b.exponent)


def turned(a: Matrix) -> Matrix:
    """Return the transpose."""
    return Matrix([list(column) for column in zip(*a.rows, strict=True)], a.exponent)


def align(*matrices: Matrix) -> tuple[list[list[list[fmpz]]], int]:
    """Return the rows of all matrices over one common exponent, and that exponent."""
    exponent = max(a.exponent for a in matrices)
    return [[[n << exponent - a.exponent for n in row] for row in a.rows] for a in matrices], exponent


class Attention:
    """The attention weights of one class (q, m), up to one positive factor: ``token[t]·place[p]`` for t ≤ m.

    The factor is exp(top·unit); the balls are made at the given precision, and each is at most about 1.
    """

    def __init__(self, model: Model, q: int, m: int, bits: int) -> None:
        ctx.prec = bits  # every precision is sound; more makes the balls smaller
        self.unit = model.score_unit()
        tokens, places = model.token[q][: m + 1], model.place[q]
        self.top = max(tokens) + max(places)
        by_token, by_place = model.doubts(q, m)
        self.token = _exponentials(tokens, self.unit, by_token)
        self.place = _exponentials(places, self.unit, by_place)


def _exponentials(scores: list[fmpz], unit: arb, doubts: list[arb]) -> list[arb]:
    most = max(scores)
    return [((s - most) * unit + doubt).exp() for s, doubt in zip(scores, doubts, strict=True)]


attention = lru_cache(maxsize=16)(Attention)
