"""The rule for cells and boxes: the worst case of a set, in numbers that bound each term.

For one class (q, m) and one x let f_p(t) = exp(score_p(t))·gain_p(t). A sequence *fails* for x exactly if
Σ_{p<K−1} f_p(t_p) + f_{K−1}(q) ≥ 0. The terms below are numbers above and below every f_p(t), up to one
positive factor. If no sum of the upper ones over a set reaches 0, none of its sequences fails. The largest
sum is exact but for the width of the enclosures and the upward rounding of sums; both shrink with the bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NoReturn

from flint import arb, ctx, fmpz

from certkit.kernel.counting import members
from certkit.kernel.model import Model, attention
from certkit.kernel.reader import Box, Cell, Entry
from certkit.kernel.verdict import Finding

#: Working precisions in bits. Any of them is sound; more of them make the enclosures narrower.
PRECISIONS = (64, 128, 256, 512, 1024, 2048, 4096)
NEVER = arb("-inf")  # the largest sum over nothing

Tokens = tuple[int, ...]


def enclose(
    model: Model, entry: Entry, outputs: tuple[int, ...], bits: int, sign: int = 1, only: Tokens | None = None
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
        table.append([weight.token[t] * at_place * fmpz(g) for t, g in zip(chosen, gains, strict=True)])
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
    """Whether a quick bound in integers shows that no sequence of the class fails for x.

    Every position gets the largest c[p], and every non-query position the best token; if q < m, the one that
    loses least by it holds m. True is a proof, False says nothing.
    """
    tokens, places = model.gains(entry.q, entry.m, x)
    by_token, by_place = attention(model, entry.q, entry.m, PRECISIONS[0]).ends
    most = max(places)
    gains = [gain + most for gain in tokens]  # not below the gain of the token at any position
    # a positive number is largest times the high end of its weight, a negative one times the low end
    values = [g * (high if g > 0 else low) for g, (low, high) in zip(gains, by_token, strict=True)]
    best, at_max, query = (
        [value * (high if value > 0 else low) for low, high in by_place]
        for value in (max(values), values[entry.m], values[entry.q])
    )
    total = sum(best[:-1]) + query[-1]
    if entry.q < entry.m:
        total += max(held - free for held, free in zip(at_max[:-1], best[:-1], strict=True))
    return total < 0


def open_members(view: Terms, entry: Entry, part: Cell | Box) -> Iterator[Tokens]:
    """Yield each member of a cell or box whose upper sum is not below 0: a search that enters no dead end.

    Positions are filled from the left; `need` says how many of those left must hold m: exactly so many in a
    cell, at least so many in a box. `most[i][need]` is the most that the last i positions can add. Nothing
    but `need` couples them, so it is attained: a branch is entered exactly if such a member lies behind it,
    and the work is proportional to the members found. Only terms of one sequence are ever added, so a large
    term that is not in it costs no digits.
    """
    m, rows, count = entry.m, view.high, len(view.high) - 1
    exact = isinstance(part, Cell)
    if isinstance(part, Cell):
        need, sets = count - part.n, [[*members(part.allowed), m]] * count
    else:
        need, sets = int(part.contains_max), [list(members(runs)) for runs in part.positions]

    def after_m(need: int) -> int | None:
        return need - 1 if need > 0 else None if exact else 0  # None: one m too many

    most = [[arb(0)] + [NEVER] * need]
    for row, tokens in zip(rows[-2::-1], reversed(sets), strict=True):
        best = max((row[t] for t in tokens if t != m), default=NEVER)
        at_max = row[m] if tokens[-1] == m else NEVER
        held = [NEVER if (i := after_m(n)) is None else most[-1][i] for n in range(need + 1)]
        pairs = zip(most[-1], held, strict=True)
        most.append([max((best + a).upper(), (at_max + b).upper()) for a, b in pairs])
    query = rows[-1][entry.q]
    if query + most[-1][need] < 0:
        return
    ranked = [sorted(tokens, key=row.__getitem__) for row, tokens in zip(rows, sets, strict=False)]
    stack: list[tuple[Tokens, int, arb]] = [((), need, query)]
    while stack:
        prefix, need, total = stack.pop()
        if len(prefix) == count:
            yield prefix
            continue
        p = len(prefix)
        for t in ranked[p]:
            left = need if t != m else after_m(need)
            if left is not None and not total + rows[p][t] + most[count - 1 - p][left] < 0:
                stack.append(((*prefix, t), left, total + rows[p][t]))


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
    by_score: dict[int, int] = {}
    for p, t in enumerate(whole):
        score = model.token[entry.q][t] + model.place[entry.q][p]
        by_score[score] = by_score.get(score, 0) + tokens[t] + places[p]
    return not any(by_score.values())


def never_fails(model: Model, entry: Entry, x: int) -> int:
    """Check that no sequence of the class fails for x, and return the precision that was needed."""
    whole = Box(((0, entry.m),) * (model.k - 1), entry.q < entry.m, ())
    rule = SetRule(model, entry._replace(boxes=(whole,)), confirm=False)
    rule.check_token(x)
    return rule.bits


class SetRule:
    """Decides the cells and boxes of one class; with `confirm`, also that every exception fails."""

    def __init__(self, model: Model, entry: Entry, confirm: bool) -> None:
        self.model, self.entry, self.bits = model, entry, PRECISIONS[0]
        self.excepted = frozenset(e for box in entry.boxes for e in box.exceptions)  # boxes are disjoint
        self.unconfirmed = set(self.excepted) if confirm else set()
        self.doubtful: set[Tokens] = set()

    def check(self) -> None:
        """Raise a `Finding` unless every sequence of every cell and box is correct."""
        for x in range(self.model.vocab):
            if x != self.entry.m:
                self.check_token(x)
        for exception in sorted(self.unconfirmed - self.doubtful):
            self._end("refuted", "exception", f"exception {exception} is correct")
        for exception in sorted(self.unconfirmed):
            self._end("undecided", "exception", f"exception {exception} may be correct")

    def check_token(self, x: int) -> None:
        """Raise a `Finding` unless no sequence of the cells and boxes fails for x."""
        if plainly_correct(self.model, self.entry, x):
            return
        parts: list[Cell | Box] = [*self.entry.cells, *self.entry.boxes]
        for bits in PRECISIONS:
            view = Terms(self.model, self.entry, x, bits)
            self.bits = max(self.bits, bits)
            found = [(part, set(self._doubts(view, part, x))) for part in parts]
            parts = [part for part, doubts in found if doubts]
            if not parts:
                return
        for part, doubts in found:
            if doubts <= self.excepted:  # another x may confirm them
                self.doubtful |= doubts
            else:
                self._end("undecided", _rule(part), f"{part}, x={x}")

    def _doubts(self, view: Terms, part: Cell | Box, x: int) -> Iterator[Tokens]:
        """Yield exceptions still to be confirmed that may fail for x, and one certified sequence that may.

        Raise a `Finding` if a certified sequence does fail.
        """
        for sequence in open_members(view, self.entry, part):
            certified = sequence not in self.excepted
            if not certified and sequence not in self.unconfirmed:
                continue
            if not fails(self.model, view, self.entry, sequence, x):
                yield sequence
            elif certified:
                self._end("refuted", _rule(part), f"x={x} is not beaten", (*sequence, self.entry.q))
            else:
                self.unconfirmed.remove(sequence)
            if certified:
                return

    def _end(self, verdict: str, rule: str, where: str, sequence: Tokens | None = None) -> NoReturn:
        raise Finding(verdict, rule, f"q={self.entry.q} m={self.entry.m}: {where}", sequence)


def _rule(part: Cell | Box) -> str:
    return "cell" if isinstance(part, Cell) else "box"
