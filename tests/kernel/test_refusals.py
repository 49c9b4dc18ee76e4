"""What the auditor refuses: files that are no certificates, unproved claims, edited models."""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from certkit.certificate import Box, Cell, Count, CountContent, SetContent, Tail, TailContent
from certkit.fileformat import canonical, encode, seal
from certkit.kernel import Verdict, audit
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model

MODEL = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
CERT = certificate(MODEL, whole_content(MODEL))
DATA = encode(CERT)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(MODEL, tmp_path_factory.mktemp("model"))


def judge(data: bytes | Document, model_path: str, tmp_path: Path) -> Verdict:
    return audit(write(data, tmp_path), model_path)


def test_the_control_is_verified(model_path: str, tmp_path: Path) -> None:
    verdict = judge(DATA, model_path, tmp_path)
    assert (verdict.verdict, verdict.exit_code, verdict.rule, verdict.where) == ("verified", 0, "all", "")
    assert verdict.audited_correct == CERT.claim.correct_at_least
    assert len(verdict.kernel_sha256) == 64


# ------------------------------------------------------------------------------------- damaged certificate


def test_every_flipped_bit_is_refused(model_path: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    for place in rng.sample(range(8 * len(DATA)), 400):
        flipped = bytearray(DATA)
        flipped[place // 8] ^= 1 << place % 8
        verdict = judge(bytes(flipped), model_path, tmp_path)
        assert verdict.verdict == "refused", (place, verdict)


def test_every_truncation_and_extension_is_refused(model_path: str, tmp_path: Path) -> None:
    for length in {0, 1, 2, 50, len(DATA) // 2, len(DATA) - 2, len(DATA) - 1}:
        assert judge(DATA[:length], model_path, tmp_path).verdict == "refused"
    for data in (DATA + b"\n", DATA + b" ", DATA + DATA, b" " + DATA, b"\xef\xbb\xbf" + DATA):
        assert judge(data, model_path, tmp_path).verdict == "refused"


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "not json": (b"hello\n", "json"),
    "not utf-8": (b"\xff\xfe\n", "json"),
    "a list": (b"[]\n", "schema"),
    "null": (b"null\n", "schema"),
    "duplicate key": (DATA.replace(b'{"certkit":1,', b'{"certkit":1,"certkit":1,', 1), "json"),
    "NaN": (DATA.replace(b'"certkit":1', b'"certkit":NaN', 1), "json"),
    "Infinity": (DATA.replace(b'"remarks":{}', b'"remarks":{"a":Infinity}', 1), "json"),
    "decimal": (DATA.replace(b'"certkit":1', b'"certkit":1.0', 1), "json"),
    "exponent": (DATA.replace(b'"certkit":1', b'"certkit":1e0', 1), "json"),
    "true for 1": (DATA.replace(b'"certkit":1', b'"certkit":true', 1), "schema"),
    "next schema": (DATA.replace(b'"certkit":1', b'"certkit":2', 1), "schema"),
    "spaces": (DATA.replace(b'"certkit":1', b'"certkit": 1', 1), "canonical"),
    "other order": (DATA.replace(b'{"certkit":1,', b"{", 1)[:-2] + b',"certkit":1}\n', "canonical"),
    "escaped": (DATA.replace(b'"certkit"', b'"certki\\u0074"', 1), "canonical"),
    "two newlines": (DATA + b"\n", "canonical"),
    "long integer": (DATA.replace(b'"remarks":{}', b'"remarks":{"a":' + b"9" * 5000 + b"}", 1), "json"),
    "deep": (
        DATA.replace(b'"remarks":{}', b'"remarks":{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}", 1),
        "json",
    ),
    "deep objects": (b'{"a":' * 10**5 + b"1" + b"}" * 10**5 + b"\n", "json"),
    "edited": (DATA.replace(b'"strategy":"by-hand"', b'"strategy":"by-mind"', 1), "digest"),
    "empty": (b"", "json"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_certificates(name: str, model_path: str, tmp_path: Path) -> None:
    data, rule = BAD_FILES[name]
    verdict = judge(data, model_path, tmp_path)
    assert (verdict.verdict, verdict.rule, verdict.exit_code) == ("refused", rule, 2), verdict
    assert len(verdict.where) <= 300


# -------------------------------------------------------------------------- edited, and sealed again


def edited(change: Callable[[Document], object], original: Document | None = None) -> Document:
    copied = copy.deepcopy(document(CERT) if original is None else original)
    change(copied)
    return copied


def set_field(*path: str | int, value: object) -> Callable[[Document], object]:
    def change(whole: Document) -> None:
        place: Any = whole
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


STATEMENT, PROOF = "statement", "proof"
SETS = (PROOF, "content", -1, "sets")
CELL = {"n": 1, "allowed": [0, 1]}


ONE = "0x1.0p+0"
BINS = [ONE, "0x0.0p+0"]
FIRST = [[0, 1], [], *BINS, 16, 0]


def _bounds_of(row: object) -> Callable[[Document], object]:
    return set_field(
        PROOF, "content", value=[{"q": 3, "m": 3, "bounds": {"shift": "0x0.0p+0", "rows": [row]}}]
    )


UNREADABLE: dict[str, Callable[[Document], object]] = {
    "extra field": set_field("more", value=1),
    "extra in statement": set_field(STATEMENT, "more", value=1),
    "extra in proof": set_field(PROOF, "more", value=1),
    "missing remarks": lambda d: d.pop("remarks"),
    "missing witness": lambda d: d[PROOF].pop("witness"),
    "missing claim": lambda d: d[STATEMENT].pop("correct_at_most"),
    "remarks a list": set_field("remarks", value=[]),
    "strategy a number": set_field(PROOF, "strategy", value=1),
    "strategy without name": set_field(PROOF, "strategy", value=""),
    "version 0": set_field(PROOF, "version", value=0),
    "version a bool": set_field(PROOF, "version", value=True),
    "k a bool": set_field(STATEMENT, "k", value=True),
    "k a string": set_field(STATEMENT, "k", value="3"),
    "k null": set_field(STATEMENT, "k", value=None),
    "upper claim a bool": set_field(STATEMENT, "correct_at_most", value=True),
    "claim a bool": set_field(STATEMENT, "correct_at_least", value=True),
    "small claim a string": set_field(STATEMENT, "correct_at_least", value="7"),
    "claim with a sign": set_field(STATEMENT, "correct_at_least", value="-99999999999999999999"),
    "claim with leading zero": set_field(STATEMENT, "correct_at_least", value="099999999999999999999"),
    "claim in other digits": set_field(STATEMENT, "correct_at_least", value="٩" * 20),
    "claim too long": set_field(STATEMENT, "correct_at_least", value="9" * 5000),
    "content an object": set_field(PROOF, "content", value={}),
    "entry null": set_field(PROOF, "content", 0, value=None),
    "entry without content": set_field(PROOF, "content", 0, value={"q": 0, "m": 0}),
    "entry with two": set_field(PROOF, "content", -1, "tails", value={"shift": "0x0.0p+0", "rows": []}),
    "q a bool": set_field(PROOF, "content", 0, "q", value=False),
    "cell n a bool": set_field(*SETS, "cells", value=[{"n": True, "allowed": [0, 1]}]),
    "token a bool": set_field(*SETS, "cells", value=[{"n": 1, "allowed": [False, True]}]),
    "cell with more": set_field(*SETS, "cells", value=[CELL | {"gap": 1}]),
    "contains_max a number": set_field(*SETS, "boxes", 0, "contains_max", value=0),
    "exception a number": set_field(*SETS, "boxes", 0, "exceptions", value=[3]),
    "a bound about nothing": _bounds_of([[], [], *BINS, 16, 0]),
    "a bound without offset": _bounds_of([[0], [], ONE, 16, 0]),
    "a bound about a token": _bounds_of([0, [], *BINS, 16, 0]),
    "a meet of one number": _bounds_of([[0], [0], *BINS, 16, 0]),
    "a meet by a dyadic": _bounds_of([[0], [0, ONE], *BINS, 16, 0]),
    "a bound cut short": _bounds_of([[0], [], *BINS, 16]),
    "a task of one list": set_field(STATEMENT, "task", value={"order": [0, 1, 2, 3]}),
    "a task of numbers": set_field(STATEMENT, "task", value={"order": 4, "labels": 4}),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_wrong_shapes_are_unreadable_even_when_sealed(name: str, model_path: str, tmp_path: Path) -> None:
    verdict = judge(edited(UNREADABLE[name]), model_path, tmp_path)
    assert (verdict.verdict, verdict.exit_code, verdict.rule) == ("refused", 2, "schema"), verdict


def _task(order: list[int], labels: list[int]) -> Callable[[Document], object]:
    return set_field(STATEMENT, "task", value={"order": order, "labels": labels})


REFUSED_STATEMENTS: dict[str, tuple[Callable[[Document], object], str]] = {
    "task": (set_field(STATEMENT, "task", value="sum-of-k"), "task"),
    "task of many letters": (set_field(STATEMENT, "task", value="sum-of-k" * 9), "task"),
    "float16": (set_field(STATEMENT, "semantics", value="float16"), "semantics"),
    "Float32": (set_field(STATEMENT, "semantics", value="Float32"), "semantics"),
    "semantics": (set_field(STATEMENT, "semantics", value="Real"), "semantics"),
    "max-of-k in other words": (_task([0, 1, 2, 3], [0, 1, 2, 3]), "task"),
    "order twice": (_task([0, 1, 2, 2], [0, 1, 2, 3]), "task"),
    "labels too many": (_task([0, 1, 2, 3], [0, 1, 2, 3, 4]), "task"),
    "labels beyond": (_task([0, 1, 2, 3], [4, 1, 2, 3]), "task"),
}


@pytest.mark.parametrize("name", REFUSED_STATEMENTS)
def test_statements_the_auditor_does_not_know(name: str, model_path: str, tmp_path: Path) -> None:
    change, rule = REFUSED_STATEMENTS[name]
    verdict = judge(edited(change), model_path, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", rule)


def _box(
    positions: list[list[int]], contains_max: bool = False, exceptions: list[list[int]] | None = None
) -> Any:
    return {"positions": positions, "contains_max": contains_max, "exceptions": exceptions or []}


def _sets(cells: list[Any], boxes: list[Any], q: int = 3, m: int = 3) -> Callable[[Document], object]:
    return set_field(PROOF, "content", value=[{"q": q, "m": m, "sets": {"cells": cells, "boxes": boxes}}])


def _rows(kind: str, rows: list[Any], q: int = 3, m: int = 3) -> Callable[[Document], object]:
    return set_field(PROOF, "content", value=[{"q": q, "m": m, kind: {"shift": "0x0.0p+0", "rows": rows}}])


def _bounds(*rows: Any) -> Callable[[Document], object]:
    return _rows("bounds", list(rows))


WHOLE = [[0, 3], [0, 3]]
FALSE: dict[str, tuple[Callable[[Document], object], str]] = {
    "one more claimed": (lambda d: _add(d, "correct_at_least", 1), "claim"),
    "one less claimed": (lambda d: _add(d, "correct_at_least", -1), "claim"),
    "total": (lambda d: _add(d, "total", 1), "claim"),
    "upper claim invented": (set_field(STATEMENT, "correct_at_most", value=1), "claim"),
    "k": (lambda d: _add(d, "k", 1), "statement"),
    "vocab": (lambda d: _add(d, "vocab", -1), "statement"),
    "class twice": (lambda d: d[PROOF]["content"].append(d[PROOF]["content"][-1]), "order"),
    "classes unsorted": (lambda d: d[PROOF]["content"].reverse(), "order"),
    "q above m": (_sets([], [], q=3, m=2), "range"),
    "q negative": (_sets([], [], q=-1, m=2), "range"),
    "m not a token": (_sets([], [], q=0, m=4), "range"),
    "n negative": (_sets([{"n": -1, "allowed": [0, 0]}], []), "range"),
    "n too large": (_sets([{"n": 3, "allowed": [0, 0]}], []), "range"),
    "n leaves no m": (_sets([{"n": 2, "allowed": [0, 0]}], [], q=0), "range"),
    "allowed holds m": (_sets([{"n": 1, "allowed": [0, 3]}], []), "range"),
    "allowed negative": (_sets([{"n": 1, "allowed": [-1, 1]}], []), "range"),
    "allowed repeats": (_sets([{"n": 1, "allowed": [0, 1, 1, 2]}], []), "range"),
    "allowed touches": (_sets([{"n": 1, "allowed": [0, 1, 2, 2]}], []), "range"),
    "allowed backwards": (_sets([{"n": 1, "allowed": [2, 1]}], []), "range"),
    "allowed odd": (_sets([{"n": 1, "allowed": [1]}], []), "range"),
    "n = 0 with allowed": (_sets([{"n": 0, "allowed": [0, 1]}], []), "range"),
    "n = 1 without allowed": (_sets([{"n": 1, "allowed": []}], []), "range"),
    "cells overlap": (_sets([CELL, {"n": 1, "allowed": [1, 2]}], []), "overlap"),
    "cell twice at n = 0": (_sets([{"n": 0, "allowed": []}] * 2, []), "overlap"),
    "box too short": (_sets([], [_box([[0, 3]])]), "range"),
    "box too long": (_sets([], [_box([[0, 3]] * 3)]), "range"),
    "box with empty set": (_sets([], [_box([[], [3, 3]])]), "range"),
    "box above m": (_sets([], [_box([[0, 3], [0, 2]], False)], q=0, m=2), "range"),
    "box without m": (_sets([], [_box(WHOLE)], q=0), "range"),
    "empty box": (_sets([], [_box([[0, 2], [0, 2]], True)], q=0), "range"),
    "exception outside": (_sets([], [_box([[0, 1], [0, 1]], False, [[0, 2]])]), "range"),
    "exception too short": (_sets([], [_box(WHOLE, False, [[0]])]), "range"),
    "exception without m": (_sets([], [_box(WHOLE, True, [[0, 1]])]), "range"),
    "exceptions unsorted": (_sets([], [_box(WHOLE, False, [[1, 0], [0, 1]])]), "range"),
    "exception twice": (_sets([], [_box(WHOLE, False, [[0, 1], [0, 1]])]), "range"),
    "boxes overlap": (_sets([], [_box([[0, 2], [0, 3]]), _box([[2, 3], [3, 3]])]), "overlap"),
    "boxes overlap in m": (_sets([], [_box(WHOLE, True), _box([[3, 3], [0, 1]])], q=0), "overlap"),
    "box and cell overlap": (_sets([CELL], [_box([[0, 0], [3, 3]])]), "overlap"),
    "box and cell 0 overlap": (_sets([{"n": 0, "allowed": []}], [_box([[0, 3], [3, 3]])]), "overlap"),
    "tail for m": (_rows("tails", [[3, "0x1.0p+0", 1]]), "range"),
    "tail for no token": (_rows("tails", [[4, "0x1.0p+0", 1]]), "range"),
    "tails unsorted": (_rows("tails", [[1, "0x1.0p+0", 1], [0, "0x1.0p+0", 1]]), "range"),
    "tail twice": (_rows("tails", [[1, "0x1.0p+0", 1]] * 2), "range"),
    "negative multiplier": (_rows("tails", [[1, "-0x1.0p+0", 1]]), "range"),
    "negative failing": (_rows("tails", [[1, "0x1.0p+0", -1]]), "range"),
    "33 significant bits": (_rows("tails", [[1, "0x1.0p+0", 2**32 + 1]]), "range"),
    "width 0": (_rows("counts", [[1, "0x0.0p+0", "0x0.0p+0", 1, 0]]), "range"),
    "width negative": (_rows("counts", [[1, "-0x1.0p+0", "0x0.0p+0", 1, 0]]), "range"),
    "least above most": (_rows("counts", [[1, "0x1.0p+0", "0x0.0p+0", 1, 2]]), "range"),
    "least of two tokens": (_bounds([[0, 1], [], *BINS, 16, 1]), "range"),
    "least with a meet": (_bounds(FIRST, [[2], [0, 64], *BINS, 16, 1]), "range"),
    "negative width of a bound": (_bounds([[0, 1], [], "-0x1.0p+0", ONE, 16, 0]), "range"),
    "meet of a later token": (_bounds([[0], [1, 64], *BINS, 16, 0]), "range"),
    "meet of itself": (_bounds([[0], [0, 64], *BINS, 16, 0]), "range"),
    "meet of the maximum": (_bounds(FIRST, [[2], [3, 64], *BINS, 16, 0]), "range"),
    "meet by nothing": (_bounds(FIRST, [[2], [0, 0], *BINS, 16, 0]), "range"),
    "meet the wrong way": (_bounds(FIRST, [[2], [0, -64], *BINS, 16, 0]), "range"),
    "bounds for a token twice": (_bounds(*[[[0, x], [], *BINS, 16, 0] for x in (1, 2)]), "range"),
    "bound unsorted": (_bounds([[1, 0], [], *BINS, 16, 0]), "range"),
    "bound for m": (_bounds([[0, 3], [], *BINS, 16, 0]), "range"),
    "bound for no token": (_bounds([[0, 4], [], *BINS, 16, 0]), "range"),
    "too many sets": (_sets([CELL] * 4097, []), "range"),
}


def _add(whole: Document, name: str, change: int) -> None:
    whole[STATEMENT][name] += change


@pytest.mark.parametrize("name", FALSE)
def test_false_content_is_refuted_even_when_sealed(name: str, model_path: str, tmp_path: Path) -> None:
    change, rule = FALSE[name]
    verdict = judge(edited(change), model_path, tmp_path)
    assert (verdict.verdict, verdict.exit_code, verdict.rule) == ("refuted", 1, rule), verdict


BAD_DYADICS = [
    "1",
    "0x1p0",
    "0x1.80p+0",
    "-0x0.0p+0",
    "nan",
    "inf",
    "-inf",
    "0x1.0p+5000",
    "",
    " 0x1.0p+0",
    "0X1.0P+0",
    1,
]


@pytest.mark.parametrize("text", BAD_DYADICS)
def test_dyadics_have_one_spelling(text: object, model_path: str, tmp_path: Path) -> None:
    verdict = judge(edited(_rows("tails", [[1, text, 1]])), model_path, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "schema"), verdict


def test_touching_sets_are_not_called_overlapping(model_path: str, tmp_path: Path) -> None:
    """The control of the overlap tests: sets that share no sequence, however close, get past the check."""
    legal = (
        SetContent(0, 3, (Cell(1, (0, 0)), Cell(1, (1, 2)), Cell(0, ())), ()),
        SetContent(0, 3, (), (Box(((0, 3), (0, 2)), True), Box(((0, 3), (3, 3)), True))),
        SetContent(3, 3, (Cell(2, (0, 0)),), (Box(((0, 2), (3, 3))), Box(((1, 3), (1, 1))))),
        SetContent(0, 3, (Cell(1, (0, 1)),), (Box(((2, 2), (3, 3))), Box(((3, 3), (2, 2))))),
    )
    for content in legal:
        verdict = judge(encode(certificate(MODEL, [content])), model_path, tmp_path)
        assert verdict.rule not in ("overlap", "range", "claim"), verdict


def test_rows_of_either_kind_add_up_to_the_claim(model_path: str, tmp_path: Path) -> None:
    tails = TailContent(3, 3, 0.0, tuple(Tail(x, 0.0, 16) for x in range(3)))
    counts = CountContent(2, 3, 0.0, tuple(Count(x, 1.0, 1e9, 7, 0) for x in range(3)))
    for upper in (False, True):
        cert = certificate(MODEL, [counts, tails], upper)
        assert cert.claim.correct_at_least == 0
        assert judge(encode(cert), model_path, tmp_path).verdict == "verified"


@pytest.mark.parametrize("name", ["digest", "file_digest"])
def test_both_digests_count(name: str, model_path: str, tmp_path: Path) -> None:
    whole = document(CERT)
    whole["digest"] = "0" * 64
    body = {key: value for key, value in whole.items() if key != "file_digest"}
    whole["file_digest"] = hashlib.sha256(canonical(body)).hexdigest() if name == "digest" else "0" * 64
    verdict = judge(canonical(whole) + b"\n", model_path, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "digest")
    assert verdict.where.endswith(f"{name} does not match")


def test_no_depth_of_nesting_crashes(model_path: str, tmp_path: Path) -> None:
    """Around the recursion limit the reader, the writer or neither may give up: refused, or verified."""
    for depth in (1, 100, *range(900, 1010), 5000):
        nested = b"[" * depth + b"]" * depth
        body = DATA.replace(b'"remarks":{}', b'"remarks":{"a":' + nested + b"}")
        before, after = body.split(b'"file_digest":"')
        digest = hashlib.sha256(before + after[66:].rstrip(b"\n")).hexdigest()
        verdict = judge(before + b'"file_digest":"' + digest.encode() + after[64:], model_path, tmp_path)
        assert (verdict.verdict, verdict.rule) in (("verified", "all"), ("refused", "json")), (depth, verdict)


def test_claims_beyond_two_to_the_53(tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(2, 60), 1)
    content = SetContent(1, 1, (Cell(59, (0, 0)),))
    whole = document(certificate(model, []))
    assert whole["statement"]["total"] == str(2**60)
    assert judge(encode(certificate(model, [])), saved(model, tmp_path), tmp_path).verdict == "verified"
    for total in (str(2**60 + 1), "1" * 400):
        verdict = judge(
            edited(set_field(STATEMENT, "total", value=total), whole), saved(model, tmp_path), tmp_path
        )
        assert (verdict.verdict, verdict.rule) == ("refuted", "claim")
    assert content.correct_at_least(60) == 1


def test_the_editing_tools_change_nothing_by_themselves() -> None:
    assert seal(document(CERT)) == DATA
    assert canonical(document(CERT)) + b"\n" == DATA
