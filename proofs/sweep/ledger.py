"""What a sweep has finished, in an SQLite file: a job is there with its result, or it is still to be done.

The file is in write-ahead mode and every result is committed as it comes, so kill −9 at any moment leaves
every result that was recorded and nothing half written. Results are kept under (model digest, strategy,
version, semantics); recording one that is there already changes nothing, so workers that did the same job
twice, or two sweeps in one folder, do no harm.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from proofs.sweep.jobs import FINAL, Audited, Facts, Job, ModelFile, Outcome, Proof, as_row

_SCHEMA: Final = 1
_NAMES: Final = ("models", "facts", "results")


def _columns(cls: type) -> str:
    """SQL columns for the fields of an attrs class (all may be null: a job may have failed)."""
    kinds = {"int": "INTEGER", "float": "REAL", "bool": "INTEGER"}
    return ", ".join(f"{field.name} {kinds.get(str(field.type), 'TEXT')}" for field in attrs.fields(cls))


_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS models (
    sha256 TEXT PRIMARY KEY, name TEXT, path TEXT, k INTEGER, vocab INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS facts (sha256 TEXT PRIMARY KEY, {_columns(Facts)}) STRICT;
CREATE TABLE IF NOT EXISTS results (
    sha256 TEXT, strategy TEXT, version INTEGER, semantics TEXT,
    status TEXT, reason TEXT, seconds REAL, {_columns(Proof)},
    PRIMARY KEY (sha256, strategy, version, semantics)
) STRICT;
CREATE TABLE IF NOT EXISTS audits ({_columns(Audited)}, PRIMARY KEY (certificate, auditor)) STRICT;
"""


class LedgerError(ValueError):
    """The ledger file is not one of this program; the message names it and the remedy."""


class Ledger:
    """The results of one sweep folder. Use it as a context manager.

    Raises:
        LedgerError: the file is not a ledger, or one of another version.
        OSError: it cannot be opened or written, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if found != _SCHEMA and not (found == 0 and empty):
                raise LedgerError(f"{path} is no ledger of this version ({found}); choose another folder")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            self._db.execute(f"PRAGMA user_version = {_SCHEMA}")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's complaints about the disk and the file as the errors that commands know."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            numbers = {
                sqlite3.SQLITE_FULL: errno.ENOSPC,
                sqlite3.SQLITE_IOERR: errno.EIO,
                sqlite3.SQLITE_CANTOPEN: errno.EACCES,
                sqlite3.SQLITE_READONLY: errno.EROFS,
                sqlite3.SQLITE_PERM: errno.EACCES,
                sqlite3.SQLITE_BUSY: errno.EBUSY,
            }
            if code in numbers:
                raise OSError(numbers[code], str(error), str(self.path)) from error
            if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise LedgerError(f"{self.path} is not a ledger ({error}); choose another folder") from error
            raise

    def _insert(self, table: str, row: dict[str, Any], replace: bool = False) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        verb = "REPLACE" if replace else "IGNORE"
        with self._translated():
            values = tuple(row.values())
            self._db.execute(f"INSERT OR {verb} INTO {table} ({names}) VALUES ({marks})", values)

    def add_models(self, models: Iterable[ModelFile]) -> None:
        """Note the models of the sweep."""
        for model in models:
            row = attrs.asdict(model) | {"name": Path(model.path).name.removesuffix(".safetensors")}
            self._insert("models", row, replace=True)

    def record(self, outcome: Outcome) -> None:
        """Keep how a job ended. A proof is never replaced; another end is, when the job was tried again."""
        sha256, strategy, version, semantics = outcome.job.key
        if outcome.facts is not None:
            self._insert("facts", {"sha256": sha256} | as_row(outcome.facts))
            return
        row: dict[str, Any] = {
            "sha256": sha256,
            "strategy": strategy,
            "version": version,
            "semantics": semantics,
            "status": str(outcome.status),
            "reason": outcome.reason,
            "seconds": outcome.seconds,
        }
        if outcome.proof is not None:
            row |= as_row(outcome.proof)
        with self._translated():
            done = self._db.execute(
                "SELECT certificate FROM results WHERE (sha256, strategy, version, semantics) = (?, ?, ?, ?)",
                outcome.job.key,
            ).fetchone()
        if done is None or done["certificate"] is None:
            self._insert("results", row, replace=True)

    def unfinished(self, jobs: Iterable[Job], retry: bool = False) -> list[Job]:
        """Those of ``jobs`` without a result (with ``retry``: or with one that might be bettered)."""
        with self._translated():
            rows = self._db.execute(
                "SELECT sha256, strategy, version, semantics, status FROM results"
            ).fetchall()
            facts = self._db.execute("SELECT sha256 FROM facts").fetchall()
        done = {tuple(row)[:4] for row in rows if row["status"] in FINAL or not retry}
        done |= {(row["sha256"], "", 0, "") for row in facts}
        return [job for job in jobs if job.key not in done]

    def certified(self) -> dict[str, str]:
        """The digest of every certificate, with the path of the model that it is about."""
        query = (
            "SELECT certificate, path FROM results JOIN models USING (sha256) WHERE certificate IS NOT NULL"
        )
        with self._translated():
            return {row["certificate"]: row["path"] for row in self._db.execute(query)}

    def record_audit(self, audited: Audited) -> None:
        """Keep a verdict; a later one of the same auditor on the same certificate replaces it."""
        self._insert("audits", attrs.asdict(audited), replace=True)

    def audits(self, auditor: str | None = None) -> list[Audited]:
        """What the auditor of this digest found (or all auditors) in the order of recording."""
        query = "SELECT * FROM audits WHERE auditor = ifnull(?, auditor) ORDER BY rowid"
        with self._translated():
            return [Audited(**row) for row in self._db.execute(query, (auditor,))]

    def columns(self, table: str) -> dict[str, str]:
        """The columns of ``models``, ``facts`` or ``results`` with their SQL types."""
        _check_table(table)
        with self._translated():
            return {row["name"]: row["type"] for row in self._db.execute(f"PRAGMA table_info({table})")}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of ``models``, ``facts`` or ``results`` in a fixed order."""
        _check_table(table)
        order = "sha256, strategy, version, semantics" if table == "results" else "sha256"
        with self._translated():
            return [dict(row) for row in self._db.execute(f"SELECT * FROM {table} ORDER BY {order}")]


def _check_table(table: str) -> None:
    if table not in _NAMES:
        raise ValueError(f"table={table!r}: one of {', '.join(_NAMES)}")
