"""The certificate file: canonical JSON out, strict JSON in (``docs/reference/certificate-format.md``).

Canonical means one spelling: ASCII, sorted keys, no spaces, one final newline, no JSON floats, integers
beyond ±2⁵³ as decimal strings, reals as `dyadic` strings. `decode` refuses bytes that are not the canonical
form of what they parse to, so equal certificates are equal files. The auditor reads files with its own reader
(`certkit.kernel.reader`); a test holds the two against each other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from certkit.atomic import write_atomically
from certkit.certificate import Certificate, Claim, Json
from certkit.content import (
    Box,
    Cell,
    CertifiedSet,
    Content,
    Count,
    CountContent,
    SetContent,
    Tail,
    TailContent,
)
from certkit.runs import check_task
from certkit.task import Task

__all__ = [
    "SCHEMA",
    "CertificateError",
    "canonical",
    "decode",
    "dyadic",
    "encode",
    "load",
    "save",
    "wide_int",
]

SCHEMA = 1
MAX_BYTES = 1 << 28
_EXACT = 1 << 53


class CertificateError(ValueError):
    """A file is not a certificate; one line says why."""


def dyadic(value: float) -> str:
    """Return the one spelling of a finite float: ``float.hex`` without trailing zeros after the point.

    >>> dyadic(12.0), dyadic(0.1), dyadic(-0.0)
    ('0x1.8p+3', '0x1.999999999999ap-4', '0x0.0p+0')
    """
    if not math.isfinite(value):
        raise ValueError(f"value={value} must be finite to be written to a certificate")
    mantissa, exponent = (value + 0.0).hex().split("p")
    head, tail = mantissa.split(".")
    return f"{head}.{tail.rstrip('0') or '0'}p{exponent}"


def wide_int(value: int) -> int | str:
    """Return the integer itself up to ±2⁵³, else its decimal string.

    >>> wide_int(7), wide_int(2**60)
    (7, '1152921504606846976')
    """
    return value if -_EXACT <= value <= _EXACT else str(value)


def canonical(value: Json) -> bytes:
    """Return the canonical JSON text of a value, without the newline that ends a file.

    >>> canonical({"b": [1, True], "a": "x"})
    b'{"a":"x","b":[1,true]}'
    """
    _check_json(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _check_json(value: Json) -> None:
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if type(value) is not int or abs(value) > _EXACT:
            raise ValueError(f"value={value} is beyond 2^53; write it with wide_int")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"key={key!r} must be a str")
            _check_json(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_json(item)
    else:
        raise TypeError(
            f"value={value!r}: a certificate holds no {type(value).__name__}; write reals with dyadic"
        )


# ------------------------------------------------------------------------------------------------- writing


def encode(certificate: Certificate) -> bytes:
    """Return the bytes of the certificate file."""
    claim = certificate.claim
    statement = {
        "task": claim.task.as_json(),
        "k": claim.k,
        "vocab": claim.vocab,
        "semantics": claim.semantics,
        "model": claim.model_sha256,
        "correct_at_least": wide_int(claim.correct_at_least),
        "correct_at_most": None if claim.correct_at_most is None else wide_int(claim.correct_at_most),
        "total": wide_int(claim.total),
    }
    proof = {
        "strategy": certificate.strategy,
        "version": certificate.version,
        "parameters": certificate.parameters,
        "witness": certificate.witness,
        "content": [_encode_entry(entry) for entry in certificate.content.entries],
    }
    return seal({"certkit": SCHEMA, "statement": statement, "proof": proof, "remarks": certificate.remarks})


def seal(document: Mapping[str, Any]) -> bytes:
    """Return the file of a document with both digests computed anew (whatever the document says)."""
    # Each part is written once; the two digests and the file are put together from the same bytes.
    parts = {key: canonical(value) for key, value in document.items() if key != "file_digest"}
    core = _object({"proof": parts["proof"], "statement": parts["statement"]})
    parts["digest"] = canonical(hashlib.sha256(core).hexdigest())
    parts["file_digest"] = canonical(hashlib.sha256(_object(parts)).hexdigest())
    return _object(parts) + b"\n"


def _object(parts: Mapping[str, bytes]) -> bytes:
    """The canonical object whose values are written already."""
    members = (canonical(key) + b":" + text for key, text in sorted(parts.items()))
    return b"{" + b",".join(members) + b"}"


def _encode_entry(entry: Content) -> Json:
    place: dict[str, Json] = {"q": entry.q, "m": entry.m}
    if isinstance(entry, SetContent):
        return place | {"sets": _encode_sets(entry)}
    if isinstance(entry, TailContent):
        rows: list[Json] = [[t.x, dyadic(t.multiplier), wide_int(t.failing_at_most)] for t in entry.tails]
        return place | {"tails": {"shift": dyadic(entry.shift), "rows": rows}}
    counts: list[Json] = [
        [c.x, dyadic(c.width), dyadic(c.offset), wide_int(c.failing_at_most), wide_int(c.failing_at_least)]
        for c in entry.counts
    ]
    return place | {"counts": {"shift": dyadic(entry.shift), "rows": counts}}


def _encode_sets(entry: SetContent) -> Json:
    return {
        "cells": [{"n": cell.n, "allowed": cell.allowed} for cell in entry.cells],
        "boxes": [
            {"positions": box.positions, "contains_max": box.contains_max, "exceptions": box.exceptions}
            for box in entry.boxes
        ],
    }


def save(certificate: Certificate, path: str | PathLike[str]) -> None:
    """Write the certificate file: the whole of it, or nothing."""
    write_atomically(path, encode(certificate))


# ------------------------------------------------------------------------------------------------- reading


def load(path: str | PathLike[str]) -> Certificate:
    """Read a certificate file.

    Raises:
        CertificateError: the file is not a certificate; one line says why.
        OSError: the file cannot be read.
    """
    size = Path(path).stat().st_size
    if size > MAX_BYTES:
        raise CertificateError(f"{path}: {size} bytes is more than the {MAX_BYTES} a certificate may have")
    try:
        return decode(Path(path).read_bytes())
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from None


def decode(data: bytes) -> Certificate:
    """Return the certificate in the bytes of a file; `CertificateError` if there is none."""
    try:
        return _certificate(data)
    except (ValueError, TypeError) as error:
        raise CertificateError(str(error)) from error


def _certificate(data: bytes) -> Certificate:
    document = _parse(data)
    whole = _fields(document, "certkit", "digest", "file_digest", "statement", "proof", "remarks")
    if type(whole["certkit"]) is not int or whole["certkit"] != SCHEMA:
        raise ValueError(f"certkit={whole['certkit']!r}: this version reads schema {SCHEMA}")
    if seal(document) != data:
        raise ValueError("digest: the file was changed after it was sealed")
    statement = _fields(
        whole["statement"],
        *("task", "k", "vocab", "semantics", "model", "correct_at_least", "correct_at_most", "total"),
    )
    proof = _fields(whole["proof"], "strategy", "version", "parameters", "witness", "content")
    most = statement["correct_at_most"]
    k, vocab = _int(statement["k"], "k"), _int(statement["vocab"], "vocab")
    check_task(k, vocab)
    claim = Claim(
        k=k,
        vocab=vocab,
        model_sha256=_str(statement["model"], "model"),
        correct_at_least=_wide(statement["correct_at_least"], "correct_at_least"),
        correct_at_most=None if most is None else _wide(most, "correct_at_most"),
        semantics=_str(statement["semantics"], "semantics"),
        task=Task.from_json(statement["task"], vocab),
    )
    if _wide(statement["total"], "total") != claim.total:
        raise ValueError(f"total={statement['total']} is not vocab^k={claim.total}")
    return Certificate(
        claim=claim,
        strategy=_str(proof["strategy"], "strategy"),
        version=_int(proof["version"], "version"),
        content=CertifiedSet(
            claim.k, claim.vocab, tuple(map(_decode_entry, _list(proof["content"], "content")))
        ),
        parameters=_mapping(proof["parameters"], "parameters"),
        witness=proof["witness"],
        remarks=_mapping(whole["remarks"], "remarks"),
    )


def _parse(data: bytes) -> Any:
    """Parse canonical JSON: no duplicate keys, floats, NaN or long integers, and no other spelling."""
    try:
        value = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
            parse_int=_short_int,
        )
        same = canonical(value) + b"\n" == data
    except RecursionError:
        raise ValueError("the file is nested too deeply to be a certificate") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not ASCII, so not a certificate") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, so not a certificate: {error}") from None
    if not same:
        raise ValueError("the file is not in canonical form")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(f"duplicate field among {[key for key, _ in pairs]}")
    return fields


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text}: a certificate holds no decimal numbers")


def _short_int(text: str) -> int:
    if len(text) > 17:
        raise ValueError(f"{text[:17]}…: integers beyond 2^53 are strings")
    return int(text)


def _fields(value: Any, *names: str) -> Mapping[str, Any]:
    fields = _mapping(value, "/".join(names))
    if set(fields) != set(names):
        missing, extra = sorted(set(names) - set(fields)), sorted(set(fields) - set(names))
        raise ValueError(f"missing fields {missing}, unknown fields {extra}")
    return fields


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be an object")
    return value


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list")
    return value


def _str(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a string")
    return value


def _int(value: Any, name: str) -> int:
    if type(value) is not int:
        raise TypeError(f"{name}={value!r} must be an integer")
    return value


def _wide(value: Any, name: str) -> int:
    if (
        isinstance(value, str)
        and len(value) <= 4000
        and value.isascii()
        and value.removeprefix("-").isdigit()
    ):
        number = int(value)
        if wide_int(number) == value:
            return number
    elif type(value) is int:
        return value
    raise ValueError(f"{name}={str(value)[:40]!r} must be an integer, as a decimal string only beyond 2^53")


def _real(value: Any, name: str) -> float:
    text = _str(value, name)
    if len(text) > 40:
        raise ValueError(f"{name}={text[:40]!r}… is too long for a dyadic")
    try:
        number = float.fromhex(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}={text!r} must be a dyadic such as 0x1.8p+3") from None
    if dyadic(number) != text:
        raise ValueError(f"{name}={text!r} must be spelled {dyadic(number)}")
    return number


def _decode_entry(entry: Any) -> Content:
    kinds = [kind for kind in ("sets", "tails", "counts") if kind in _mapping(entry, "content entry")]
    if len(kinds) != 1:
        raise ValueError(f"content entry needs exactly one of sets, tails, counts; it has {kinds}")
    fields = _fields(entry, "q", "m", kinds[0])
    q, m = _int(fields["q"], "q"), _int(fields["m"], "m")
    if kinds[0] == "sets":
        sets = _fields(fields["sets"], "cells", "boxes")
        cells = tuple(map(_decode_cell, _list(sets["cells"], "cells")))
        return SetContent(q, m, cells, tuple(map(_decode_box, _list(sets["boxes"], "boxes"))))
    if kinds[0] == "tails":
        tails = _fields(fields["tails"], "shift", "rows")
        rows = tuple(map(_decode_tail, _list(tails["rows"], "rows")))
        return TailContent(q, m, _real(tails["shift"], "shift"), rows)
    counts = _fields(fields["counts"], "shift", "rows")
    count_rows = tuple(map(_decode_count, _list(counts["rows"], "rows")))
    return CountContent(q, m, _real(counts["shift"], "shift"), count_rows)


def _decode_cell(value: Any) -> Cell:
    fields = _fields(value, "n", "allowed")
    return Cell(_int(fields["n"], "n"), tuple(_list(fields["allowed"], "allowed")))


def _decode_box(value: Any) -> Box:
    fields = _fields(value, "positions", "contains_max", "exceptions")
    positions = tuple(tuple(_list(runs, "positions")) for runs in _list(fields["positions"], "positions"))
    exceptions = tuple(tuple(_list(row, "exceptions")) for row in _list(fields["exceptions"], "exceptions"))
    return Box(positions, fields["contains_max"], exceptions)


def _decode_tail(row: Any) -> Tail:
    if len(_list(row, "tail row")) != 3:
        raise ValueError(f"tail row {row} must be [x, multiplier, failing_at_most]")
    return Tail(row[0], _real(row[1], "multiplier"), _wide(row[2], "failing_at_most"))


def _decode_count(row: Any) -> Count:
    if len(_list(row, "count row")) != 5:
        raise ValueError(f"count row {row} must be [x, width, offset, failing_at_most, failing_at_least]")
    width, offset = _real(row[1], "width"), _real(row[2], "offset")
    return Count(row[0], width, offset, _wide(row[3], "failing_at_most"), _wide(row[4], "failing_at_least"))
