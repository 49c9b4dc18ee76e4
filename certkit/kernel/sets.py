"""The rule for cells and boxes: the worst case of a set, in numbers that bound each term.

For one class (q, m) and one x let f_p(t) = exp(score_p(t))·gain_p(t). A sequence *fails* for x exactly if
Σ_{p<K−1} f_p(t_p) + f_{K−1}(q) ≥ 0. The terms below are numbers above and below every f_p(t), up to one
positive factor. If no sum of the upper ones over a set reaches 0, none of its sequences fails. The largest
sum is exact but for the width of the enclosures and the upward rounding of sums; both shrink with the bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NoReturn, Protocol

from flint import arb, ctx, fmpz

from certkit.kernel.model import Model, attention, grid
from certkit.kernel.reader import Box, Cell, Entry
from certkit.kernel.verdict import Finding

#: Working precisions: the first in bits after the binary point of weights up to 1, the others in digits.
PRECISIONS = (64, 128, 256, 512, 1024, 2048, 4096)

Tokens = tuple[int, ...]
Number = int | arb  # exact: an integer, or a dyadic (a ball of radius 0)


def scaled(value: int, low: int, high: int) -> int:
    """Return the largest value·w with low ≤ w ≤ high: a positive value wants the high end."""
    return value * (high if value > 0 else low)


class Terms(Protocol):
    """Enclosures of f_p(t) for one class and one x, up to one positive factor."""

    @property
    def high(self) -> Sequence[Sequence[Number]]:
        """``high[p][t]`` is exact and not below f_p(t)."""

    def low(self, p: int, t: int) -> Number:
        """Return an exact number not above f_p(t)."""


class GridTerms:
    """Integers ``low(p, t) ≤ f_p(t)/factor ≤ high[p][t]``; both are 0 where the gain is 0."""

    def __init__(self, model: Model, entry: Entry, x: int, bits: int) -> None:
        self._model, self._where = model, (entry.q, entry.m, x)
        tokens, places = model.gains(*self._where)
        self._grid = grid(model, entry.q, entry.m, bits)
        self.high: list[list[int]] = []
        for extra, low, high in zip(places, self._grid.low, self._grid.high, strict=True):
            gains = [gain + extra for gain in tokens]  # exact
            # a positive gain is largest with the high end of its weight, a negative one with the low end
            self.high.append([g * (b if g > 0 else a) for g, a, b in zip(gains, low, high, strict=True)])

    @cached_property
    def _least(self) -> tuple[list[int], list[int]]:
        return self._model.least_gains(*self._where)

    def low(self, p: int, t: int) -> int:
        """A lower bound of one term."""
        gain = self._least[0][t] + self._least[1][p]
        return gain * (self._grid.low if gain > 0 else self._grid.high)[p][t]


class BallTerms:
    """The same in dyadics, each with `bits` significant bits: slower, at any distance between the weights."""

    def __init__(self, model: Model, entry: Entry, x: int, bits: int) -> None:
        self._least = model.least_gains(entry.q, entry.m, x)
        tokens, places = model.gains(entry.q, entry.m, x)
        self._weight = weight = attention(model, entry.q, entry.m, bits)
        ctx.prec = bits  # each ball encloses its term whatever the precision; more bits make it smaller
        balls = [
            [t * p * fmpz(gain + extra) for t, gain in zip(weight.token, tokens, strict=True)]
            for p, extra in zip(weight.place, places, strict=True)
        ]
        self.high = [[ball.upper() for ball in row] for row in balls]

    def low(self, p: int, t: int) -> arb:
        """A lower bound of one term."""
        gain = fmpz(self._least[0][t] + self._least[1][p])
        return (self._weight.token[t] * self._weight.place[p] * gain).lower()


def terms(model: Model, entry: Entry, x: int, bits: int) -> Terms:
    """Return the quick terms at the first precision, the far-reaching ones at the others."""
    return GridTerms(model, entry, x, bits) if bits == PRECISIONS[0] else BallTerms(model, entry, x, bits)


def up(number: Number) -> Number:
    """Return an exact number that is not below: sums of dyadics are rounded, and come with their error."""
    return number if isinstance(number, int) else number.upper()


def plainly_correct(model: Model, entry: Entry, x: int) -> bool:
    """Whether a quick bound shows that no sequence of the class fails for x.

    Every position gets the largest c[p], and every non-query position the best token; if q < m, the one that
    loses least by it holds m. True is a proof, False says nothing.
    """
    tokens, places = model.gains(entry.q, entry.m, x)
    weight = grid(model, entry.q, entry.m, PRECISIONS[0])
    most = max(places)
    gains = [gain + most for gain in tokens]  # not below the gain of the token at any position
    values = [g * (high if g > 0 else low) for g, (low, high) in zip(gains, weight.token, strict=True)]
    best = [scaled(max(values), *place) for place in weight.place]
    total = sum(best[:-1]) + scaled(values[entry.q], *weight.place[-1])
    if entry.q < entry.m:  # some position must hold m
        total += max(
            scaled(values[entry.m], *w) - top for w, top in zip(weight.place, best[:-1], strict=False)
        )
    return total < 0


def members(runs: Tokens) -> Iterator[int]:
    """Yield the tokens of a set."""
    for low, high in zip(runs[::2], runs[1::2], strict=True):
        yield from range(low, high + 1)


def worst_of_cell(view: Terms, entry: Entry, cell: Cell) -> tuple[Number, Tokens]:
    """Return an upper bound of every sum over a cell, and the sequence that should attain it.

    ``most[i][j]`` is the most that the first i positions add if j of them leave m, each for its best allowed
    token. Only terms of one sequence are ever added, so a large term that is not in it costs no digits.
    """
    rows, m, n = view.high[:-1], entry.m, cell.n
    tokens = list(members(cell.allowed))
    best = [max(tokens, key=row.__getitem__, default=m) for row in rows]
    most: list[list[Number]] = [[view.high[-1][entry.q]]]
    for row, t in zip(rows, best, strict=True):
        stay = [up(total + row[m]) for total in most[-1]]
        leave = [up(total + row[t]) for total in most[-1]]
        most.append([stay[0], *map(max, stay[1:], leave[:-1]), leave[-1]][: n + 1])
    sequence: Tokens = ()
    left = n
    for i in reversed(range(len(rows))):  # back along the choices that made most[-1][n]
        leaves = left > 0 and (left > i or most[i + 1][left] == up(most[i][left - 1] + rows[i][best[i]]))
        sequence, left = (best[i] if leaves else m, *sequence), left - leaves
    return most[-1][n], sequence


def worst_of_box(view: Terms, entry: Entry, box: Box) -> tuple[Number, Tokens]:
    """Return an upper bound of every sum over a box, and the sequence that should attain it.

    Every position takes its best token; if one must hold m, the one that loses least by it does. Where that
    subtraction costs digits, the bound is too high, and `open_members` has the last word.
    """
    rows, m = view.high[:-1], entry.m
    best = [max(members(runs), key=row.__getitem__) for row, runs in zip(rows, box.positions, strict=True)]
    total = sum(row[t] for row, t in zip(rows, best, strict=True)) + view.high[-1][entry.q]
    if box.contains_max:
        loss = {p: up(rows[p][m] - rows[p][best[p]]) for p, runs in enumerate(box.positions) if runs[-1] == m}
        holder = max(loss, key=loss.__getitem__)
        best[holder], total = m, total + loss[holder]
    return total, tuple(best)


def fails(model: Model, view: Terms, entry: Entry, sequence: Tokens, x: int) -> bool:
    """Whether the sequence certainly fails for x: its lower sum is not negative, or it is an exact tie.

    In a tie the gains of equal scores add up to 0, so the sum is exactly 0 whatever the exponentials are.
    (That is a tie of the reals; an execution may round it either way.)
    """
    whole = (*sequence, entry.q)
    if sum(view.low(p, t) for p, t in enumerate(whole)) >= 0:
        return True
    if model.executed:
        return False
    tokens, places = model.gains(entry.q, entry.m, x)
    by_score: dict[int, int] = {}
    for p, t in enumerate(whole):
        score = model.token[entry.q][t] + model.place[entry.q][p]
        by_score[score] = by_score.get(score, 0) + tokens[t] + places[p]
    return not any(by_score.values())


def open_members(view: Terms, entry: Entry, box: Box) -> Iterator[Tokens]:
    """Yield each member of the box whose upper sum is not below 0: a search that enters no dead end.

    Positions are filled from the left, tokens tried from the largest term down. `rest[i][held]` is the most
    that the last i positions can add, where `held` says that none of them need hold m (None: impossible). It
    is attained, so a branch is entered exactly if such a member lies behind it, and the work is proportional
    to the members found.
    """
    m, count = entry.m, len(box.positions)
    ranked: list[list[tuple[Number, int]]] = []
    rest: list[tuple[Number | None, Number]] = [(None, 0)]
    for row, runs in zip(view.high[-2::-1], reversed(box.positions), strict=True):
        ranked.append(sorted(((row[t], t) for t in members(runs)), reverse=True))
        needy, free = rest[-1]  # of the positions after this one
        best = ranked[-1][0][0]
        choices = ([best + needy] if needy is not None else []) + ([row[m] + free] if runs[-1] == m else [])
        rest.append((max(map(up, choices), default=None), up(best + free)))
    stack: list[tuple[Tokens, bool, Number]] = [((), not box.contains_max, view.high[-1][entry.q])]
    while stack:
        prefix, held, total = stack.pop()
        if len(prefix) == count:
            yield prefix
            continue
        for value, t in ranked[count - 1 - len(prefix)]:
            behind = rest[count - 1 - len(prefix)][held or t == m]  # the most that can still come
            if behind is not None and not total + value + behind < 0:
                stack.append(((*prefix, t), held or t == m, total + value))
            elif held:
                break  # the later tokens add no more (without m held, the missing m may come later)


def never_fails(model: Model, entry: Entry, x: int) -> int:
    """Check that no sequence of the class fails for x, and return the precision that was needed."""
    if plainly_correct(model, entry, x):
        return PRECISIONS[0]
    whole = Box(((0, entry.m),) * (model.k - 1), entry.q < entry.m, ())
    rule = SetRule(model, entry._replace(boxes=(whole,)), confirm=False)
    rule.check_token(x)
    return rule.bits


class SetRule:
    """Decides the cells and boxes of one class; with `confirm`, also that every exception fails."""

    def __init__(self, model: Model, entry: Entry, confirm: bool) -> None:
        self.model, self.entry, self.bits = model, entry, PRECISIONS[0]
        self.unconfirmed = {e for box in entry.boxes for e in box.exceptions} if confirm else set()

    def check(self) -> None:
        """Raise a `Finding` unless every sequence of every cell and box is correct."""
        for x in range(self.model.vocab):
            if x != self.entry.m and not plainly_correct(self.model, self.entry, x):
                self.check_token(x)
        for exception in sorted(self.unconfirmed):
            self._end("refuted", "exception", f"exception {exception} is correct")

    def check_token(self, x: int) -> None:
        """Raise a `Finding` unless no sequence of the cells and boxes fails for x."""
        cells, boxes = list(self.entry.cells), list(self.entry.boxes)
        for bits in PRECISIONS:
            view = terms(self.model, self.entry, x, bits)
            self.bits = max(self.bits, bits)
            cells = [cell for cell in cells if not self._cell_passes(view, cell, x)]
            boxes = [box for box in boxes if not self._box_passes(view, box, x)]
            if not cells and not boxes:
                return
        self._end("undecided", "cell" if cells else "box", f"{(cells + boxes)[0]}, x={x}")

    def _cell_passes(self, view: Terms, cell: Cell, x: int) -> bool:
        total, sequence = worst_of_cell(view, self.entry, cell)
        return total < 0 or self._doubt(view, "cell", sequence, x)

    def _box_passes(self, view: Terms, box: Box, x: int) -> bool:
        total, sequence = worst_of_box(view, self.entry, box)
        if total < 0:
            return True
        excepted, settled = frozenset(box.exceptions), True
        for sequence in open_members(view, self.entry, box):
            if sequence not in excepted:
                return self._doubt(view, "box", sequence, x)
            if sequence in self.unconfirmed:  # an exception that is claimed to fail
                if fails(self.model, view, self.entry, sequence, x):
                    self.unconfirmed.remove(sequence)
                else:
                    settled = False
        return settled

    def _doubt(self, view: Terms, rule: str, sequence: Tokens, x: int) -> bool:
        """A certified sequence may fail: refute if it certainly does, else ask for more bits (False)."""
        if fails(self.model, view, self.entry, sequence, x):
            self._end("refuted", rule, f"x={x} is not beaten", (*sequence, self.entry.q))
        return False

    def _end(self, verdict: str, rule: str, where: str, sequence: Tokens | None = None) -> NoReturn:
        raise Finding(verdict, rule, f"q={self.entry.q} m={self.entry.m}: {where}", sequence)
