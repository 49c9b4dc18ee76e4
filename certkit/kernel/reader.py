"""The auditor's reader of certificates: strict, canonical, bounded. It trusts no byte and shares no code.

What is not spelled as the format says is *refused* (exit 2); what is well spelled but says something
impossible, such as q > m, is *refuted* (exit 1) by the rules that use it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from certkit.kernel.verdict import Finding

MAX_BYTES = 1 << 28
_WIDE = 1 << 53

Runs = tuple[int, ...]


class Cell(NamedTuple):
    """Exactly n non-query positions in `allowed`, the others m."""

    n: int
    allowed: Runs


class Box(NamedTuple):
    """A product of token sets, of which `exceptions` are taken out."""

    positions: tuple[Runs, ...]
    contains_max: bool
    exceptions: tuple[tuple[int, ...], ...]


class Row(NamedTuple):
    """One wrong token of a tail ``(multiplier,)`` or count ``(width, offset)``, and what it claims."""

    x: int
    numbers: tuple[float, ...]
    failing_at_most: int
    failing_at_least: int


class Entry(NamedTuple):
    """The content of one class (q, m); `kind` is sets, tails or counts, unused fields are empty."""

    q: int
    m: int
    kind: str
    cells: tuple[Cell, ...]
    boxes: tuple[Box, ...]
    shift: float
    rows: tuple[Row, ...]


class Statement(NamedTuple):
    """The claim, as the file spells it."""

    task: str
    k: int
    vocab: int
    semantics: str
    model: str
    correct_at_least: int
    correct_at_most: int | None
    total: int


def refuse(rule: str, where: str) -> NoReturn:
    """End the audit: the file is not what the format says."""
    raise Finding("refused", rule, where)


def read_bounded(path: str, limit: int) -> bytes:
    """Return the bytes of a file of at most `limit` bytes."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        refuse("read", f"{path}: {error.strerror}")
    if len(data) > limit:
        refuse("read", f"{path}: more than {limit} bytes")
    return data


