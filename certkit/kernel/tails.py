"""The rule for tails: recompute an exponential bound on the number of failing sequences (Markov).

Let v_p = f_p·e^{−shift}. For λ ≥ 0 every sequence that fails for x has exp(λ Σ_p v_p) ≥ 1, every other one
has it above 0. So the number of failing sequences of the class is at most the sum of exp(λ Σ_p v_p) over the
class, which factorises over the positions: e^{λ v_{K−1}(q)} · (Π_p S_p − [q<m] Π_p R_p), with S_p the sum of
e^{λ v_p(t)} over the tokens t ≤ m, and R_p over t < m.
"""

from __future__ import annotations

from flint import arb, ctx, fmpz

from certkit.kernel.model import Model, attention
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import PRECISIONS
from certkit.kernel.verdict import Finding


def check_tail(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless ⌊bound⌋ ≤ failing_at_most; return the precision that was needed."""
    claimed = arb(fmpz(row.failing_at_most + 1))
    where = f"q={entry.q} m={entry.m} x={row.x}: failing_at_most={row.failing_at_most}"
    for bits in PRECISIONS:
        bound = tail_bound(model, entry, row, bits)
        if bound < claimed:
            return bits
        if bound >= claimed:
            raise Finding("refuted", "tail", where)
    raise Finding("undecided", "tail", where)


def tail_bound(model: Model, entry: Entry, row: Row, bits: int) -> arb:
    """Enclose the bound, before the floor.

    `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation:
    Π_{≤p} S − Π_{≤p} R = (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
    """
    tokens, places = model.gains(entry.q, entry.m, row.x)
    weight = attention(model, entry.q, entry.m, bits)
    ctx.prec = bits
    unit = (weight.top * weight.unit - arb(entry.shift)).exp() * arb(2) ** -model.exponent
    scaled = [place * arb(row.numbers[0]) * unit for place in weight.place]
    holding, remaining = arb(0), arb(1)
    for place, extra in zip(scaled[:-1], places[:-1], strict=True):
        powers = [(place * w * fmpz(g + extra)).exp() for w, g in zip(weight.token, tokens, strict=True)]
        below = sum(powers[:-1], arb(0))
        holding = holding * (below + powers[-1]) + remaining * powers[-1]
        remaining = remaining * below
    query = (scaled[-1] * weight.token[entry.q] * fmpz(tokens[entry.q] + places[-1])).exp()
    return query * (holding if entry.q < entry.m else holding + remaining)
