"""The rule for tails, and what all rows share: recompute how many sequences of a class (q, m) fail.

A row is about a group X of wrong tokens. With v_p(t) = max_{x∈X} f_p(t,x)·e^{−shift}, a sequence that fails
for some x in X has Σ_p v_p(t_p) ≥ 0. For λ ≥ 0 it has exp(λ Σ_p v_p) ≥ 1, and every other one has it above 0.
So the sum of exp(λ Σ_p v_p) over the class is not below the number of those that fail. It factorises over the
positions, and a class is "all tokens ≤ m" less, if q < m, "all tokens < m".

Wrong tokens without a row must fail nowhere, by the rule for sets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from flint import arb

from certkit.kernel.counting import Part, need
from certkit.kernel.model import Model, attention
from certkit.kernel.reader import Entry, Row
from certkit.kernel.sets import PRECISIONS, check_token, enclose
from certkit.kernel.verdict import Finding


@dataclass(frozen=True)
class Kind:
    """One kind of rows: what their numbers must be, and the rule.

    The rule gives numbers (lower, upper) at a precision. They prove no more failing than upper, and no fewer
    than lower. With `inward`, the last argument, what a row could prove with exact numbers is at most lower
    and at least upper: what is beyond them is false.
    """

    check_numbers: Callable[[Entry, Row], None]
    bounds: Callable[[Model, Entry, Row, int, bool], tuple[int, arb | int]]

    def count(self, entry: Entry, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the rows leave to be correct, and how many they say fail.

        A class has (m+1)^(K−1) − [q<m]·m^(K−1) sequences. Raise a `Finding` unless the rows are about wrong
        tokens, each in one row, and claim what can be.
        """
        covered: set[int] = set()  # tokens of earlier rows
        last = -1
        for row in entry.rows:
            tokens, least, most = row.outputs, row.failing_at_least, row.failing_at_most
            rising = all(a < b for a, b in pairwise((last, *tokens, vocab)))
            new = rising and entry.m not in tokens and covered.isdisjoint(tokens)
            need(new, entry, row.about, "is m, no token, out of order or there twice")
            need(covered.issuperset(row.meet[:1]), entry, row.about, "meets no earlier row by", *row.meet)
            need(0 <= least <= most, entry, row.about, "failing between", least, most)
            self.check_numbers(entry, row)
            covered.update(tokens)
            last = tokens[-1] if entry.kind in ("tails", "counts") else -1  # bounds come in any order
        total = (entry.m + 1) ** (k - 1) - (entry.m ** (k - 1) if entry.q < entry.m else 0)
        failing = max((row.failing_at_least for row in entry.rows), default=0)
        return max(0, total - sum(row.failing_at_most for row in entry.rows)), failing

    def check(self, model: Model, entry: Entry) -> int:
        """Raise a `Finding` unless the rows say what is true; return the precision that was needed."""
        bits = [self.check_row(model, entry, row) for row in entry.rows]
        if entry.kind != "pool":  # which is about all tokens
            named = {entry.m}.union(*(row.outputs for row in entry.rows))
            bits += [never_fails(model, entry, x) for x in range(model.vocab) if x not in named]
        return max(bits, default=PRECISIONS[0])

    def check_row(self, model: Model, entry: Entry, row: Row) -> int:
        """Raise a `Finding` unless least ≤ lower and ⌊upper⌋ ≤ most; return the precision that was needed."""
        least, most = row.failing_at_least, row.failing_at_most
        claim = f"q={entry.q} m={entry.m}: {row.about} failing between {least} and {most}"
        for bits in PRECISIONS:
            lower, upper = self.bounds(model, entry, row, bits, False)
            if least <= lower and upper < most + 1:
                return bits
            lower, upper = self.bounds(model, entry, row, bits, True)
            if lower < least or upper >= most + 1:
                raise Finding("refuted", entry.kind, f"{claim}, recounted {lower} to {upper}")
        raise Finding("undecided", entry.kind, f"{claim}, with {PRECISIONS[-1]} bits")


def never_fails(model: Model, entry: Entry, x: int) -> int:
    """Check that no sequence of the class fails for x, and return the precision that was needed."""
    others = model.k - 1
    whole = Part("box", (), ((2 << entry.m) - 1,) * others, int(entry.q < entry.m), others)
    return check_token(model, entry, [whole], x)


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


def check_tail(entry: Entry, row: Row) -> None:
    """Raise a `Finding` unless the multiplier is at least 0 and the bound has at most 32 bits."""
    most, (multiplier,) = row.failing_at_most, row.numbers
    need(multiplier >= 0, entry, row.about, "a multiplier is >= 0, not", multiplier)
    digits = most.bit_length() - (most & -most).bit_length() + 1
    need(digits <= 32, entry, row.about, "more than 32 bits in", most)


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


TAILS = Kind(check_tail, tail_bounds)
