"""The rule for tails, and what all rows share: recompute how many sequences of a class (q, m) fail.

A row is about a group X of wrong tokens. With v_p(t) = max_{x∈X} f_p(t,x)·e^{−shift}, a sequence that fails
for some x in X has Σ_p v_p(t_p) ≥ 0. For λ ≥ 0 it has exp(λ Σ_p v_p) ≥ 1, and every other one has it above 0.
So the sum of exp(λ Σ_p v_p) over the class is not below the number of those that fail. It factorises over the
positions, and a class is "all tokens ≤ m" less, if q < m, "all tokens < m".
"""

from __future__ import annotations

from collections.abc import Callable

from flint import arb

from certkit.kernel.model import Model, attention
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import PRECISIONS, enclose
from certkit.kernel.verdict import Finding

#: Gives (lower, upper): a row at this precision proves no more failing than upper, no fewer than lower. With
#: `inward`, true, the row's exact numbers are at most lower and at least upper: what is beyond them is false.
Bounds = Callable[[Model, Entry, Row, int, bool], tuple[int, arb | int]]


def check_row(model: Model, entry: Entry, row: Row, rule: str, bounds: Bounds) -> int:
    """Raise a `Finding` unless least ≤ lower and ⌊upper⌋ ≤ most; return the precision that was needed."""
    least, most = row.failing_at_least, row.failing_at_most
    claim = f"q={entry.q} m={entry.m}: {row.about} failing between {least} and {most}"
    for bits in PRECISIONS:
        lower, upper = bounds(model, entry, row, bits, False)
        if least <= lower and upper < most + 1:
            return bits
        lower, upper = bounds(model, entry, row, bits, True)
        if lower < least or upper >= most + 1:
            raise Finding("refuted", rule, f"{claim}, recounted {lower} to {upper}")
    raise Finding("undecided", rule, f"{claim}, with {PRECISIONS[-1]} bits")


def row_terms(
    model: Model, entry: Entry, outputs: tuple[int, ...], bits: int, only: tuple[int, ...] | None = None
) -> list[list[arb]]:
    """Return balls around the terms v_p(t) of a group of tokens, by position and token, as `enclose` does."""
    table = enclose(model, entry, outputs, bits, only=only)
    scale = unit(model, entry, bits)
    return [[scale * term for term in terms] for terms in table]


def unit(model: Model, entry: Entry, bits: int) -> arb:
    """Return the factor of the terms of `enclose` that makes them v_p(t)."""
    weight = attention(model, entry.q, entry.m, bits)
    return (weight.top * weight.unit - arb(entry.shift)).exp() * arb(2) ** -model.exponent


def tail_bounds(model: Model, entry: Entry, row: Row, bits: int, inward: bool = False) -> tuple[int, arb]:
    """Return 0 and a ball around the bound of a tail, before the floor; `inward` changes nothing."""
    (multiplier,) = row.numbers
    *table, last = row_terms(model, entry, row.outputs, bits)
    powers = [[(multiplier * v).exp() for v in terms] for terms in table]
    return 0, class_sum(entry, powers, (multiplier * last[entry.q]).exp())


TAIL: tuple[str, Bounds] = ("tail", tail_bounds)


def class_sum(entry: Entry, powers: list[list[arb]], query: arb) -> arb:
    """Return the sum over the class of the products of its powers, by position and token, m last.

    `remaining` is Π R_p so far, and `holding` is Π S_p − Π R_p so far, without cancellation, where S_p is the
    sum over the tokens t ≤ m and R_p over t < m, namely (Π_{<p} S − Π_{<p} R)·S_p + Π_{<p} R·(S_p − R_p).
    """
    holding, remaining = arb(0), arb(1)
    for *rest, at_max in powers:
        below = sum(rest, arb(0))
        holding = holding * (below + at_max) + remaining * at_max
        remaining = remaining * below
    return query * (holding if entry.q < entry.m else holding + remaining)
