"""What a hostile certificate can cost: steps are counted, not seconds.

`steps` counts the lines of the auditor that run. Of twice the content it may run about twice as many; only
the sets of one class are compared in pairs, and their number is limited. (Each line works on numbers of at
most as many bits as there are tokens, or of the size of the claim.)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from flint import arb, ctx, fmpz

from certkit.certificate import SetContent, full_content
from certkit.kernel import audit, reader
from certkit.kernel.audit import Outcome, account
from certkit.kernel.bins import LARGEST, ceiling
from certkit.kernel.counting import MAX_SETS, Entry, Part
from certkit.kernel.model import Model
from certkit.kernel.sets import Terms, open_members
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import Matrix, Weights, read_weights
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Box, Cell, Row, decide, disjoint, read_certificate, rule

M = 1000
ROOM = str(Path(reader.__file__).parent)


def steps(work: Callable[[], object]) -> int:
    """Run it, and return how many lines of the auditor ran."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename.startswith(ROOM) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def entry(**fields: Any) -> Entry:
    kind = "sets" if "cells" in fields or "boxes" in fields else "bounds"
    made: Entry = rule(M, M, fields.pop("kind", kind), **fields)
    return made


def _cells(n: int) -> Entry:
    return entry(cells=tuple(Cell(1, (2 * i % M, 2 * i % M)) for i in range(n)))


def _layers(n: int) -> tuple[Box, ...]:
    """Disjoint in the last position alone; everywhere else all of them meet."""
    return tuple(Box(((0, 9), (0, 9), (0, 9), (i, i)), False, ()) for i in range(n))


def _boxes(n: int) -> Entry:
    return entry(boxes=_layers(n))


