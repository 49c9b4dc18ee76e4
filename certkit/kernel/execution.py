"""The model as executed in binary32: the rounding that the auditor allows for, derived here and nowhere else.

Write u = 2^−24. For each number v that an execution computes, v̂ is its value there and v its exact value.
We keep |v̂ − v| ≤ γ(n)·v⁺ with γ(n) = (1 + u)^n − 1: v⁺ is the formula of v with |a| + PAD, PAD = 2^−25, for
every weight a, and n counts. A sum costs one (sums never underflow). A product adds both counts and two more:
|fl(âb̂) − âb̂| ≤ u|âb̂| + 2^−150, and 2^−150 ≤ u·(ab)⁺, which has at most five padded factors. Fused, it costs
no more. So a matrix product with n inner terms costs n + 1, whatever the order.

**Scores.** W_E[t] + W_pos[p] costs 1, times W_Q or W_K d + 1, their product h + 1; 1/√h counts 2 (a root and
1/(1−u) ≤ (1+u)²) or 3 (its rounded reciprocal), times it 2. So |ŝ_p − s_p| ≤ ε_p = γ(2(d + 2) + h + 6)·s_p⁺.

**Exponentials.** Subtracting max ŝ is off by at most u·D_p, where D_p = max (s + ε) − (s_p − ε_p) over all
tokens ≤ m and positions. An exponential off by 32 ulps is off by a factor in exp(±65u); below 2^−126 it may
be off by 2^−125 instead. Without the latter it is ẽ_p = exp(s_p − max ŝ)·exp(±Δ_p), Δ_p = ε_p + u·D_p + 66u.
The largest is at least 1/2. Let α̃_p = ẽ_p/Σẽ and α⁺ = α̃ + PAD. What is below 2^−126 changes it by less than
u·α⁺; summing and dividing (or the reciprocal) give a factor of at most (1 + u)^(2K), or its underflow, again
less than u·α⁺. So α̂ counts 2K + 2.

**Logits.** The count of α̂, 1 for r, the contractions over K, d, h and d, 1 for the residual. With the rows
B_p = r_p⁺·W_V⁺·W_O⁺·W_U⁺ and Q = r_q⁺·W_U⁺, a logit is off by at most γ(n)·(Q + Σ_p (α̃_p + PAD)·B_p), and as
Σ α̃_p = 1, by Σ_p α̃_p·err_p with err_p = γ(n)·(Q + B_p + K·PAD·max B).

**Rule.** Every execution is correct on a sequence if Σ_p α̃_p·(gain_p + err_p[x] + err_p[m]) < 0 for all
x ≠ m, and every one is wrong if for some x the same with − err is ≥ 0 (a tie is wrong).
Up to a common factor, α̃_p is in exp(s_p ± Δ_p). Score, ε, Δ, gain and err are each a term of the token plus
one of the position, so this is the rule for the reals, with wider balls and larger gains.
"""

from __future__ import annotations

from flint import arb, fmpz

from certkit.kernel.model import Model, align, product, queries, turned
from certkit.kernel.reader import refuse
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import Matrix, Weights

PAD_BITS = 25
MAX_ROUNDINGS = 1 << 16  # (1 + u)^n < 2, with a wide margin
MAX_REACH = 1 << 100
MAX_DOUBT = 1 << 30


