"""What the rules answer where they are not sure, how they raise the precision, and what is made of it."""

from __future__ import annotations

import pickle
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flint import ctx

from certkit.fileformat import encode
from certkit.kernel import audit, bins, exceptions, sets, tails
from certkit.kernel.audit import Outcome, account
from certkit.kernel.audit import decide as decide_claim
from certkit.kernel.counting import Entry
from certkit.kernel.model import Model
from certkit.kernel.reader import Statement
from certkit.kernel.sets import PRECISIONS
from certkit.kernel.verdict import Finding
from certkit.kernel.work import spread
from tests.kernel.test_pieces import flat, slanted
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import (
    Box,
    Cell,
    Row,
    check_row,
    decide,
    never_fails,
    recount,
    rule,
    tail_bounds,
)

AUDIT = import_module("certkit.kernel.audit")  # the function of this name hides it
WRONG = [[1, -9, 0], [1, -9, 0], [9, -9, 0]]


def narrow() -> Model:
    """Token 1 twice and token 2 once add up to −10, out of terms of 2^200 with inexact weights."""
    far = -(2**300)
    model = slanted([[far, far, 0], [2**200, far, 0], [-(2**201) - 10, far, 0]], [1, 0, 0], [0, 0, 0])
    model.eupu = [[0] * 3] * 3
    return model


def finding_of(model: Model, entry: Entry, confirm: bool = False) -> Finding:
    found = decide(model, entry, confirm).finding
    assert found is not None
    return found


def test_the_precision_is_raised_until_it_is_enough() -> None:
    cell, box = Cell(1, (1, 1)), Box(((2, 2), (1, 1)), False, ())
    assert decide(narrow(), rule(1, 2, "sets", (cell,)), False) == Outcome(2, 256, None)
    assert decide(narrow(), rule(1, 2, "sets", (), (box,)), False) == Outcome(1, 256, None)


def test_missing_rows_tell_the_precision_they_needed() -> None:
    model = narrow()
    assert never_fails(model, rule(1, 2, "tails"), 0) == 256
    assert never_fails(model, rule(1, 2, "tails"), 1) == 64
    assert decide(model, rule(1, 2, "tails"), False) == Outcome(5, 256, None)
    row = Row((0,), (0.0,), 5, 0)
    assert decide(model, rule(1, 2, "tails", rows=(row,)), False) == Outcome(0, 64, None)
    assert decide(model, rule(1, 2, "bounds", rows=(Row((0, 1), (1.0, 0.0), 5),)), False).bits == 64
    row = Row((0,), (1.0, 0.0), 0, 0)  # which needs more than the tokens without one
    assert decide(model, rule(2, 2, "counts", shift=0.25, rows=(row,)), False) == Outcome(9, 256, None)


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("content", [("sets", (), (Box(((0, 0), (0, 0)), False, ()),)), ("tails",)])
def test_where_there_is_one_token_it_is_right(content: tuple[Any, ...], upper: bool) -> None:
    assert decide(flat([[0]]), rule(0, 0, *content), upper) == Outcome(1, 64, None)


@pytest.mark.parametrize("part", [Cell(1, (1, 1)), Box(((2, 2), (1, 1)), False, ())])
def test_what_stays_open_is_undecided(part: Cell | Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "PRECISIONS", (64, 128))
    is_cell = isinstance(part, Cell)
    entry = rule(1, 2, "sets", *(((part,), ()) if is_cell else ((), (part,))))
    outcome = decide(narrow(), entry, False)
    found = outcome.finding
    assert found is not None
    assert (outcome.correct, found.verdict, found.rule) == (0, "undecided", "cell" if is_cell else "box")
    name = "cell (1, (1, 1))" if is_cell else "box ((2, 2), (1, 1))"
    assert found.where == f"q=1 m=2: {name}, x=0"
    assert found.counterexample is None
    assert outcome.bits == 64, "a class that is not proved needed no precision"


