"""Certificate files edited by an adversary: each must be refused, as edited and re-sealed with correct
digests.

An *edit* changes the parsed document; it is tried with its old digests and with digests computed anew. A
*byte edit* changes the bytes of the file. Edits that have nothing to change in a given certificate (no
tails, say) are left out for it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs

__all__ = ["FileMutant", "file_mutants", "reseal"]

Document = dict[str, Any]


@attrs.frozen
class FileMutant:
    """One corrupted certificate file.

    Attributes:
        name: what was done.
        sealed: whether both digests were computed anew after the edit.
        data: the bytes of the file.
    """

    name: str
    sealed: bool
    data: bytes


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def reseal(document: Document) -> bytes:
    """The file of a document with correct digests, however invalid its content (floats, NaN, anything)."""
    body = {name: value for name, value in document.items() if name != "file_digest"}
    core = _text({"proof": body.get("proof"), "statement": body.get("statement")})
    body["digest"] = hashlib.sha256(core).hexdigest()
    return _text({**body, "file_digest": hashlib.sha256(_text(body)).hexdigest()}) + b"\n"


class _Inapplicable(Exception):
    """This certificate has nothing the edit could change."""


def _first(items: list[Any], wanted: Callable[[Any], bool] = lambda item: True) -> Any:
    for item in items:
        if wanted(item):
            return item
    raise _Inapplicable


def _content(document: Document) -> list[Any]:
    content: list[Any] = document["proof"]["content"]
    return content


def _entry(document: Document, kind: str) -> Document:
    entry: Document = _first(_content(document), lambda e: kind in e)
    return entry


def _cell(document: Document, wanted: Callable[[Any], bool] = lambda cell: cell["n"] > 0) -> Document:
    cells = [cell for e in _content(document) if "sets" in e for cell in e["sets"]["cells"]]
    cell: Document = _first(cells, wanted)
    return cell


def _box(document: Document, wanted: Callable[[Any], bool] = lambda box: True) -> Document:
    boxes = [box for e in _content(document) if "sets" in e for box in e["sets"]["boxes"]]
    box: Document = _first(boxes, wanted)
    return box


def _row(document: Document, kind: str) -> list[Any]:
    row: list[Any] = _first([row for e in _content(document) if kind in e for row in e[kind]["rows"]])
    return row


# --- the statement ---


def _claim(change: int) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        statement = document["statement"]
        statement["correct_at_least"] = int(statement["correct_at_least"]) + change

    return edit


def _at_most(change: int) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        most = document["statement"]["correct_at_most"]
        if most is None:
            raise _Inapplicable
        document["statement"]["correct_at_most"] = int(most) + change

    return edit


def _at_most_from_nothing(document: Document) -> None:
    if document["statement"]["correct_at_most"] is not None:
        raise _Inapplicable
    document["statement"]["correct_at_most"] = document["statement"]["correct_at_least"]


def _statement(name: str, value: Any) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        if document["statement"][name] == value:
            raise _Inapplicable
        document["statement"][name] = value

    return edit


def _flip_model(document: Document) -> None:
    model = document["statement"]["model"]
    document["statement"]["model"] = ("0" if model[0] != "0" else "1") + model[1:]


def _bool_for_int(document: Document) -> None:
    entry = _first(_content(document), lambda e: e["q"] in (0, 1))
    entry["q"] = bool(entry["q"])


# --- the content ---


def _raised(document: Document, by: int) -> None:
    document["statement"]["correct_at_least"] = int(document["statement"]["correct_at_least"]) + by


def _duplicate_entry(document: Document) -> None:
    content = _content(document)
    content.insert(0, copy.deepcopy(_first(content)))


def _swap_entries(document: Document) -> None:
    content = _content(document)
    if len(content) < 2:
        raise _Inapplicable
    content[0], content[1] = content[1], content[0]


def _drop_entry(document: Document) -> None:
    _first(_content(document))
    _content(document).pop()


def _query_above_max(document: Document) -> None:
    entry = _content(document)[-1] if _content(document) else _first([])
    entry["q"] = entry["m"] + 1


def _max_out_of_range(document: Document) -> None:
    entry = _content(document)[-1] if _content(document) else _first([])
    entry["m"] = document["statement"]["vocab"]


def _duplicate_cell(document: Document) -> None:
    sets = _first(_content(document), lambda e: "sets" in e and e["sets"]["cells"])["sets"]
    sets["cells"].append(copy.deepcopy(sets["cells"][0]))


def _cell_n(change: int) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        _cell(document)["n"] += change * document["statement"]["k"]

    return edit


def _cell_takes_max(document: Document) -> None:
    entry = _first(_content(document), lambda e: "sets" in e and any(c["n"] for c in e["sets"]["cells"]))
    _first(entry["sets"]["cells"], lambda c: c["n"] > 0)["allowed"] = [0, entry["m"]]


def _cell_reversed(document: Document) -> None:
    cell = _cell(document, lambda c: c["n"] > 0 and c["allowed"][0] < c["allowed"][-1])
    cell["allowed"] = cell["allowed"][::-1]


def _cell_repeats(document: Document) -> None:
    cell = _cell(document)
    cell["allowed"] = cell["allowed"] + cell["allowed"][-2:]


def _cell_negative(document: Document) -> None:
    _cell(document)["allowed"][0] = -1


def _drop_exception(document: Document) -> None:
    _box(document, lambda box: box["exceptions"])["exceptions"].pop()
    _raised(document, 1)


def _repeat_exception(document: Document) -> None:
    box = _box(document, lambda box: box["exceptions"])
    box["exceptions"].append(box["exceptions"][-1])
    _raised(document, -1)


def _swap_exceptions(document: Document) -> None:
    box = _box(document, lambda box: len(box["exceptions"]) > 1)
    box["exceptions"].reverse()


def _foreign_exception(document: Document) -> None:
    box = _box(document, lambda box: box["positions"])
    box["exceptions"].append([document["statement"]["vocab"]] * len(box["positions"]))
    _raised(document, -1)


def _invented_exception(document: Document) -> None:
    """Take a correct sequence out: the lower claim stays provable, the upper claim becomes false."""
    if document["statement"]["correct_at_most"] is None:
        raise _Inapplicable
    box = _box(document, lambda box: not box["exceptions"] and box["positions"])
    box["exceptions"].append([runs[-1] for runs in box["positions"]])
    _raised(document, -1)
    document["statement"]["correct_at_most"] = int(document["statement"]["correct_at_most"]) - 1


def _short_box(document: Document) -> None:
    _box(document, lambda box: box["positions"])["positions"].pop()


def _without_max(document: Document) -> None:
    _box(document, lambda box: box["contains_max"])["contains_max"] = False


def _duplicate_box(document: Document) -> None:
    sets = _first(_content(document), lambda e: "sets" in e and e["sets"]["boxes"])["sets"]
    sets["boxes"].append(copy.deepcopy(sets["boxes"][0]))


def _fewer_failures(document: Document, kind: str, place: int) -> None:
    """Claim that nothing fails where the row says something does."""
    rows = [row for e in _content(document) if kind in e for row in e[kind]["rows"]]
    row = _first(rows, lambda row: int(row[place]) > 0)
    _raised(document, int(row[place]))
    row[place] = 0


def _tail_negative(document: Document) -> None:
    row = _row(document, "tails")
    row[1] = "-0x1.0p+0"


def _tail_infinite(document: Document) -> None:
    _row(document, "tails")[1] = "inf"


def _tail_nan(document: Document) -> None:
    _row(document, "tails")[1] = "nan"


def _drop_row(document: Document, kind: str) -> None:
    """Say that an x that can fail never does."""
    for entry in _content(document):
        for row in entry[kind]["rows"] if kind in entry else []:
            if int(row[2 if kind == "tails" else 3]) > 0:
                entry[kind]["rows"].remove(row)
                _raised(document, int(row[2 if kind == "tails" else 3]))
                return
    raise _Inapplicable


def _repeat_row(document: Document, kind: str) -> None:
    rows = _entry(document, kind)[kind]["rows"]
    rows.append(_first(rows))


def _row_about_max(document: Document, kind: str) -> None:
    entry = _first(_content(document), lambda e: kind in e and e[kind]["rows"])
    entry[kind]["rows"][0][0] = entry["m"]


def _more_certain_failures(document: Document) -> None:
    row = _row(document, "counts")
    row[4] = row[3]
    if row[3] == 0:
        raise _Inapplicable


def _zero_width(document: Document) -> None:
    _row(document, "counts")[1] = "0x0.0p+0"


# --- spelling ---


def _unknown_field(document: Document) -> None:
    document["proof"]["trust"] = "me"


def _missing_field(document: Document) -> None:
    del document["proof"]["parameters"]


def _float_number(document: Document) -> None:
    document["statement"]["k"] = float(document["statement"]["k"])


def _string_number(document: Document) -> None:
    document["statement"]["k"] = str(document["statement"]["k"])


def _deep(document: Document) -> None:
    value: Any = []
    for _ in range(900):
        value = [value]
    document["proof"]["content"] = value


def _oversized(document: Document) -> None:
    document["statement"]["total"] = 10**400


def _schema(document: Document) -> None:
    document["certkit"] = 2


def _per_kind(edit: Callable[[Document, str], None], kind: str) -> Callable[[Document], None]:
    return lambda document: edit(document, kind)


EDITS: dict[str, Callable[[Document], None]] = {
    "claim raised by one": _claim(1),
    "claim lowered by one": _claim(-1),
    "upper claim lowered by one": _at_most(-1),
    "upper claim raised by one": _at_most(1),
    "upper claim from nothing": _at_most_from_nothing,
    "total changed": _statement("total", 1),
    "vocab changed": _statement("vocab", 3),
    "K changed": _statement("k", 2),
    "other semantics": _statement("semantics", "approximately"),
    "other task": _statement("task", "min-of-k"),
    "other model": _flip_model,
    "bool for int": _bool_for_int,
    "entry twice": _duplicate_entry,
    "entries out of order": _swap_entries,
    "entry dropped": _drop_entry,
    "query above the maximum": _query_above_max,
    "maximum out of range": _max_out_of_range,
    "cells overlap": _duplicate_cell,
    "n above K": _cell_n(1),
    "n below 0": _cell_n(-1),
    "cell takes the maximum": _cell_takes_max,
    "runs reversed": _cell_reversed,
    "runs repeated": _cell_repeats,
    "negative token": _cell_negative,
    "exception dropped": _drop_exception,
    "exception repeated": _repeat_exception,
    "exceptions out of order": _swap_exceptions,
    "exception not in its box": _foreign_exception,
    "exception invented": _invented_exception,
    "position missing": _short_box,
    "maximum not required": _without_max,
    "boxes overlap": _duplicate_box,
    "tail claims no failures": lambda d: _fewer_failures(d, "tails", 2),
    "count claims no failures": lambda d: _fewer_failures(d, "counts", 3),
    "negative multiplier": _tail_negative,
    "infinite multiplier": _tail_infinite,
    "NaN multiplier": _tail_nan,
    "tail row dropped": _per_kind(_drop_row, "tails"),
    "count row dropped": _per_kind(_drop_row, "counts"),
    "tail row twice": _per_kind(_repeat_row, "tails"),
    "count row twice": _per_kind(_repeat_row, "counts"),
    "tail about the maximum": _per_kind(_row_about_max, "tails"),
    "count about the maximum": _per_kind(_row_about_max, "counts"),
    "more certain failures": _more_certain_failures,
    "bins of no width": _zero_width,
    "unknown field": _unknown_field,
    "missing field": _missing_field,
    "float for int": _float_number,
    "string for int": _string_number,
    "nested deeply": _deep,
    "oversized number": _oversized,
    "other schema": _schema,
}
"""What an adversary may do to a document; the value edits it in place."""


def _flip(data: bytes, index: int, bit: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1 << bit]) + data[index + 1 :]


def _byte_edits(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty file", b""
    yield "truncated", data[: len(data) // 2]
    yield "last byte missing", data[:-1]
    yield "byte appended", data + b"\n"
    yield "byte-order mark", b"\xef\xbb\xbf" + data
    yield "space added", data.replace(b":", b": ", 1)
    yield "duplicate key", b'{"certkit":1,' + data[1:]
    yield "bit flipped", _flip(data, len(data) // 3, 0)
    yield "not UTF-8", _flip(data, len(data) // 2, 7)
    # A witness or a remark proves nothing, so a re-sealed edit of one is a valid certificate; an unsealed
    # one is not.
    yield "remark edited", data.replace(b'"remarks":{', b'"remarks":{"a":1,', 1)
    yield "witness edited", data.replace(b'"witness":', b'"witness":[],"was":', 1)
    digit = data.index(b'"digest":"') + 12
    yield "digest edited", _flip(data, digit, 0)


def file_mutants(data: bytes) -> Iterator[FileMutant]:
    """Every mutant of one certificate file.

    Args:
        data: a certificate that verifies.
    """
    for name, changed in _byte_edits(data):
        yield FileMutant(name, False, changed)
    for name, edit in EDITS.items():
        document = json.loads(data)
        try:
            edit(document)
        except _Inapplicable:
            continue
        yield FileMutant(name, False, _text(document) + b"\n")
        yield FileMutant(name, True, reseal(document))