class Execution(Model):
    """Tables for all executions: the largest and the least gains, and balls ±Δ as doubts."""

    executed = True

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        w = {name: _padded(matrix) for name, matrix in weights.matrices.items()}
        d, h, k = len(w["W_U"].rows), self.d_head, self.k
        score = 2 * (1 + d + 1) + (h + 1) + (3 + 2)
        logit = (2 * k + 2) + 1 + (k + 1) + (d + 1) + (h + 1) + (d + 1) + 1
        if max(score, logit) > MAX_ROUNDINGS or _reach(weights, max(d, h)) > MAX_REACH:
            refuse("float32", "weights so many or so large that binary32 could overflow")
        asked, out = product(queries(w), w["W_Q"]), product(product(w["W_V"], w["W_O"]), w["W_U"])
        keys = [turned(product(w[name], w["W_K"])) for name in ("W_E", "W_pos")]
        errors = [_grown(product(asked, key), score) for key in keys]
        exact = [Matrix(rows, self.score_exponent) for rows in (self.token, self.place)]
        tables, self.score_exponent = align(*exact, *errors)
        self.token, self.place, self.token_error, self.place_error = tables
        paths = product(w["W_E"], out), product(w["W_pos"], out), product(queries(w), w["W_U"])
        errors = [_grown(turned(path), logit) for path in paths]
        exact = [Matrix(rows, self.exponent) for rows in (self.evou, self.pvou, self.eupu)]
        tables, self.exponent = align(*exact, *errors)
        self.evou, self.pvou, self.eupu, self.evou_error, self.pvou_error, direct = tables
        both = zip(self.evou_error, self.pvou_error, strict=True)
        spread = [(k * (max(a) + max(b)) >> PAD_BITS) + 1 for a, b in both]  # K·PAD·γ·max B, by x
        self.eupu_error = [[v + more for v in row] for row, more in zip(direct, spread, strict=True)]

    def gains(self, q: int, m: int, x: int, sign: int = 1) -> tuple[list[fmpz], list[fmpz]]:
        """Return G and c with gain_p(t, x) + sign·(err_p[x] + err_p[m]) = G[t] + c[p]."""
        tokens, places = super().gains(q, m, x)
        by_token = zip(tokens, self.evou_error[x][: m + 1], self.evou_error[m][: m + 1], strict=True)
        by_place = zip(places, self.pvou_error[x], self.pvou_error[m], strict=True)
        direct = self.eupu_error[x][q] + self.eupu_error[m][q]
        at_places = [c + sign * (a + b + direct) for c, a, b in by_place]
        return [g + sign * (a + b) for g, a, b in by_token], at_places

    def doubts(self, q: int, m: int) -> tuple[list[arb], list[arb]]:
        """Return balls around 0 by token ≤ m and by position, whose sums contain ±Δ_p."""
        tokens = self._balls(self.token[q][: m + 1], self.token_error[q][: m + 1])
        return tokens, self._balls(self.place[q], self.place_error[q])

    def _balls(self, scores: list[fmpz], errors: list[fmpz]) -> list[arb]:
        most = max(scores) + max(errors)
        radii = [(error << 24) + error + most - score for score, error in zip(scores, errors, strict=True)]
        balls = [(radius * self.score_unit() + 33) * arb(2) ** -24 for radius in radii]  # 33 + 33 = 66
        if not all(ball < MAX_DOUBT for ball in balls):
            raise Finding("undecided", "float32", "the scores are so large that binary32 says nothing")
        return [arb(0, ball) for ball in balls]


def _padded(a: Matrix) -> Matrix:
    """Return |a| + PAD, exactly."""
    exponent = max(a.exponent, PAD_BITS)
    pad, shift = 1 << exponent - PAD_BITS, exponent - a.exponent
    return Matrix([[(abs(n) << shift) + pad for n in row] for row in a.rows], exponent)


def _grown(a: Matrix, n: int) -> Matrix:
    """Return a·(nu + n²u²) ≥ a·γ(n), exactly: γ(n) ≤ e^(nu) − 1, and e^y − 1 ≤ y + y² for 0 ≤ y ≤ 1."""
    return Matrix([[v * n * ((1 << 24) + n) for v in row] for row in a.rows], a.exponent + 48)


def _reach(weights: Weights, side: int) -> fmpz:
    """Bound all numbers of an execution up to a factor of 8: sums of products, with W_E and W_pos twice."""
    reach = fmpz(1)
    for name, (rows, exponent) in weights.matrices.items():
        # at least 1, with room for the terms of a sum
        size = (2 * side * max(abs(n) for row in rows for n in row) >> exponent) + 1
        reach *= size * size if name in ("W_E", "W_pos") else size
    return reach