def parse_json(data: bytes, what: str) -> Any:
    """Return the JSON value in `data`: ASCII or UTF-8, no duplicate key, no float, no integer beyond 2⁵³."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        return fields if len(fields) == len(pairs) else refuse("json", f"{what}: a field is there twice")

    def no_float(text: str) -> NoReturn:
        refuse("json", f"{what}: {text[:40]} is neither an integer nor a string")

    def short_int(text: str) -> int:
        number = int(text) if len(text) <= 17 else _WIDE + 1
        return number if abs(number) <= _WIDE else refuse("json", f"{what}: {text[:17]}… is beyond 2^53")

    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=unique,
            parse_float=no_float,
            parse_constant=no_float,
            parse_int=short_int,
        )
    except (UnicodeDecodeError, json.JSONDecodeError):
        refuse("json", f"{what} is not JSON")
    except RecursionError:
        refuse("json", f"{what} is nested too deeply")


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON value."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    except RecursionError:
        refuse("json", "the certificate is nested too deeply")


def read_certificate(path: str) -> tuple[Statement, tuple[Entry, ...]]:
    """Read and check the envelope, and return what is claimed and what is to prove it."""
    data = read_bounded(path, MAX_BYTES)
    whole = _fields(
        parse_json(data, "the certificate"),
        ("certkit", "digest", "file_digest", "statement", "proof", "remarks"),
    )
    if type(whole["certkit"]) is not int or whole["certkit"] != 1:
        refuse("schema", f"certkit={whole['certkit']!r}: this auditor reads schema 1")
    if canonical(whole) + b"\n" != data:
        refuse("canonical", "the file is not in canonical form")
    body = {name: value for name, value in whole.items() if name != "file_digest"}
    if hashlib.sha256(canonical(body)).hexdigest() != whole["file_digest"]:
        refuse("digest", "the file was changed: file_digest does not match")
    core = canonical({"proof": whole["proof"], "statement": whole["statement"]})
    if hashlib.sha256(core).hexdigest() != whole["digest"]:
        refuse("digest", "the proof or statement was changed: digest does not match")
    proof = _fields(whole["proof"], ("strategy", "version", "parameters", "witness", "content"))
    _typed(proof["strategy"], str, "strategy")
    _typed(proof["version"], int, "version")
    _typed(proof["parameters"], dict, "parameters")
    _typed(whole["remarks"], dict, "remarks")
    content = _typed(proof["content"], list, "content")
    return _statement(whole["statement"]), tuple(map(_entry, content))


def _statement(value: Any) -> Statement:
    fields = _fields(value, Statement._fields)
    most = fields["correct_at_most"]
    return Statement(
        task=_typed(fields["task"], str, "task"),
        k=_typed(fields["k"], int, "k"),
        vocab=_typed(fields["vocab"], int, "vocab"),
        semantics=_typed(fields["semantics"], str, "semantics"),
        model=_typed(fields["model"], str, "model"),
        correct_at_least=_wide(fields["correct_at_least"], "correct_at_least"),
        correct_at_most=None if most is None else _wide(most, "correct_at_most"),
        total=_wide(fields["total"], "total"),
    )


def _entry(value: Any) -> Entry:
    kind = next(
        (name for name in ("sets", "tails", "counts") if isinstance(value, dict) and name in value), "sets"
    )
    fields = _fields(value, ("q", "m", kind))
    q, m = _typed(fields["q"], int, "q"), _typed(fields["m"], int, "m")
    if kind == "sets":
        sets = _fields(fields["sets"], ("cells", "boxes"))
        cells = tuple(map(_cell, _typed(sets["cells"], list, "cells")))
        boxes = tuple(map(_box, _typed(sets["boxes"], list, "boxes")))
        return Entry(q, m, kind, cells, boxes, 0.0, ())
    inner = _fields(fields[kind], ("shift", "rows"))
    rows = (_row(kind, row) for row in _typed(inner["rows"], list, "rows"))
    return Entry(q, m, kind, (), (), _dyadic(inner["shift"], "shift"), tuple(rows))


def _cell(value: Any) -> Cell:
    fields = _fields(value, ("n", "allowed"))
    return Cell(_typed(fields["n"], int, "n"), _integers(fields["allowed"], "allowed"))


def _box(value: Any) -> Box:
    fields = _fields(value, ("positions", "contains_max", "exceptions"))
    positions = tuple(_integers(runs, "positions") for runs in _typed(fields["positions"], list, "positions"))
    exceptions = tuple(
        _integers(row, "exceptions") for row in _typed(fields["exceptions"], list, "exceptions")
    )
    return Box(positions, _typed(fields["contains_max"], bool, "contains_max"), exceptions)


def _row(kind: str, value: Any) -> Row:
    row = _typed(value, list, "row")
    if len(row) != (3 if kind == "tails" else 5):
        refuse("schema", f"a row of {kind} has the wrong length")
    x = _typed(row[0], int, "x")
    if kind == "tails":
        return Row(x, (_dyadic(row[1], "multiplier"),), _wide(row[2], "failing_at_most"), 0)
    numbers = _dyadic(row[1], "width"), _dyadic(row[2], "offset")
    return Row(x, numbers, _wide(row[3], "failing_at_most"), _wide(row[4], "failing_at_least"))


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The value, if it is an object with exactly these fields."""
    fields: dict[str, Any] = _typed(value, dict, "/".join(names))
    if fields.keys() != set(names):
        refuse("schema", f"fields must be {sorted(names)}, not {sorted(fields)}"[:300])
    return fields


def _typed(value: Any, kind: type, name: str) -> Any:
    """The value, if it has exactly this type (so that no bool passes for an int)."""
    return value if type(value) is kind else refuse("schema", f"{name} must be of type {kind.__name__}")


def _integers(value: Any, name: str) -> tuple[int, ...]:
    return tuple(_typed(item, int, name) for item in _typed(value, list, name))


def _wide(value: Any, name: str) -> int:
    """An integer, spelled as a decimal string exactly if it is beyond 2⁵³."""
    if type(value) is str and len(value) <= 4000 and value.isascii() and value.isdigit():
        number = int(value)
        if number > _WIDE and str(number) == value:
            return number
    return int(_typed(value, int, name))


def _dyadic(value: Any, name: str) -> float:
    """A finite float in its one spelling: ``float.hex`` without trailing zeros after the point."""
    try:
        number = float.fromhex(_typed(value, str, name)[:40])
        mantissa, exponent = number.hex().split("p")
    except (ValueError, OverflowError):
        refuse("schema", f"{name} must be a dyadic such as 0x1.8p+3")
    head, tail = mantissa.split(".")
    if value != f"{head}.{tail.rstrip('0') or '0'}p{exponent}" or value == "-0x0.0p+0":
        refuse("schema", f"{name} is not in canonical form")
    return number