def test_exceptions_are_confirmed_refuted_or_open(monkeypatch: pytest.MonkeyPatch) -> None:
    model = flat(WRONG)
    listed = rule(0, 2, "sets", (), (Box(((0, 2), (2, 2)), False, ((0, 2), (1, 2), (2, 2))),))
    assert decide(model, listed, True) == Outcome(0, 64, None)
    right = flat([[-9, -9, 0], [1, -9, 0], [9, -9, 0]])
    found = finding_of(right, listed, confirm=True)
    assert (found.verdict, found.rule) == ("refuted", "exception")
    assert found.where == "q=0 m=2: exception (0, 2) is correct"
    assert decide(right, listed, False).finding is None
    tie = rule(2, 2, "sets", (), (Box(((1, 1), (2, 2)), False, ((1, 2),)),))
    assert decide(flat([[0] * 3] * 3), tie, True) == Outcome(0, 64, None), (
        "the sum is exactly 0, which is wrong"
    )
    model = narrow()
    one = rule(1, 2, "sets", (), (Box(((2, 2), (1, 1)), False, ((2, 1),)),))
    assert finding_of(model, one, confirm=True).where == "q=1 m=2: exception (2, 1) is correct"
    monkeypatch.setattr(exceptions, "PRECISIONS", (64, 128))
    found = finding_of(model, one, confirm=True)
    assert (found.verdict, found.rule) == ("undecided", "exception")
    assert found.where == "q=1 m=2: exception (2, 1) may be correct"
    two = rule(1, 2, "sets", (), (Box(((2, 2), (1, 2)), False, ((2, 1), (2, 2))),))
    assert finding_of(model, two, confirm=True).where == "q=1 m=2: exception (2, 2) is correct"


def test_a_certified_sequence_beside_an_exception_is_found() -> None:
    model = flat(WRONG)
    listed = tuple((a, b) for a in range(3) for b in (0, 1))
    entry = rule(2, 2, "sets", (), (Box(((0, 2), (0, 2)), False, listed),))
    for confirm in (False, True):
        found = finding_of(model, entry, confirm)
        assert (found.verdict, found.rule, found.where) == ("refuted", "box", "q=2 m=2: x=0 is not beaten")
        assert found.counterexample is not None
        assert found.counterexample[1:] == (2, 2)


def test_exceptions_open_for_different_tokens_are_all_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refuted because another token left something else open."""
    listed = ((1, 1), (1, 2))
    entry = rule(2, 2, "sets", (), (Box(((0, 2), (0, 2)), False, listed),))
    for name, canned in {
        "plainly_correct": lambda *_: False,
        "Terms": lambda model, entry, x, bits: x,
        "beaten": lambda x, entry, sequence: sequence != listed[x],
        "fails": lambda *_: False,
    }.items():
        monkeypatch.setattr(exceptions, name, canned)
    with pytest.raises(Finding) as caught:
        exceptions.check_exceptions(flat(WRONG), entry)
    found = caught.value
    assert (found.verdict, found.where) == ("undecided", "q=2 m=2: exception (1, 1) may be correct")


def test_more_bits_are_for_the_exceptions_that_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three, one is open for x = 0 at every precision, and all fail for x = 1."""
    listed, asked = ((1, 1), (1, 2), (2, 2)), list[tuple[int, tuple[int, ...]]]()

    def canned(x: int, entry: Entry, sequence: tuple[int, ...]) -> bool:
        asked.append((x, sequence))
        return (x, sequence[-1]) not in ((0, 1), (1, 1), (1, 2))

    monkeypatch.setattr(exceptions, "plainly_correct", lambda *_: False)
    monkeypatch.setattr(exceptions, "Terms", lambda model, entry, x, bits: x)
    monkeypatch.setattr(exceptions, "beaten", canned)
    monkeypatch.setattr(exceptions, "fails", lambda model, x, *_: x == 1)
    entry = rule(2, 2, "sets", (), (Box(((0, 2), (0, 2)), False, listed),))
    assert exceptions.check_exceptions(flat(WRONG), entry) == PRECISIONS[-1]
    assert (asked.count((0, (1, 1))), asked.count((0, (2, 2))), len(asked)) == (7, 1, 7 + 1 + 1 + 3)


