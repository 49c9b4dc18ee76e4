"""The rule for cells and boxes: the worst case of a set, in numbers that bound each term.

For one class (q, m) and one x let f_p(t) = exp(score_p(t))·gain_p(t). A sequence *fails* for x exactly if
Σ_{p<K−1} f_p(t_p) + f_{K−1}(q) ≥ 0. The terms below are numbers above and below every f_p(t), up to one
positive factor. If no sum of the upper ones over a set reaches 0, none of its sequences fails. The largest
sum is exact but for the width of the enclosures and the upward rounding of sums; both shrink with the bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from flint import arb, ctx, fmpz

from certkit.kernel.counting import Entry, Part, Tokens, check_disjoint, read_parts, size, tokens_of
from certkit.kernel.model import Model, attention
from certkit.kernel.verdict import PRECISIONS, Finding

NEVER = arb("-inf")  # the largest sum over nothing


def enclose(
    model: Model, entry: Entry, outputs: Tokens, bits: int, sign: int = 1, only: Tokens | None = None
) -> list[list[arb]]:
    """Return balls around the largest f_p(t) of the outputs, by position and token: t ≤ m, or `only` some.

    `sign` is that of `Model.gains`.
    """
    views = [model.gains(entry.q, entry.m, x, sign) for x in outputs]
    weight = attention(model, entry.q, entry.m, bits)
    chosen = range(entry.m + 1) if only is None else only
    ctx.prec = bits
    table = []
    for p, at_place in enumerate(weight.place):
        gains = [max(tokens[t] + places[p] for tokens, places in views) for t in chosen]
        table.append([weight.token[t] * at_place * g for t, g in zip(chosen, gains, strict=True)])
    return table


class Terms:
    """Dyadics ``low[p][t] ≤ f_p(t) ≤ high[p][t]`` for one class and one x, up to one positive factor."""

    def __init__(self, model: Model, entry: Entry, x: int, bits: int) -> None:
        self._terms = model, entry, (x,), bits
        self.high = [[ball.upper() for ball in row] for row in enclose(*self._terms)]

    @cached_property
    def low(self) -> list[list[arb]]:
        """The lower bounds, which are seldom asked for."""
        return [[ball.lower() for ball in row] for row in enclose(*self._terms, sign=-1)]


def plainly_correct(model: Model, entry: Entry, x: int) -> bool:
    """Whether a quick bound shows that no sequence of the class fails for x.

    Every position gets the largest c[p], and every non-query position the best token; if q < m, the one that
    loses least by it holds m. True is a proof, False says nothing.
    """
    tokens, places = model.gains(entry.q, entry.m, x)
    weight, most = attention(model, entry.q, entry.m, PRECISIONS[0]), max(places)
    ctx.prec = PRECISIONS[0]
    values = [(w * (gain + most)).upper() for w, gain in zip(weight.token, tokens, strict=True)]
    *others, last = weight.place
    best, at_max, query = max(values), values[entry.m], values[entry.q]
    total = sum((best * place for place in others), query * last)
    if entry.q < entry.m:
        total += max(((at_max - best) * place).upper() for place in others)
    return bool(total < 0)


def open_members(view: Terms, entry: Entry, part: Part) -> Iterator[Tokens]:
    """Yield each member of a cell or box whose upper sum is not below 0, or is but for the rounding of sums.

    Positions are filled from the left. `after[i][n]` is the most that the last i positions can add if n of
    those before them hold m. Nothing but this number couples them, so it is attained: a branch is entered if
    such a member lies behind it. No branch that is entered is a dead end, so the work is proportional to the
    members found. Only terms of one sequence are ever added: a large term that is not in it costs no digits.
    """
    m, rows, count = entry.m, view.high, len(part.sets)
    sets = [tokens_of(allowed) for allowed in part.sets]
    after = [[arb(0) if part.least <= n <= part.most else NEVER for n in range(count + 1)]]
    for row, tokens in zip(rows[-2::-1], reversed(sets), strict=True):
        free = max((row[t] for t in tokens if t != m), default=NEVER)
        held = row[m] if m in tokens else NEVER
        after.append([max((free + a).upper(), (held + b).upper()) for a, b in pairwise(after[-1])])
    query = rows[-1][entry.q]
    if query + after[count][0] < 0:
        return
    ranked = [sorted(tokens, key=row.__getitem__) for row, tokens in zip(rows, sets, strict=False)]
    stack: list[tuple[Tokens, int, arb]] = [((), 0, query)]
    while stack:
        prefix, held_m, total = stack.pop()
        p = len(prefix)
        if p == count:
            yield prefix
            continue
        steps = [((*prefix, t), held_m + (t == m), total + rows[p][t]) for t in ranked[p]]
        most = [(reached + after[count - 1 - p][n]).upper() for _, n, reached in steps]
        needed = min(arb(0), max(most))  # below 0 if the rounding of sums leaves no branch: then the largest
        stack += [step for step, reach in zip(steps, most, strict=True) if not reach < needed]


def fails(model: Model, view: Terms, entry: Entry, sequence: Tokens, x: int) -> bool:
    """Whether the sequence certainly fails for x: its lower sum is not negative, or it is an exact tie.

    In a tie the gains of equal scores add up to 0, so the sum is exactly 0 whatever the exponentials are.
    (That is a tie of the reals; an execution may round it either way.)
    """
    whole = (*sequence, entry.q)
    if sum(view.low[p][t] for p, t in enumerate(whole)) >= 0:
        return True
    if model.executed:
        return False
    tokens, places = model.gains(entry.q, entry.m, x)
    by_score = defaultdict[fmpz, fmpz](fmpz)  # the sum of the gains of each score
    for p, t in enumerate(whole):
        score = model.token[entry.q][t] + model.place[entry.q][p]
        by_score[score] += tokens[t] + places[p]
    return not any(by_score.values())


def in_doubt(model: Model, view: Terms, entry: Entry, part: Part, x: int) -> bool:
    """Whether a member of a part that is no exception may fail for x; raise a `Finding` if it does."""
    members = open_members(view, entry, part)
    member = next((member for member in members if member not in part.exceptions), None)
    if member is not None and fails(model, view, entry, member, x):
        where = f"q={entry.q} m={entry.m}: x={x} is not beaten"
        raise Finding("refuted", part.name, where, (*member, entry.q))
    return member is not None


def check_token(model: Model, entry: Entry, parts: list[Part], x: int) -> int:
    """Raise a `Finding` unless no member but exceptions fails for x; return the precision that was needed.

    A part that has passed at one precision is proved, and is not looked at with more bits.
    """
    if plainly_correct(model, entry, x):
        return PRECISIONS[0]
    for bits in PRECISIONS:
        view = Terms(model, entry, x, bits)
        parts = [part for part in parts if in_doubt(model, view, entry, part, x)]
        if not parts:
            return bits
    raise Finding("undecided", parts[0].name, f"q={entry.q} m={entry.m}: {parts[0]}, x={x}")


class Sets(Entry):
    """The rule for a class that is given as cells and boxes."""

    def count(self, k: int, vocab: int) -> tuple[int, int]:
        """Return how many sequences the sets certify correct, and how many they except, if disjoint."""
        parts = read_parts(self, k)
        check_disjoint(self, parts)
        exceptions = sum(len(part.exceptions) for part in parts)
        return sum(size(part, self.m) for part in parts) - exceptions, exceptions

    def check(self, model: Model) -> int:
        """Raise a `Finding` unless all members but exceptions are correct; return the precision needed."""
        parts, others = read_parts(self, model.k), [x for x in range(model.vocab) if x != self.m]
        return max((check_token(model, self, parts, x) for x in others), default=PRECISIONS[0])


_BOX = {"positions": [[int]], "contains_max": bool, "exceptions": [[int]]}
RULES = {"sets": ({"cells": [{"n": int, "allowed": [int]}], "boxes": [_BOX]}, Sets)}
