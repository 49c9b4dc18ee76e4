"""The search for open members, against all members one by one; and what it must not spend."""

from __future__ import annotations

import builtins
import math
import random
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from flint import arb, ctx, fmpq

from certkit.kernel import bins, sets
from certkit.kernel.counting import Entry, Part, read_parts
from certkit.kernel.model import Model
from certkit.kernel.sets import Terms, open_members, plainly_correct
from certkit.kernel.verdict import Finding
from tests.kernel.test_pieces import _part, _sequences, flat, slanted
from tests.support.rows import Box, Cell, Row, decide, never_fails, recount, rule


def varied(rng: random.Random, vocab: int, k: int) -> Model:
    """Equal scores, and small integers that differ by token, by position and by query."""
    model = flat([[0] * vocab for _ in range(vocab)], k)
    model.evou = [[rng.randint(-4, 3) for _ in range(vocab)] for _ in range(vocab)]
    model.pvou = [[rng.randint(-2, 2) for _ in range(k)] for _ in range(vocab)]
    model.eupu = [[rng.randint(-1, 1) for _ in range(vocab)] for _ in range(vocab)]
    return model


def part_of(entry: Entry, part: Cell | Box, k: int) -> Part:
    """A cell or box as the rule sees it."""
    sets = ((part,), ()) if isinstance(part, Cell) else ((), (part,))
    (read,) = read_parts(rule(entry.q, entry.m, "sets", *sets), k)
    return read


def _sum(model: Model, entry: Entry, sequence: tuple[int, ...], x: int) -> int:
    tokens, places = model.gains(entry.q, entry.m, x)
    return sum(tokens[t] + places[p] for p, t in enumerate((*sequence, entry.q)))


