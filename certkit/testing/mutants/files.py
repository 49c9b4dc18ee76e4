"""Certificate files edited by an adversary: each must be refused, as edited and re-sealed with correct
digests.

An *edit* changes the parsed document; it is tried with its old digests and with digests computed anew. A
*byte edit* changes the bytes of the file. Edits that have nothing to change in a given certificate (no
tails, say) are left out for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import attrs

from certkit.testing.mutants.edits import EDITS, Document, Inapplicable
from certkit.testing.mutants.pool_edits import POOL_EDITS
from certkit.testing.mutants.task_edits import TASK_EDITS

__all__ = ["FileMutant", "file_mutants", "reseal"]


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
    for name, edit in (EDITS | POOL_EDITS | TASK_EDITS).items():
        document = json.loads(data)
        try:
            edit(document)
        except Inapplicable:
            continue
        yield FileMutant(name, False, _text(document) + b"\n")
        yield FileMutant(name, True, reseal(document))