def _mixed(n: int) -> Entry:
    cells = tuple(Cell(2, (500 + i % 100, 500 + i % 100)) for i in range(n // 2))
    return entry(cells=cells, boxes=_layers(n - n // 2))


def _boxes_asking(n: int) -> Entry:
    """The first meets all others in every position, but asks for an m, which they have nowhere."""
    asking = Box(((0, 9), (0, 9), (0, 9), (0, n, M, M)), True, ())
    return entry(boxes=(asking, *_layers(n)))


def _exceptions(n: int) -> Entry:
    listed = tuple((i // 100, i % 100, 0, 0) for i in range(n))
    return entry(boxes=(Box(((0, 99),) * 4, False, listed),))


def _rows(n: int) -> Entry:
    return entry(rows=tuple(Row((x,), (1.0, 0.0), 1) for x in range(n)))


def _others(n: int) -> Entry:
    return entry(rows=(Row(tuple(range(n)), (1.0, 0.0), 1),))


def _meets(n: int) -> Entry:
    rows = tuple(Row((x,), (1.0, 0.0), 1, 0, (x - 1, 64)) for x in range(1, n))
    return entry(rows=(Row((0,), (1.0, 0.0), 1, 0), *rows))


def _runs(n: int) -> Entry:
    runs = tuple(number for i in range(n) for number in (2 * i, 2 * i))
    return entry(
        boxes=(Box((runs, (M, M), (M, M), (M, M)), False, tuple((2 * i, M, M, M) for i in range(n))),)
    )


@pytest.mark.parametrize("made", [_exceptions, _rows, _others, _meets, _runs])
def test_checking_twice_the_content_takes_twice_the_steps(made: Callable[[int], Entry]) -> None:
    once, twice = (steps(lambda n=n: account(made(n), 5, M + 1)) for n in (200, 400))
    assert once > 100
    assert twice < 2.1 * once


@pytest.mark.parametrize("made", [_cells, _boxes, _boxes_asking, _mixed])
def test_sets_are_compared_in_pairs_and_limited(made: Callable[[int], Entry]) -> None:
    """Some steps for each pair and position, whatever the sets hold."""
    once, twice = (steps(lambda n=n: disjoint(made(n), 5)) for n in (50, 100))
    assert 2 * once < twice < 4.1 * once < 4.1 * 50**2 * 30
    with pytest.raises(Finding, match="more than 4096 sets") as caught:
        account(made(MAX_SETS + 1), 5, M + 1)
    assert (caught.value.verdict, caught.value.rule) == ("refuted", "range")


def test_many_boxes_that_all_meet_but_in_the_last_position() -> None:
    many = tuple(Box(((0, 300),) * 3 + ((i, i),), False, ()) for i in range(301))
    disjoint(entry(boxes=many), 5)
    for last, asks in (((70, 70), False), ((299, 300), False), ((5, 5, M, M), True)):
        one = Box(((0, 0), (0, 0), (M, M) if asks else (0, 0), last), asks, ())
        overlapping = (*many[:-1], Box(((0, 300),) * 2 + ((0, M), (5, 5)), False, ())) if asks else many
        with pytest.raises(Finding) as caught:
            disjoint(entry(boxes=(*overlapping, one)), 5)
        assert caught.value.rule == "overlap"


# ------------------------------------------------------------------------------------ deciding


def flat_model(vocab: int, k: int, wrong: int) -> Model:
    """All scores are equal. A token t adds 1 to output 0 if t < wrong, and −3K else."""
    one = Matrix([[1]], 0)
    embed = Matrix([[1 if t < wrong else -3 * k] for t in range(vocab)], 0)
    unembed = Matrix([[1] + [0] * (vocab - 1)], 0)
    zero = Matrix([[0]], 0)
    names = {"W_E": embed, "W_pos": Matrix([[0]] * k, 0), "W_U": unembed}
    return Model(Weights(names | {"W_Q": zero, "W_K": zero, "W_V": one, "W_O": one}, ""))


def test_a_search_takes_steps_in_proportion_to_what_it_finds() -> None:
    """Few of 20^6 members fail, those with tokens below `wrong` alone: the others cost nothing."""
    whole, query = Part("box", (), ((1 << 20) - 1,) * 6, 0, 6), rule(0, 19, "sets")
    for wrong in (1, 2, 3):
        view, found = Terms(flat_model(20, 7, wrong), query, 0, 64), []
        worked = steps(lambda view=view, found=found: found.extend(open_members(view, query, whole)))
        assert len(found) == wrong**6
        assert worked < 500 + 60 * 6 * len(found)


def test_sums_that_lose_digits_make_no_dead_ends() -> None:
    """Of 2^40 sequences each has the sum −1; 64 bits round what the last two positions add up to that 1."""
    k = 44
    model = flat_model(2, k, 0)
    model.evou, model.eupu = [[fmpz(0)] * 2] * 2, [[fmpz(0)] * 2] * 2
    places = [2**64, *[0] * (k - 4), -(2**63), -(2**63) - 1, 0]
    model.pvou = [list(map(fmpz, places)), [fmpz(0)] * k]
    whole = rule(1, 1, "sets", (), (Box(((0, 1),) * (k - 1), False, ()),))
    outcomes: list[Outcome] = []
    assert steps(lambda: outcomes.append(decide(model, whole, False))) < 50_000
    assert outcomes == [Outcome(2 ** (k - 1), 128, None)]


def test_a_cell_takes_steps_in_proportion_to_its_positions_squared() -> None:
    worked = []
    for k in (20, 40, 80):
        model = flat_model(4, k, 0)
        cell = rule(3, 3, "sets", (Cell(k // 2, (0, 1)),))
        worked.append(steps(lambda model=model, cell=cell: decide(model, cell, False)))
    assert worked[2] < 4.5 * worked[1] < 4.5**2 * worked[0]


def test_many_positions() -> None:
    """2^2000 sequences in one class."""
    model = flat_model(2, 2000, 0)
    whole = rule(1, 1, "sets", (), (Box(((0, 1),) * 1999, False, ()),))
    account(whole, 2000, 2)
    outcome = decide(model, whole, False)
    assert outcome.finding is None
    assert outcome.correct == 2**1999


# --------------------------------------------------------------------------------------- reading


def test_too_many_values_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
    path = write(document(certificate(model, [full_content(0, 0, 3)])), tmp_path)
    data = Path(path).read_bytes()
    values = sum(map(data.count, (b"[", b"{", b",", b":")))
    monkeypatch.setattr(reader, "MAX_VALUES", values)
    read_certificate(path)
    monkeypatch.setattr(reader, "MAX_VALUES", values - 1)
    monkeypatch.setattr(reader, "parse_json", lambda *_: pytest.fail("it was parsed"))
    verdict = audit(path, saved(model, tmp_path))
    assert (verdict.verdict, verdict.rule) == ("refused", "read")
    assert str(values - 1) in verdict.where


def test_what_is_nested_too_deeply_is_refused_wherever_that_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python gives up in reading, it may just not do so in writing, or the other way round."""
    value: list[Any] = []
    for _ in range(200_000):
        value = [value]
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
    path = write(document(certificate(model, [full_content(0, 0, 3)])), tmp_path)
    monkeypatch.setattr(reader, "parse_json", lambda *_: {"certkit": 1, "proof": value})
    found = audit(path, saved(model, tmp_path))
    assert (found.verdict, found.rule) == ("refused", "json")
    assert found.where == "the certificate or the model's header is nested too deeply"


def test_reading_twice_the_content_takes_twice_the_steps(tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(12, 3), 1)
    taken = []
    for classes in (30, 60):
        pairs = [(q, m) for q in range(12) for m in range(q, 12)][:classes]
        path = write(document(certificate(model, [SetContent(q, m) for q, m in pairs])), tmp_path)
        taken.append(steps(lambda path=path: read_certificate(path)))
    assert taken[1] < 2.1 * taken[0]


def test_numbers_beyond_all_proportion_are_not_written_out() -> None:
    ctx.prec = 64
    for huge in (LARGEST, -LARGEST, LARGEST * LARGEST, arb("inf"), arb("nan")):
        with pytest.raises(Finding) as caught:
            ceiling(huge)
        assert (caught.value.verdict, caught.value.rule) == ("undecided", "precision")
        assert caught.value.where == "a number is too large for the auditor's arithmetic"
    below = LARGEST / 2
    assert ceiling(below) == 2 ** (2**13 - 1)
    for number, rounded in (
        (2.5, 3),
        (-2.5, -2),
        (3.0, 3),
        (-3.0, -3),
        (0.0, 0),
        (2.0**70, 2**70),
        (2.0**-900, 1),
    ):
        assert ceiling(arb(number)) == rounded


@pytest.mark.parametrize("shift", [-1e300, -1e18, 1e300])
@pytest.mark.parametrize("numbers", [(1e308,), (1e308, 1e308), (5e-324, -1e308)])
def test_absurd_numbers_in_rows_end_at_once(shift: float, numbers: tuple[float, ...], tmp_path: Path) -> None:
    model = Model(read_weights(saved(tiny_model(Kind.SKILLED, Sizes(4, 3), 1), tmp_path)))
    rows = tuple(Row((x,), numbers, 0, 0) for x in range(3))
    absurd = rule(3, 3, "tails" if len(numbers) == 1 else "bounds", shift=shift, rows=rows)
    assert steps(lambda: decide(model, absurd, False)) < 20_000
