"""What an adversary may do to a parsed certificate: edits of the statement, the content and the spelling.

Each edit changes the document in place; it raises `Inapplicable` if the certificate has nothing it could
change. An edit that invents or drops something adjusts the claim, so that only the content is false.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

__all__ = ["EDITS", "Document", "Inapplicable"]

Document = dict[str, Any]

_AT_MOST = {"tails": 2, "counts": 3, "bounds": 4}
"""Where in a row of each kind the number stands that it may fail at most."""


class Inapplicable(Exception):
    """This certificate has nothing the edit could change."""


def _first(items: list[Any], wanted: Callable[[Any], bool] = lambda item: True) -> Any:
    for item in items:
        if wanted(item):
            return item
    raise Inapplicable


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
            raise Inapplicable
        document["statement"]["correct_at_most"] = int(most) + change

    return edit


def _at_most_from_nothing(document: Document) -> None:
    if document["statement"]["correct_at_most"] is not None:
        raise Inapplicable
    document["statement"]["correct_at_most"] = document["statement"]["correct_at_least"]


def _statement(name: str, value: Any) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        if document["statement"][name] == value:
            raise Inapplicable
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
        raise Inapplicable
    content[0], content[1] = content[1], content[0]


def _drop_entry(document: Document) -> None:
    _content(document).remove(_entry(document, "sets"))  # tails and counts may contribute nothing


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
        raise Inapplicable
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


def _fewer_failures(document: Document, kind: str) -> None:
    """Claim that nothing fails where the row says something does."""
    place = _AT_MOST[kind]
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
    place = _AT_MOST[kind]
    for entry in _content(document):
        for row in entry[kind]["rows"] if kind in entry else []:
            if int(row[place]) > 0:
                entry[kind]["rows"].remove(row)
                _raised(document, int(row[place]))
                return
    raise Inapplicable


def _repeat_row(document: Document, kind: str) -> None:
    rows = _entry(document, kind)[kind]["rows"]
    rows.append(_first(rows))


def _row_about_max(document: Document, kind: str) -> None:
    entry = _first(_content(document), lambda e: kind in e and e[kind]["rows"])
    entry[kind]["rows"][0][0] = [entry["m"]] if kind == "bounds" else entry["m"]


def _one_failure_less(document: Document) -> None:
    """Claim one sequence more, of those that a bound says may fail."""
    rows = [row for e in _content(document) if "bounds" in e for row in e["bounds"]["rows"]]
    row = _first(rows, lambda row: int(row[4]) > int(row[5]))
    row[4] = int(row[4]) - 1
    _raised(document, 1)


def _meeting(document: Document) -> list[Any]:
    """The rows of a class in which the last one meets another."""
    bounds = [e["bounds"]["rows"] for e in _content(document) if "bounds" in e]
    rows: list[Any] = _first(bounds, lambda rows: rows and rows[-1][1])
    return rows


def _meet_uncovered(document: Document) -> None:
    """Leave out what fails for an output before a row covers it."""
    _meeting(document).reverse()


def _meet_itself(document: Document) -> None:
    row = _meeting(document)[-1]
    row[1][0] = row[0][0]


def _meet_negative(document: Document) -> None:
    _meeting(document)[-1][1][1] *= -1


def _more_certain_failures(document: Document) -> None:
    row = _row(document, "counts")
    row[4] = row[3]
    if row[3] == 0:
        raise Inapplicable


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
    "tail claims no failures": _per_kind(_fewer_failures, "tails"),
    "count claims no failures": _per_kind(_fewer_failures, "counts"),
    "negative multiplier": _tail_negative,
    "infinite multiplier": _tail_infinite,
    "NaN multiplier": _tail_nan,
    "tail row dropped": _per_kind(_drop_row, "tails"),
    "count row dropped": _per_kind(_drop_row, "counts"),
    "tail row twice": _per_kind(_repeat_row, "tails"),
    "count row twice": _per_kind(_repeat_row, "counts"),
    "tail about the maximum": _per_kind(_row_about_max, "tails"),
    "count about the maximum": _per_kind(_row_about_max, "counts"),
    "bound claims no failures": _per_kind(_fewer_failures, "bounds"),
    "bound claims one failure less": _one_failure_less,
    "bound dropped": _per_kind(_drop_row, "bounds"),
    "bound twice": _per_kind(_repeat_row, "bounds"),
    "bound about the maximum": _per_kind(_row_about_max, "bounds"),
    "bound meets what is not covered": _meet_uncovered,
    "bound meets itself": _meet_itself,
    "bound meets a negative multiple": _meet_negative,
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
