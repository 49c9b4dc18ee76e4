"""The certificate file: canonical JSON out, strict JSON in (``docs/reference/certificate-format.md``).

Canonical means one spelling: ASCII, sorted keys, no spaces, one final newline, no JSON floats, integers
beyond ±2⁵³ as decimal strings, reals as `dyadic` strings. `decode` refuses bytes that are not the canonical
form of what they parse to, so equal certificates are equal files. The auditor reads files with its own reader
(`certkit.kernel.reader`); a test holds the two against each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from certkit.atomic import write_atomically
from certkit.certificate import Certificate, Claim, Json
from certkit.content import (
    Bound,
    BoundContent,
    Box,
    Cell,
    CertifiedSet,
    Content,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
)
from certkit.runs import check_task
from certkit.spelling import (
    EXACT,
    dyadic,
    fields_of,
    int_of,
    list_of,
    mapping_of,
    real_of,
    str_of,
    wide_int,
    wide_of,
)
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
_KINDS = ("sets", "tails", "pool", "counts", "bounds")


class CertificateError(ValueError):
    """A file is not a certificate; one line says why."""


def canonical(value: Json) -> bytes:
    """Return the canonical JSON text of a value, without the newline that ends a file.

    >>> canonical({"b": [1, True], "a": "x"})
    b'{"a":"x","b":[1,true]}'
    """
    _check_json(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _check_json(value: Json) -> None:
    if type(value) is int and -EXACT <= value <= EXACT:
        return
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if type(value) is not int or abs(value) > EXACT:
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
    if isinstance(entry, PoolContent):
        return place | {"pool": _encode_pool(entry)}
    if isinstance(entry, BoundContent):
        bounds: list[Json] = [_encode_bound(bound) for bound in entry.bounds]
        return place | {"bounds": {"shift": dyadic(entry.shift), "rows": bounds}}
    counts: list[Json] = [
        [c.x, dyadic(c.width), dyadic(c.offset), wide_int(c.failing_at_most), wide_int(c.failing_at_least)]
        for c in entry.counts
    ]
    return place | {"counts": {"shift": dyadic(entry.shift), "rows": counts}}


def _encode_pool(entry: PoolContent) -> Json:
    return {
        "shift": dyadic(entry.shift),
        "light": entry.light,
        "multiplier": dyadic(entry.multiplier),
        "levels": entry.levels,
        "failing_at_most": wide_int(entry.failing_at_most),
    }


def _encode_bound(bound: Bound) -> Json:
    numbers = [dyadic(bound.width), dyadic(bound.offset)]
    claim = [wide_int(bound.failing_at_most), wide_int(bound.failing_at_least)]
    return [bound.outputs, bound.meet or [], *numbers, *claim]


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
    whole = fields_of(document, "certkit", "digest", "file_digest", "statement", "proof", "remarks")
    if type(whole["certkit"]) is not int or whole["certkit"] != SCHEMA:
        raise ValueError(f"certkit={whole['certkit']!r}: this version reads schema {SCHEMA}")
    if seal(document) != data:
        raise ValueError("digest: the file was changed after it was sealed")
    statement = fields_of(
        whole["statement"],
        *("task", "k", "vocab", "semantics", "model", "correct_at_least", "correct_at_most", "total"),
    )
    proof = fields_of(whole["proof"], "strategy", "version", "parameters", "witness", "content")
    most = statement["correct_at_most"]
    k, vocab = int_of(statement["k"], "k"), int_of(statement["vocab"], "vocab")
    check_task(k, vocab)
    claim = Claim(
        k=k,
        vocab=vocab,
        model_sha256=str_of(statement["model"], "model"),
        correct_at_least=wide_of(statement["correct_at_least"], "correct_at_least"),
        correct_at_most=None if most is None else wide_of(most, "correct_at_most"),
        semantics=str_of(statement["semantics"], "semantics"),
        task=Task.from_json(statement["task"], vocab),
    )
    if wide_of(statement["total"], "total") != claim.total:
        raise ValueError(f"total={statement['total']} is not vocab^k={claim.total}")
    return Certificate(
        claim=claim,
        strategy=str_of(proof["strategy"], "strategy"),
        version=int_of(proof["version"], "version"),
        content=CertifiedSet(
            claim.k, claim.vocab, tuple(map(_decode_entry, list_of(proof["content"], "content")))
        ),
        parameters=mapping_of(proof["parameters"], "parameters"),
        witness=proof["witness"],
        remarks=mapping_of(whole["remarks"], "remarks"),
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


def _decode_entry(entry: Any) -> Content:
    kinds = [kind for kind in _KINDS if kind in mapping_of(entry, "content entry")]
    if len(kinds) != 1:
        raise ValueError(f"content entry needs exactly one of {', '.join(_KINDS)}; it has {kinds}")
    fields = fields_of(entry, "q", "m", kinds[0])
    q, m = int_of(fields["q"], "q"), int_of(fields["m"], "m")
    if kinds[0] == "sets":
        sets = fields_of(fields["sets"], "cells", "boxes")
        cells = tuple(map(_decode_cell, list_of(sets["cells"], "cells")))
        return SetContent(q, m, cells, tuple(map(_decode_box, list_of(sets["boxes"], "boxes"))))
    if kinds[0] == "tails":
        tails = fields_of(fields["tails"], "shift", "rows")
        rows = tuple(map(_decode_tail, list_of(tails["rows"], "rows")))
        return TailContent(q, m, real_of(tails["shift"], "shift"), rows)
    if kinds[0] == "pool":
        return _decode_pool(q, m, fields["pool"])
    if kinds[0] == "bounds":
        bounds = fields_of(fields["bounds"], "shift", "rows")
        bound_rows = tuple(map(_decode_bound, list_of(bounds["rows"], "rows")))
        return BoundContent(q, m, real_of(bounds["shift"], "shift"), bound_rows)
    counts = fields_of(fields["counts"], "shift", "rows")
    count_rows = tuple(map(_decode_count, list_of(counts["rows"], "rows")))
    return CountContent(q, m, real_of(counts["shift"], "shift"), count_rows)


def _decode_cell(value: Any) -> Cell:
    fields = fields_of(value, "n", "allowed")
    return Cell(int_of(fields["n"], "n"), tuple(list_of(fields["allowed"], "allowed")))


def _decode_box(value: Any) -> Box:
    fields = fields_of(value, "positions", "contains_max", "exceptions")
    positions = tuple(tuple(list_of(runs, "positions")) for runs in list_of(fields["positions"], "positions"))
    exceptions = tuple(
        tuple(list_of(row, "exceptions")) for row in list_of(fields["exceptions"], "exceptions")
    )
    return Box(positions, fields["contains_max"], exceptions)


def _decode_tail(row: Any) -> Tail:
    x, multiplier, most = _row(row, "x", "multiplier", "failing_at_most")
    return Tail(x, real_of(multiplier, "multiplier"), wide_of(most, "failing_at_most"))


def _decode_pool(q: int, m: int, value: Any) -> PoolContent:
    pool = fields_of(value, "shift", "light", "multiplier", "levels", "failing_at_most")
    light, levels = tuple(list_of(pool["light"], "light")), int_of(pool["levels"], "levels")
    reals = real_of(pool["shift"], "shift"), real_of(pool["multiplier"], "multiplier")
    return PoolContent(
        q, m, reals[0], light, reals[1], levels, wide_of(pool["failing_at_most"], "failing_at_most")
    )


def _decode_count(row: Any) -> Count:
    x, width, offset, most, least = _row(row, "x", "width", "offset", "failing_at_most", "failing_at_least")
    claim = wide_of(most, "failing_at_most"), wide_of(least, "failing_at_least")
    return Count(x, real_of(width, "width"), real_of(offset, "offset"), *claim)


def _decode_bound(row: Any) -> Bound:
    names = ("outputs", "meet", "width", "offset", "failing_at_most", "failing_at_least")
    outputs, meet, width, offset, most, least = _row(row, *names)
    met = (*_row(meet, "y", "k"),) if list_of(meet, "meet") else None
    reals = real_of(width, "width"), real_of(offset, "offset")
    claim = wide_of(most, "failing_at_most"), wide_of(least, "failing_at_least")
    return Bound(tuple(list_of(outputs, "outputs")), met, *reals, *claim)


def _row(value: Any, *names: str) -> Sequence[Any]:
    if len(list_of(value, "row")) != len(names):
        raise ValueError(f"row {value} must be [{', '.join(names)}]")
    return list_of(value, "row")
