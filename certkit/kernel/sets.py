"""The rule for cells and boxes: the exact worst case of a set, in integers that bound each term.

For one class (q, m) and one x let f_p(t) = exp(score_p(t))·gain_p(t). A sequence *fails* for x exactly if
Σ_{p<K−1} f_p(t_p) + f_{K−1}(q) ≥ 0. `Terms` holds integers above and below every f_p(t), up to one positive
factor. If the largest sum of upper integers over a set is below 0, none of its sequences fails; the largest
sums below are attained, so nothing is lost but the width of the enclosures, which shrinks with the bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from certkit.kernel.model import Attention, Model, attention
from certkit.kernel.reader import Box, Cell, Entry
from certkit.kernel.verdict import Finding

#: Working precisions: bits after the binary point of weights that are at most 1.
PRECISIONS = (64, 128, 256, 512, 1024, 2048, 4096)

Sequence = tuple[int, ...]


def scaled(value: int, low: int, high: int) -> int:
    """Return the largest value·w with low ≤ w ≤ high: a positive value wants the high end."""
    return value * (high if value > 0 else low)


class Terms(NamedTuple):
    """``low[p][t] ≤ f_p(t)/factor ≤ high[p][t]`` for t ≤ m; both are 0 where the gain is 0."""

    low: list[list[int]]
    high: list[list[int]]


def terms(model: Model, entry: Entry, x: int, bits: int) -> Terms:
    """Enclose the terms of the class for one x."""
    tokens, places = model.gains(entry.q, entry.m, x)
    weight = attention(model, entry.q, entry.m, bits)
    low, high = [], []
    for extra, w_low, w_high in zip(places, weight.low, weight.high, strict=True):
        gains = [gain + extra for gain in tokens]
        high.append([g * (b if g > 0 else a) for g, a, b in zip(gains, w_low, w_high, strict=True)])
        low.append([g * (a if g > 0 else b) for g, a, b in zip(gains, w_low, w_high, strict=True)])
    return Terms(low, high)


def plainly_correct(model: Model, entry: Entry, x: int) -> bool:
    """Whether a quick bound shows that no sequence of the class fails for x.

    Every position gets the largest c[p], and every non-query position the best token; if q < m, the one that
    loses least by it holds m. True is a proof, False says nothing.
    """
    tokens, places = model.gains(entry.q, entry.m, x)
    weight: Attention = attention(model, entry.q, entry.m, PRECISIONS[0])
    most = max(places)
    values = [scaled(gain + most, *weight.token[t]) for t, gain in enumerate(tokens)]
    best = [scaled(max(values), *place) for place in weight.place]
    total = sum(best[:-1]) + scaled(values[entry.q], *weight.place[-1])
    if entry.q < entry.m:
        total += max(
            scaled(values[entry.m], *w) - top for w, top in zip(weight.place, best[:-1], strict=False)
        )
    return total < 0


def members(runs: Sequence) -> Iterator[int]:
    """Yield the tokens of a set."""
    for low, high in zip(runs[::2], runs[1::2], strict=True):
        yield from range(low, high + 1)


def worst_of_cell(view: Terms, entry: Entry, cell: Cell) -> tuple[int, Sequence]:
    """Return the largest upper sum over a cell, and its sequence.

    Each position can leave m for its best allowed token; the n positions that gain most by it do.
    """
    rows, m = view.high[:-1], entry.m
    tokens = list(members(cell.allowed))
    best = [max(tokens, key=row.__getitem__, default=m) for row in rows]
    gain = [row[t] - row[m] for row, t in zip(rows, best, strict=True)]
    movers = set(sorted(range(len(rows)), key=gain.__getitem__)[len(rows) - cell.n :])
    sequence = tuple(best[p] if p in movers else m for p in range(len(rows)))
    return upper_sum(view, entry, sequence), sequence


def worst_of_box(view: Terms, entry: Entry, box: Box) -> tuple[int, Sequence]:
    """Return the largest upper sum over a box, and its sequence.

    Every position takes its best token; if one must hold m and none does, the one that loses least by it.
    """
    rows, m = view.high[:-1], entry.m
    best = [max(members(runs), key=row.__getitem__) for row, runs in zip(rows, box.positions, strict=True)]
    if box.contains_max and m not in best:
        holders = [p for p, runs in enumerate(box.positions) if runs[-1] == m]
        best[max(holders, key=lambda p: rows[p][m] - rows[p][best[p]])] = m
    return upper_sum(view, entry, tuple(best)), tuple(best)


def upper_sum(view: Terms, entry: Entry, sequence: Sequence) -> int:
    """Return an upper bound of the sum of one sequence."""
    return sum(row[t] for row, t in zip(view.high, (*sequence, entry.q), strict=True))


def fails(view: Terms, entry: Entry, sequence: Sequence) -> bool:
    """Whether the sequence certainly fails for x."""
    return sum(row[t] for row, t in zip(view.low, (*sequence, entry.q), strict=True)) >= 0


def open_members(view: Terms, entry: Entry, box: Box) -> Iterator[Sequence]:
    """Yield each member of the box whose upper sum is not negative: a search that enters no dead end.

    Positions are filled from the left, tokens tried from the largest term down. `rest[i][held]` is the most
    that the last i positions can add, where `held` says that none of them need hold m (None: impossible). It
    is attained, so a branch is entered exactly if such a member lies behind it, and the work is proportional
    to the members found.
    """
    m, count = entry.m, len(box.positions)
    ranked: list[list[tuple[int, int]]] = []
    rest: list[tuple[int | None, int]] = [(None, 0)]
    for row, runs in zip(view.high[-2::-1], reversed(box.positions), strict=True):
        ranked.append(sorted(((row[t], t) for t in members(runs)), reverse=True))
        needy, free = rest[-1]
        best = ranked[-1][0][0]
        choices = ([best + needy] if needy is not None else []) + ([row[m] + free] if runs[-1] == m else [])
        rest.append((max(choices, default=None), best + free))
    stack: list[tuple[Sequence, bool, int]] = [((), not box.contains_max, view.high[-1][entry.q])]
    while stack:
        prefix, held, total = stack.pop()
        if len(prefix) == count:
            yield prefix
            continue
        for value, t in ranked[count - 1 - len(prefix)]:
            behind = rest[count - 1 - len(prefix)][held or t == m]
            if behind is not None and total + value + behind >= 0:
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
            if sequence in self.unconfirmed:
                if fails(view, self.entry, sequence):
                    self.unconfirmed.remove(sequence)
                else:
                    settled = False
        return settled

    def _doubt(self, view: Terms, rule: str, sequence: Sequence, x: int) -> bool:
        """A certified sequence may fail: refute if it certainly does, else ask for more bits (False)."""
        if fails(view, self.entry, sequence):
            self._end("refuted", rule, f"x={x} is not beaten", (*sequence, self.entry.q))
        return False

    def _end(self, verdict: str, rule: str, where: str, sequence: Sequence | None = None) -> NoReturn:
        raise Finding(verdict, rule, f"q={self.entry.q} m={self.entry.m}: {where}", sequence)