# --------------------------------------------------------------------------------- tails and counts


def test_a_tail_needs_the_digits_of_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    model = flat(WRONG, k=60)
    entry = rule(2, 2, "tails", shift=0.0)
    multiplier = (2.0**-30,)
    _, bound = tail_bounds(model, entry, Row((0,), multiplier, 0, 0), 512)
    floor = bound.floor().unique_fmpz()
    assert floor is not None
    exact = int(floor)
    assert exact > 2**90
    assert check_row(model, entry, Row((0,), multiplier, exact, 0)) == 128
    assert check_row(model, entry, Row((0,), multiplier, 2 * exact, 0)) == 64
    for short in (exact - 1, exact // 2):
        with pytest.raises(Finding) as caught:
            check_row(model, entry, Row((0,), multiplier, short, 0))
        assert (caught.value.verdict, caught.value.rule) == ("refuted", "tails")
        assert caught.value.where.startswith(f"q=2 m=2: x=0 failing between 0 and {short}, recounted 0 to [")
    monkeypatch.setattr(tails, "PRECISIONS", (64,))
    with pytest.raises(Finding) as caught:
        check_row(model, entry, Row((0,), multiplier, exact, 0))
    assert (caught.value.verdict, caught.value.rule) == ("undecided", "tails")
    assert caught.value.where == f"q=2 m=2: x=0 failing between 0 and {exact}, with 64 bits"


@pytest.mark.parametrize(
    ("kind", "row", "named"),
    [
        ("tails", Row((0,), (0.0,), 4), "x=0"),
        ("pool", Row((), (0.0,), 4), "x=any"),
        ("counts", Row((0,), (1.0, 0.0), 4), "x=0"),
        ("bounds", Row((0, 1), (1.0, 0.0), 4), "x=0,1"),
    ],
)
def test_a_row_that_is_false_is_named(kind: str, row: Row, named: str) -> None:
    found = finding_of(flat(WRONG), rule(0, 2, kind, rows=(row,)))
    assert (found.verdict, found.rule) == ("refuted", kind)
    assert found.where.startswith(f"q=0 m=2: {named} failing between 0 and 4, recounted 0 to ")


def test_a_tail_that_is_a_whole_number_is_not_below_itself() -> None:
    """With multiplier 0 it is the number of sequences of the class, exactly."""
    model, entry = flat(WRONG), rule(0, 2, "tails")
    assert check_row(model, entry, Row((0,), (0.0,), 5, 0)) == 64
    with pytest.raises(Finding) as caught:
        check_row(model, entry, Row((0,), (0.0,), 4, 0))
    assert caught.value.verdict == "refuted"


def test_a_count_says_what_it_recounted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = flat(WRONG)
    entry = rule(0, 2, "counts")
    row = Row((0,), (1.0, 0.0), 5, 5)
    assert recount(model, entry, row, 64) == (5, 5)
    assert check_row(model, entry, row) == 64
    for most, least, found in ((4, 0, 0), (6, 6, 5), (4, 4, 5)):  # from below only where it is claimed
        with pytest.raises(Finding) as caught:
            check_row(model, entry, Row((0,), (1.0, 0.0), most, least))
        assert (caught.value.verdict, caught.value.rule) == ("refuted", "counts")
        assert (
            caught.value.where == f"q=0 m=2: x=0 failing between {least} and {most}, recounted {found} to 5"
        )
    monkeypatch.setattr(bins, "MAX_BINS", 1)
    with pytest.raises(Finding) as caught:
        check_row(model, entry, Row((0,), (2.0**-20, 0.0), 5, 5))
    assert (caught.value.verdict, caught.value.rule) == ("undecided", "counts")
    assert caught.value.where == "q=0 m=2: x=0 failing between 5 and 5, with 4096 bits"


def test_a_count_takes_the_bits_it_needs() -> None:
    """Bins of width 1 for terms of 2^200: their sums are off by bins until there are bits enough."""
    entry = rule(2, 2, "counts", shift=0.25)
    assert recount(narrow(), entry, Row((0,), (1.0, 0.0), 9, 1), 64) == (0, 9)
    assert check_row(narrow(), entry, Row((0,), (1.0, 0.0), 0, 0)) == 256


def test_bins_are_limited_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    model = flat([[5, -9, 0], [0, -9, 0], [-7, -9, 0]])
    entry, row = rule(2, 2, "counts"), Row((0,), (1.0, 0.0), 1, 1)
    model.eupu = [[0] * 3] * 3
    # the largest sum is 5 + 5 − 7: four bins, 0 to 3
    monkeypatch.setattr(bins, "MAX_BINS", 4)
    assert recount(model, entry, row, 64) == (1, 1)
    monkeypatch.setattr(bins, "MAX_BINS", 3)
    assert recount(model, entry, row, 64) == (0, 9)
    assert recount(model, entry, row, 64, inward=True) == (9, 0)


# --------------------------------------------------------------------------------------- the audit


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    model = tiny_model(Kind.SKILLED, Sizes(2, 2), 1)
    return write(encode(certificate(model, whole_content(model))), tmp_path), saved(model, tmp_path)


UNSURE, FALSE = Finding("undecided", "box", "here"), Finding("refuted", "cell", "there", (0, 1))


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        ([(3, 64, None), (4, 256, None), (5, 128, None)], ("verified", "all", "", 12, 256, None)),
        ([(3, 64, None), (0, 64, UNSURE), (5, 128, None)], ("undecided", "box", "here", 8, 128, None)),
        ([(0, 64, UNSURE), (0, 64, FALSE), (5, 128, None)], ("refuted", "cell", "there", 0, 64, (0, 1))),
        ([(0, 64, FALSE), (0, 64, UNSURE), (5, 128, None)], ("refuted", "cell", "there", 0, 64, (0, 1))),
    ],
)
def test_one_answer_is_made_of_all_classes(
    outcomes: list[Any], answer: tuple[Any, ...], files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, asked = list(outcomes), []

    def canned(model: Model, upper: bool, claim: tuple[Entry, int]) -> Outcome:
        asked.append(upper)
        return Outcome(*waiting.pop(0))

    monkeypatch.setattr(AUDIT, "decide", canned)
    found = audit(*files)
    got = (found.verdict, found.rule, found.where, found.audited_correct, found.precision_bits)
    assert (*got, found.counterexample) == answer
    assert (found.total, found.sampled) == (4, None)
    assert 0 < found.seconds < 100
    assert not any(asked)


def test_exceptions_are_confirmed_for_an_upper_claim_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = tiny_model(Kind.SKILLED, Sizes(2, 2), 1), []

    def canned(model: Model, upper: bool, claim: tuple[Entry, int]) -> Outcome:
        asked.append(upper)
        return Outcome(0, 64, None)

    monkeypatch.setattr(AUDIT, "decide", canned)
    path = write(document(certificate(model, whole_content(model), upper=True)), tmp_path)
    assert audit(path, saved(model, tmp_path)).verdict == "verified"
    assert asked == [True] * 3


def test_more_classes_than_pieces_of_work(tmp_path: Path) -> None:
    model = flat([[-9] * 6] * 6, k=2)
    model.eupu = [[-9] * 6] * 6
    entries = [rule(q, m, "tails") for q in range(6) for m in range(q, 6)]
    claims = [(entry, account(entry, 2, 6)[0]) for entry in entries]
    outcomes = list(spread(partial(decide_claim, model, False), claims, 2))
    alone = [decide(model, entry, False) for entry in entries]
    assert len(outcomes) == 21
    found = [outcome.finding for outcome in outcomes if outcome.finding is not None]
    assert len(found) == sum(outcome.finding is not None for outcome in alone)
    assert all(finding.verdict == "refuted" for finding in found)


@pytest.mark.parametrize("kind", ["sets", "tails", "pool", "counts", "bounds"])
def test_claims_about_executions_have_sets_alone(kind: str, tmp_path: Path) -> None:
    model, field = tiny_model(Kind.SKILLED, Sizes(3, 3), 1), {"shift": "0x0.0p+0", "rows": []}
    ladder = {"light": [], "multiplier": "0x0.0p+0", "levels": 1, "failing_at_most": 0}
    inner = {"sets": {"cells": [], "boxes": []}, "pool": {"shift": "0x0.0p+0", **ladder}}.get(kind, field)
    whole = document(certificate(model, [], semantics="float32"))
    whole["proof"]["content"] = [{"q": 0, "m": 0, kind: inner}]
    found = audit(write(whole, tmp_path), saved(model, tmp_path))
    if kind == "sets":
        assert found.verdict == "verified"
        return
    assert (found.verdict, found.rule) == ("refused", "semantics")
    assert found.where == "a float32 claim is audited if it has cells and boxes alone"
    whole["statement"]["semantics"] = "float" * 20
    found = audit(write(whole, tmp_path), saved(model, tmp_path))
    assert found.where == f"{'float' * 8!r} is unknown to this auditor"


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_each_semantics_has_its_model(
    semantics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made = tiny_model(Kind.SKILLED, Sizes(2, 2), 1), []

    def canned(subject: Model, upper: bool, claim: tuple[Entry, int]) -> Outcome:
        made.append(subject.executed)
        return Outcome(0, 64, None)

    monkeypatch.setattr(AUDIT, "decide", canned)
    path = write(document(certificate(model, whole_content(model), semantics=semantics)), tmp_path)
    assert audit(path, saved(model, tmp_path)).verdict == "verified"
    assert made == [semantics == "float32"] * 3


def test_another_model_is_named(tmp_path: Path) -> None:
    model, other = (tiny_model(Kind.SKILLED, Sizes(2, 2), seed) for seed in (1, 2))
    path = write(document(certificate(model, whole_content(model))), tmp_path)
    found = audit(path, saved(other, tmp_path))
    assert (found.verdict, found.rule, found.total) == ("refuted", "model", 0)
    assert found.where == f"the certificate is about the model {model.sha256!r}, not {other.sha256!r}"


def test_cells_and_rows_add_up_to_a_claim() -> None:
    model = flat(WRONG)
    tails = rule(1, 2, "tails", rows=(Row((0,), (0.0,), 2, 0),))
    entries = [rule(0, 2, "sets", (Cell(1, (0, 1)),)), tails]
    found = AUDIT.check_claim(Statement(None, 3, 3, "real", "", 4 + 3, None, 27), entries, model)
    assert found == [(entries[0], 4), (tails, 3)]


def test_a_counterexample_is_told_in_the_tokens_of_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(3, 2), 1)
    edited = document(certificate(model, whole_content(model)))
    edited["statement"]["task"] = {"order": [2, 0, 1], "labels": [0, 1, 2]}
    refuted = Outcome(0, 64, Finding("refuted", "cell", "there", (0, 2)))
    monkeypatch.setattr(AUDIT, "decide", lambda *_: refuted)
    found = audit(write(edited, tmp_path), saved(model, tmp_path))
    assert (found.verdict, found.counterexample) == ("refuted", (2, 1))
    assert found.task == {"order": (2, 0, 1), "labels": (0, 1, 2)}


def test_findings_pass_between_processes() -> None:
    for found in (FALSE, UNSURE):
        again = pickle.loads(pickle.dumps(found))
        assert vars(again) == vars(found)
        assert again.args == found.args


def test_precisions_double() -> None:
    assert PRECISIONS == (64, 128, 256, 512, 1024, 2048, 4096)
    assert ctx.prec <= 4096
