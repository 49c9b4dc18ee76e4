"""The auditor's reader, and its rule for one row, with all kinds of content that it knows."""

from __future__ import annotations

from importlib import import_module

from certkit.kernel import reader, tails
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Row, Statement

AUDIT = import_module("certkit.kernel.audit")  # the function of this name hides it


def read_certificate(path: str) -> tuple[Statement, tuple[Entry, ...]]:
    """Read a certificate as an audit does."""
    return reader.read_certificate(path, AUDIT._further_entry)


def check_row(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless the row is proved; return the precision that was needed."""
    return tails.check_row(model, entry, AUDIT._kind(entry), row)
