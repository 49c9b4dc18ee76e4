"""The auditor's rule for one row, whatever its kind."""

from __future__ import annotations

from certkit.kernel import tails
from certkit.kernel.further import KINDS
from certkit.kernel.model import Model
from certkit.kernel.reader import Entry, Row


def check_row(model: Model, entry: Entry, row: Row) -> int:
    """Raise a `Finding` unless the row is proved; return the precision that was needed."""
    if entry.kind == "tails":
        return tails.check_row(model, entry, row, *tails.TAIL)
    kind = KINDS[entry.kind]
    return tails.check_row(model, entry, row, kind.rule, kind.bounds)
