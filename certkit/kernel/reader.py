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
MAX_VALUES = 1 << 25  # each takes up to 150 bytes of memory while it is read
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
    """What a tail ``(multiplier,)`` or count ``(width, offset)`` claims of one wrong token.

    A bound is a count that may be about `others` too, and may leave out what fails for an earlier token y by
    ``k/64`` of its terms, if `meet` is (y, k). In a pool, x is m and stands for every other token: a tail of
    each of them, with the best of so many `levels` of the multiplier, and the tokens `light` taken together.
    """

    x: int
    numbers: tuple[float, ...]
    failing_at_most: int
    failing_at_least: int
    others: tuple[int, ...] = ()
    meet: tuple[int, ...] = ()
    light: Runs = ()
    levels: int = 1


class Entry(NamedTuple):
    """The content of one class (q, m), of the `kind` sets, tails, pool, counts or bounds; the rest empty."""

    q: int
    m: int
    kind: str
    cells: tuple[Cell, ...] = ()
    boxes: tuple[Box, ...] = ()
    shift: float = 0.0
    rows: tuple[Row, ...] = ()


class Task(NamedTuple):
    """The right logit for a sequence is ``labels[t]``, t being its token that comes last in `order`."""

    order: tuple[int, ...]
    labels: tuple[int, ...]


class Statement(NamedTuple):
    """The claim; max-of-k is the task None."""

    task: Task | None
    k: int
    vocab: int
    semantics: str
    model: str
    correct_at_least: int
    correct_at_most: int | None
    total: int


class Wide:
    """Shape: an integer, spelled as a decimal string exactly if it is beyond 2⁵³."""


class Dyadic:
    """Shape: a finite float as ``float.hex`` spells it, without trailing zeros after the point."""


class Maybe(NamedTuple):
    """Shape: null or the shape within."""

    shape: Any


# The shape of the file: a type for exactly that type (bool is not int), {…} for exactly these fields, [s] for
# a list of s, (s, …) for a list of that length, object for anything.
_TAILS = {"q": int, "m": int, "tails": {"shift": Dyadic, "rows": [(int, Dyadic, Wide)]}}
_LADDER = {"light": [int], "multiplier": Dyadic, "levels": int}
_POOL = {"q": int, "m": int, "pool": {"shift": Dyadic, **_LADDER, "failing_at_most": Wide}}
_COUNTS = {"q": int, "m": int, "counts": {"shift": Dyadic, "rows": [(int, Dyadic, Dyadic, Wide, Wide)]}}
_BOUND = ([int], [int], Dyadic, Dyadic, Wide, Wide)
_BOUNDS = {"q": int, "m": int, "bounds": {"shift": Dyadic, "rows": [_BOUND]}}
_BOX = {"positions": [[int]], "contains_max": bool, "exceptions": [[int]]}
_SETS = {"q": int, "m": int, "sets": {"cells": [{"n": int, "allowed": [int]}], "boxes": [_BOX]}}
_CLAIM = {"correct_at_least": Wide, "correct_at_most": Maybe(Wide), "total": Wide}
_STATEMENT = _CLAIM | {"task": object, "k": int, "vocab": int, "semantics": str, "model": str}
_PROOF = {"strategy": str, "version": int, "parameters": dict, "witness": object, "content": [object]}
_FILE = {"digest": str, "file_digest": str, "statement": _STATEMENT, "proof": _PROOF, "remarks": dict}


def refuse(rule: str, where: str) -> NoReturn:
    """End the audit: the file is not what the format says."""
    raise Finding("refused", rule, where[:300])


def read_bounded(path: str, limit: int) -> bytes:
    """Return the bytes of a file of at most `limit` bytes."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        refuse("read", f"{path}: {error.strerror}")
    return data if len(data) <= limit else refuse("read", f"{path}: more than {limit} bytes")


def parse_json(data: bytes, what: str) -> Any:
    """Return the JSON value in `data`: no duplicate key, no float, no integer beyond 2⁵³."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        return fields if len(fields) == len(pairs) else refuse("json", f"{what}: a field is there twice")

    def no_float(text: str) -> NoReturn:
        refuse("json", f"{what}: {text[:40]} is neither an integer nor a string")

    def short_int(text: str) -> int:
        number = int(text) if len(text) <= 17 else _WIDE + 1
        return number if abs(number) <= _WIDE else refuse("json", f"{what}: {text[:17]}… is beyond 2^53")

    hooks: dict[str, Any] = {"parse_float": no_float, "parse_constant": no_float, "parse_int": short_int}
    try:
        return json.loads(data.decode(), object_pairs_hook=unique, **hooks)
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
    if not data.isascii():
        refuse("json", "the certificate is not JSON in ASCII")
    if sum(map(data.count, (b"[", b"{", b",", b":"))) > MAX_VALUES:  # one of them precedes each value
        refuse("read", f"the certificate holds more than {MAX_VALUES} values")
    whole = parse_json(data, "the certificate")
    if type(whole) is not dict or type(whole.get("certkit")) is not int or whole["certkit"] != 1:
        refuse("schema", "this auditor reads certificates with the field certkit: 1")
    if canonical(whole) + b"\n" != data:
        refuse("canonical", "the file is not in canonical form")
    body = {name: value for name, value in whole.items() if name != "file_digest"}
    if hashlib.sha256(canonical(body)).hexdigest() != whole.get("file_digest"):
        refuse("digest", "the file was changed: file_digest does not match")
    core = canonical({name: whole.get(name) for name in ("proof", "statement")})
    if hashlib.sha256(core).hexdigest() != whole.get("digest"):
        refuse("digest", "the proof or statement was changed: digest does not match")
    fields = shaped(whole, _FILE | {"certkit": int}, "certificate")
    if not fields["proof"]["strategy"] or fields["proof"]["version"] < 1:
        refuse("schema", "a strategy has a name and a version of at least 1")
    statement = fields["statement"] | {"task": _task(fields["statement"]["task"])}
    content = enumerate(fields["proof"]["content"])
    return Statement(**statement), tuple(_entry(value, f"content[{i}]") for i, value in content)


