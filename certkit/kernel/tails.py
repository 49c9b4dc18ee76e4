"""The rule for tails: recompute an exponential bound on the number of failing sequences (Markov).

Let v_p = f_p·e^{−shift}. For λ ≥ 0 every sequence that fails for x has exp(λ Σ_p v_p) ≥ 1, every other one
has it above 0. So the number of failing sequences of the class is at most the sum of exp(λ Σ_p v_p) over the
class, which factorises over the positions: e^{λ v_{K−1}(q)} · (Π_p S_p − [q<m] Π_p R_p), with S_p the sum of
e^{λ v_p(t)} over the tokens t ≤ m, and R_p over t < m.

A bound is about a group X of tokens and takes multiples θ_y ≥ 0 of tokens y off, all of which are in the
groups of earlier rows. Its terms are f_p = w_p·(max_{x∈X} gain_p(x) − Σ_y θ_y·gain_p(y)). If a sequence fails
for some x in X, and for no token of an earlier row, then Σ_p f_p ≥ Σ_p w_p·gain_p(x) − Σ_y θ_y·(what is
negative) ≥ 0. Each failing sequence is counted in the first row with a token it fails for, so they add up.
"""

from __future__ import annotations

from operator import add

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


def row_gains(model: Model, entry: Entry, row: Row) -> list[list[int]]:
    """Return 64 times the gain of a row's terms, by position and token ≤ m: exact."""
    views = [model.gains(entry.q, entry.m, x) for x in (row.x, *row.others)]
    taken = [(k, *model.gains(entry.q, entry.m, y)) for y, k in row.less]
    table = []
    for p in range(model.k):
        most = [[gain + places[p] for gain in tokens] for tokens, places in views]
        gains = [64 * gain for gain in (map(max, *most) if row.others else most[0])]
        for k, tokens, places in taken:
            gains = list(map(add, gains, (-k * (gain + places[p]) for gain in tokens)))
        table.append(gains)
    return table


def row_terms(model: Model, entry: Entry, row: Row, bits: int) -> list[list[arb]]:
    """Return balls around the terms v_p(t) of a row, by position and token ≤ m."""
    table = row_gains(model, entry, row)
    weight = attention(model, entry.q, entry.m, bits)
    ctx.prec = bits
    unit = (weight.top * weight.unit - arb(entry.shift)).exp() * arb(2) ** -(model.exponent + 6)
    scaled = [place * unit for place in weight.place]
    return [
        [place * w * fmpz(gain) for w, gain in zip(weight.token, gains, strict=True)]
        for place, gains in zip(scaled, table, strict=True)
    ]


def tail_bound(model: Model, entry: Entry, row: Row, bits: int) -> arb:
    """Enclose the bound, before the floor.

    `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation:
    Π_{≤p} S − Π_{≤p} R = (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
    """
    (multiplier,) = map(arb, row.numbers)
    *table, last = row_terms(model, entry, row, bits)
    holding, remaining = arb(0), arb(1)
    for terms in table:
        *powers, at_max = [(multiplier * term).exp() for term in terms]
        below = sum(powers, arb(0))
        holding = holding * (below + at_max) + remaining * at_max
        remaining = remaining * below
    query = (multiplier * last[entry.q]).exp()
    return query * (holding if entry.q < entry.m else holding + remaining)
