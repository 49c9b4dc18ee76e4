"""The auditor's reader, and its rule for one row, with all kinds of content that it knows."""

from __future__ import annotations

from certkit.kernel import reader
from certkit.kernel.kinds import KINDS, read_entry
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Row, Statement
from certkit.kernel.tails import TAILS


def read_certificate(path: str) -> tuple[Statement, tuple[Entry, ...]]:
    """Read a certificate as an audit does."""
    return reader.read_certificate(path, read_entry)


def check_row(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless the row is proved; return the precision that was needed."""
    return (KINDS | {"tails": TAILS})[entry.kind].check_row(model, entry, row)