def _task(value: Any) -> Task | None:
    if value == "max-of-k":
        return None
    if type(value) is str:
        refuse("task", f"task {value[:40]!r} is unknown to this auditor")
    return Task(**shaped(value, {"order": [int], "labels": [int]}, "task"))


def _entry(value: Any, name: str) -> Entry:
    shapes = {"sets": _SETS, "tails": _TAILS, "pool": _POOL, "counts": _COUNTS, "bounds": _BOUNDS}
    kind = next((kind for kind in shapes if isinstance(value, dict) and kind in value), "sets")
    fields = shaped(value, shapes[kind], name)
    entry, inner = Entry(fields["q"], fields["m"], kind), fields[kind]
    if kind == "sets":
        cells = tuple(Cell(**cell) for cell in inner["cells"])
        return entry._replace(cells=cells, boxes=tuple(Box(**box) for box in inner["boxes"]))
    if kind == "pool":
        row = Row(entry.m, (inner["multiplier"],), inner["failing_at_most"], 0)
        row = row._replace(light=inner["light"], levels=inner["levels"])
        return entry._replace(shift=inner["shift"], rows=(row,))
    return entry._replace(shift=inner["shift"], rows=tuple(_row(name, kind, *row) for row in inner["rows"]))


def _row(name: str, kind: str, *row: Any) -> Row:
    if kind == "tails":
        x, multiplier, most = row
        return Row(x, (multiplier,), most, 0)
    if kind == "counts":
        x, width, offset, most, least = row
        return Row(x, (width, offset), most, least)
    tokens, meet, width, offset, most, least = row
    if not tokens or len(meet) not in (0, 2):
        refuse("schema", f"{name}: a bound is about tokens, and meets one or none by a multiple")
    return Row(tokens[0], (width, offset), most, least, tokens[1:], meet)


def shaped(value: Any, shape: Any, name: str) -> Any:
    """Return the value with lists as tuples and numbers decoded, if it has the shape."""
    if isinstance(shape, Maybe):
        return None if value is None else shaped(value, shape.shape, name)
    if isinstance(shape, dict):
        if type(value) is not dict or value.keys() != shape.keys():
            refuse("schema", f"{name} must be an object with the fields {sorted(shape)}")
        return {key: shaped(value[key], inner, f"{name}.{key}") for key, inner in shape.items()}
    if isinstance(shape, list | tuple):
        inner = shape * len(value) if isinstance(shape, list) and type(value) is list else shape
        if type(value) is not list or len(value) != len(inner):
            refuse("schema", f"{name} must be a list" + f" of {len(shape)}" * isinstance(shape, tuple))
        parts = enumerate(zip(value, inner, strict=True))
        return tuple(shaped(item, part, f"{name}[{i}]") for i, (item, part) in parts)
    if shape is Wide:
        return _wide(value, name)
    if shape is Dyadic:
        return _dyadic(value, name)
    return value if shape in (type(value), object) else refuse("schema", f"{name} must be {shape.__name__}")


def _wide(value: Any, name: str) -> int:
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= 4000 and value.isascii() and value.isdigit():
        number = int(value)
        if number > _WIDE and str(number) == value:
            return number
    refuse("schema", f"{name} must be an integer, as a string exactly if it is beyond 2^53")


def _dyadic(value: Any, name: str) -> float:
    try:
        number = float.fromhex(value[:40] if type(value) is str else "")
        mantissa, exponent = number.hex().split("p")
    except (ValueError, OverflowError):
        refuse("schema", f"{name} must be a dyadic such as 0x1.8p+3")
    head, tail = mantissa.split(".")
    if value != f"{head}.{tail.rstrip('0') or '0'}p{exponent}" or value == "-0x0.0p+0":
        refuse("schema", f"{name} is not in canonical form")
    return number
