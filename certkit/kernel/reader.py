"""The auditor's reader of certificates: strict, canonical, bounded. It trusts no byte and shares no code.

What is not spelled as the format says is *refused* (exit 2); what is well spelled but says something
impossible, such as q > m, is *refuted* (exit 1) by the rules that use it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from certkit.kernel.verdict import WIDE, Finding

MAX_BYTES = 1 << 28
MAX_VALUES = 1 << 25  # each takes up to 150 bytes of memory while it is read

Runs = tuple[int, ...]


class Statement(NamedTuple):
    """The claim."""

    task: Any
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
    return data if len(data) <= limit else refuse("read", f"{path}: more than {limit} bytes")


def parse_json(data: bytes, what: str) -> Any:
    """Return the JSON value in `data`: no duplicate key, no float, no integer beyond 2⁵³."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        return fields if len(fields) == len(pairs) else refuse("json", f"{what}: a field is there twice")

    def number(text: str) -> int:
        small = len(text) <= 17 and text.lstrip("-").isdigit() and abs(int(text)) <= WIDE
        return int(text) if small else refuse("json", f"{what}: {text[:17]} is no integer up to 2^53")

    hooks: dict[str, Any] = dict.fromkeys(("parse_float", "parse_constant", "parse_int"), number)
    try:
        return json.loads(data.decode(), object_pairs_hook=unique, **hooks)
    except ValueError:
        refuse("json", f"{what} is not JSON, or cut off")


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def wide(value: Any, name: str) -> int:
    """Shape: an integer, spelled as a decimal string exactly if it is beyond 2⁵³."""
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= 4000 and value.isascii() and value.isdigit():
        number = int(value)
        if number > WIDE and str(number) == value:
            return number
    refuse("schema", f"{name} must be an integer, as a string exactly if it is beyond 2^53")


def maybe_wide(value: Any, name: str) -> int | None:
    """Shape: null or such an integer."""
    return None if value is None else wide(value, name)


def dyadic(value: Any, name: str) -> float:
    """Shape: a finite float as ``float.hex`` spells it, without trailing zeros after the point."""
    try:
        number = float.fromhex(value[:40] if type(value) is str else "")
    except (ValueError, OverflowError):
        refuse("schema", f"{name} must be a dyadic such as 0x1.8p+3")
    if value != re.sub("(?<=[^.])0+p", "p", number.hex()) or value in ("-0x0.0p+0", "inf", "-inf", "nan"):
        refuse("schema", f"{name} is not in canonical form")
    return number


# The shape of the file: a type for exactly that type (bool is not int), {…} for exactly these fields, [s] for
# a list of s, (s, …) for a list of that length, object for anything, or a function that reads the value.
_CLAIM = {"correct_at_least": wide, "correct_at_most": maybe_wide, "total": wide}
_STATEMENT = _CLAIM | {"task": object, "k": int, "vocab": int, "semantics": str, "model": str}
_PROOF = {"strategy": str, "version": int, "parameters": dict, "witness": object, "content": [object]}
_FILE = {"digest": str, "file_digest": str, "statement": _STATEMENT, "proof": _PROOF, "remarks": dict}


def read_certificate(path: str) -> tuple[Statement, tuple[Any, ...]]:
    """Read and check the envelope, and return what is claimed and what is to prove it, unread as yet."""
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
    return Statement(**fields["statement"]), fields["proof"]["content"]


def shaped(value: Any, shape: Any, name: str) -> Any:
    """Return the value with lists as tuples and numbers decoded, if it has the shape."""
    if isinstance(shape, dict):
        if type(value) is not dict or value.keys() != shape.keys():
            odd = sorted(value.keys() ^ shape.keys())[:9] if type(value) is dict else type(value).__name__
            refuse("schema", f"{name} must be an object with the fields {sorted(shape)}; wrong is {odd!a}")
        return {key: shaped(value[key], inner, f"{name}.{key}") for key, inner in shape.items()}
    if isinstance(shape, list | tuple):
        inner = shape * len(value) if isinstance(shape, list) and type(value) is list else shape
        if type(value) is not list or len(value) != len(inner):
            refuse("schema", f"{name} must be a list" + f" of {len(shape)}" * isinstance(shape, tuple))
        parts = enumerate(zip(value, inner, strict=True))
        return tuple(shaped(item, part, f"{name}[{i}]") for i, (item, part) in parts)
    if not isinstance(shape, type):
        return shape(value, name)
    return value if shape in (type(value), object) else refuse("schema", f"{name} must be {shape.__name__}")