@pytest.mark.parametrize("seed", range(8))
def test_exactly_the_open_members_are_found_without_a_dead_end(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, lengths = random.Random(seed), [0]
    sorts: list[int] = []

    def counted(value: Any) -> int:
        lengths[0] += type(value) is tuple
        return builtins.len(value)

    def noted(*arguments: Any, **named: Any) -> Any:
        sorts.append(1)
        return builtins.sorted(*arguments, **named)

    monkeypatch.setattr(sets, "len", counted, raising=False)
    monkeypatch.setattr(sets, "sorted", noted, raising=False)
    some = none = 0
    for _ in range(60):
        m, others = rng.randint(1, 4), rng.randint(1, 3)
        q = rng.randint(0, m)
        model, entry = varied(rng, m + 1, others + 1), rule(q, m, "sets")
        drawn = _part(rng, q, m, others)
        members = _sequences(drawn, m, others)
        if not members:  # which is no box
            continue
        part = part_of(entry, drawn, others + 1)
        wanted = {s for s in members if _sum(model, entry, s, 0) >= 0}
        view = Terms(model, entry, 0, 64)
        lengths[0] = 0
        sorts.clear()
        found = list(open_members(view, entry, part))
        assert len(found) == len(set(found))
        assert set(found) == wanted
        # each prefix of a member found, itself included, is looked at once
        prefixes = {s[:i] for s in wanted for i in range(others + 1)}
        assert lengths[0] == bool(wanted) * len(prefixes) + 1
        assert bool(sorts) == bool(wanted)
        if wanted and isinstance(drawn, Box) and not drawn.contains_max:
            assert _sum(model, entry, found[0], 0) == max(_sum(model, entry, s, 0) for s in wanted)
        some, none = some + bool(wanted), none + (not wanted)
    assert min(some, none) > 5


@pytest.mark.parametrize("large", [1, 2])
def test_sums_that_lose_digits_are_rounded_up(large: int) -> None:
    """2^100 + 1 − 2^100 is not below 0, though 64 bits do not hold the first sum; token 2 is m."""
    for first, second in ((large, 3 - large), (3 - large, large)):
        gain = {large: 2**100, 3 - large: 1}
        model = flat([[0, 0, 0]] * 3)
        model.evou = [[-(2**100), gain[1], gain[2]], [0] * 3, [0] * 3]
        entry = rule(0, 2, "sets")
        model.eupu = [[0] * 3] * 3
        view = Terms(model, entry, 0, 64)
        box = Box(((first, first), (second, second)), False, ())
        assert list(open_members(view, entry, part_of(entry, box, 3))) == [(first, second)]
        assert decide(model, rule(0, 2, "sets", (), (box,)), False).finding is not None
    cell = Cell(1, (1, 1))
    assert set(open_members(view, entry, part_of(entry, cell, 3))) == {(1, 2), (2, 1)}


def test_a_branch_that_only_rounding_leaves_open_is_entered_beside_a_larger_one() -> None:
    """2^100 + 2 − 2^100, with 64 bits a ball about 0, beside a member that has far more, and is excepted."""
    model = flat([[0] * 4] * 4, k=4)
    model.evou = [[2**100, 1, 2**90, -(2**100)], [-(2**104)] * 4, [-(2**104)] * 4, [0] * 4]
    model.eupu = [[0] * 4] * 4
    box = Box(((1, 1), (1, 2), (3, 3)), False, ((1, 2, 3),))
    found = decide(model, rule(0, 3, "sets", (), (box,)), False).finding
    assert found is not None
    assert (found.verdict, found.counterexample) == ("refuted", (1, 1, 3, 0))


def test_a_certified_sequence_behind_exceptions_is_found() -> None:
    """All others have larger sums and are excepted."""
    model = flat([[1, -9, 0], [2, -9, 0], [9, -9, 0]])
    listed = tuple((a, b) for a in range(3) for b in range(3) if (a, b) != (0, 0))
    entry = rule(2, 2, "sets", (), (Box(((0, 2), (0, 2)), False, listed),))
    for confirm in (False, True):
        found = decide(model, entry, confirm).finding
        assert found is not None
        assert (found.verdict, found.counterexample) == ("refuted", (0, 0, 2))


def test_a_tie_is_refuted_at_the_first_precision() -> None:
    model = slanted([[0, 0, 0], [-1, -9, 0], [1, -9, 0]], [0, 3, 2], [0, 1, 5])
    model.eupu = [[0] * 3] * 3
    entry = rule(0, 2, "sets", (), (Box(((1, 1), (2, 2)), False, ()),))
    outcome = decide(model, entry, False)
    assert outcome.finding is not None
    assert (outcome.finding.verdict, outcome.finding.counterexample) == ("refuted", (1, 2, 0))
    listed = rule(0, 2, "sets", (), (Box(((1, 1), (2, 2)), False, ((1, 2),)),))
    assert decide(model, listed, True).finding is None


def _upper(number: int, ends: tuple[int, int]) -> int:
    """The largest product of a number and a factor between the ends."""
    return max(number * end for end in ends)


def _balls(ends: list[tuple[int, int]]) -> list[arb]:
    return [arb(low + high, high - low) / 2 for low, high in ends]


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_bound_takes_the_end_of_each_weight_that_is_worse(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, answers = random.Random(seed), set()
    for _ in range(400):
        m, others = rng.randint(1, 3), rng.randint(1, 3)
        q = rng.randint(0, m)
        model, asked = varied(rng, m + 1, others + 1), []
        tokens, places = model.gains(q, m, 0)
        by_token = [(low, low + rng.randint(0, 2)) for low in (rng.randint(1, 3) for _ in range(m + 1))]
        by_place = [(low, low + rng.randint(0, 2)) for low in (rng.randint(1, 3) for _ in range(others + 1))]

        def weights(*arguments: Any, given: Any = (by_token, by_place), asked: list[Any] = asked) -> Any:
            asked.append(arguments)
            return SimpleNamespace(token=_balls(given[0]), place=_balls(given[1]))

        monkeypatch.setattr(sets, "attention", weights)
        values = [_upper(gain + max(places), ends) for gain, ends in zip(tokens, by_token, strict=True)]
        *before, last = by_place
        best = sum(_upper(max(values), ends) for ends in before) + _upper(values[q], last)
        if q < m:
            best += max(_upper(values[m] - max(values), ends) for ends in before)
        assert plainly_correct(model, rule(q, m, "sets"), 0) == (best < 0)
        assert asked == [(model, q, m, 64)]
        answers.add((q < m, best < 0))
    assert len(answers) == 4


def test_a_missing_row_is_about_the_whole_class() -> None:
    """With q = m no other m is needed: here only the sequence without one fails."""
    model = flat([[30, -99, 0], [-99, -99, 0], [-20, -99, 0]])
    model.eupu = [[0] * 3] * 3
    with pytest.raises(Finding) as caught:
        never_fails(model, rule(2, 2, "tails"), 0)
    assert caught.value.counterexample == (0, 0, 2)
    assert never_fails(model, rule(1, 2, "tails"), 0) == 64


@pytest.mark.parametrize("seed", range(4))
def test_sequences_are_counted_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, rooms = random.Random(seed), set()
    monkeypatch.setattr(bins, "MAX_BINS", 12)
    for _ in range(300):
        m, others = rng.randint(0, 3), rng.randint(1, 3)
        q = rng.randint(0, m)
        rows = [[rng.randint(-4, 4) for _ in range(m + 1)] for _ in range(others)]
        room = rng.randint(-2, 13)
        need = sum(map(max, rows)) - room
        every = [s for s in product(range(m + 1), repeat=others) if q == m or m in s]
        wanted = sum(sum(row[t] for row, t in zip(rows, s, strict=True)) >= need for s in every)
        found = rule(q, m, "counts").number((rows, need))
        assert found == (None if room >= 12 else wanted)
        rooms.add(room)
    assert rooms == {*range(-2, 14)}


def _number_of(rows: list[list[int]], need: int, entry: Entry) -> int:
    every = product(range(entry.m + 1), repeat=len(rows))
    members = [s for s in every if entry.q == entry.m or entry.m in s]
    return sum(sum(row[t] for row, t in zip(rows, s, strict=True)) >= need for s in members)


@pytest.mark.parametrize("inward", [False, True])
def test_bins_are_rounded_outward_and_inward(inward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms that are known to within wide balls: each bound uses the end that is worse (inward: better).

    No end lies on the edge of a bin, where the auditor's own rounding may reach over it.
    """
    rng, seen = random.Random(inward), set()
    for _ in range(200):
        m, others = rng.randint(1, 2), rng.randint(1, 3)
        q = rng.randint(0, m)
        entry, model = rule(q, m, "counts"), flat([[0] * (m + 1)] * (m + 1), others + 1)
        balls = [[(rng.randint(-9, 7), rng.randint(0, 2)) for _ in range(m + 1)] for _ in range(others + 1)]
        terms = [[arb(fmpq(16 * mid + 1, 64), fmpq(rad, 4)) for mid, rad in row] for row in balls]
        monkeypatch.setattr(bins.Bounds, "terms", lambda *_, terms=terms: terms)
        width, offset = Fraction(1, 2), Fraction(rng.choice([-3, 0, 1, 6]), 8)
        low = [[Fraction(16 * (mid - rad) + 1, 64) for mid, rad in row] for row in balls]
        high = [[Fraction(16 * (mid + rad) + 1, 64) for mid, rad in row] for row in balls]
        most, least = (low, high) if inward else (high, low)
        up = [[math.ceil((v - offset) / width) for v in row] for row in most[:-1]]
        down = [[math.floor((v + offset) / width) for v in row] for row in least[:-1]]
        need_up = math.ceil((-most[-1][q] - others * offset) / width)
        need_down = math.ceil((-least[-1][q] + others * offset) / width)
        ctx.prec = 64
        found = recount(model, entry, Row((0,), (0.5, float(offset)), 1, 1), 64, inward)
        assert found == (_number_of(down, need_down, entry), _number_of(up, need_up, entry))
        seen.add(found)
    assert len(seen) > 10


@pytest.mark.parametrize("inward", [False, True])
def test_meets_are_rounded_the_other_way(inward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out is made of the ends that are worse for it: the fewer, the safer (inward: the more)."""
    rng, seen = random.Random(inward), set()
    for _ in range(200):
        m, others = rng.randint(1, 2), rng.randint(1, 3)
        q, width, offset = rng.randint(0, m), Fraction(1, 2), Fraction(rng.choice([-3, 0, 1, 6]), 8)
        entry, model = rule(q, m, "bounds"), flat([[0] * (m + 1)] * (m + 1), others + 1)
        ends, balls = {}, {}
        for outputs in ((0,), (1,)):
            drawn = [
                [(rng.randint(-6, 9), rng.randint(0, 2)) for _ in range(m + 1)] for _ in range(others + 1)
            ]
            balls[outputs] = [
                [arb(fmpq(16 * mid + 1, 64), fmpq(rad, 4)) for mid, rad in row] for row in drawn
            ]
            sides = [
                [[Fraction(16 * (mid + sign * rad) + 1, 64) for mid, rad in row] for row in drawn]
                for sign in (1, -1)
            ]
            ends[outputs] = sides[::-1] if inward else sides
        monkeypatch.setattr(bins.Bounds, "terms", lambda _, __, outputs, ___, balls=balls: balls[outputs])
        (most, least), (_, other) = ends[0,], ends[1,]
        up, lower_up = (
            [[math.ceil((v - offset) / width) for v in row] for row in side[:-1]] for side in (most, least)
        )
        down = [[math.floor((v / 2 + offset) / width) for v in row] for row in other[:-1]]
        need, late = (math.ceil((-side[-1][q] - others * offset) / width) for side in (most, least))
        also = math.ceil((-other[-1][q] / 2 + others * offset) / width)
        both = [list(map(min, *pair)) for pair in zip(lower_up, down, strict=True)]
        wanted = _number_of(up, need, entry), _number_of(both, max(late, also), entry)
        ctx.prec = 64
        row = Row((0,), (0.5, float(offset)), 1, 0, (1, 32))
        assert recount(model, entry, row, 64, inward) == (0, wanted[0] - wanted[1])
        seen.add(wanted[1])
    assert len(seen) > 5


def test_a_meet_that_takes_too_many_bins_bounds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row((0,), (1.0, 0.0), 1, 0, (1, 64))
    for inward, unknown in ((False, 9), (True, 0)):
        answers = iter([5, None])
        monkeypatch.setattr(bins.Bounds, "number", lambda *_, answers=answers: next(answers))
        assert recount(flat([[0] * 3] * 3), rule(2, 2, "bounds"), row, 64, inward) == (0, unknown)


def test_a_count_is_refuted_only_by_what_inward_bins_contradict() -> None:
    answers = {(64, False): (0, 9), (64, True): (3, 5), (128, False): (3, 5)}

    def canned(bits: int, inward: bool) -> tuple[int, int]:
        return answers[bits, inward]

    entry = rule(0, 0, "counts")
    assert entry.check_row("x=0", 3, 5, canned) == 128
    for most, least in ((4, 3), (5, 4)):
        with pytest.raises(Finding) as caught:
            entry.check_row("x=0", least, most, canned)
        assert caught.value.verdict == "refuted"
