"""What a sweep has finished, in an SQLite file: a job is there with its result, or it is still to be done.

The file is in write-ahead mode and every result is committed as it comes, so kill −9 at any moment leaves
every result that was recorded and nothing half written. Results are kept under (model digest, task, strategy,
version, semantics); recording one that is there already changes nothing, so workers that did the same job
twice, or two sweeps in one folder, do no harm. The task is a `certkit.task.Task.key`.

A ledger of schema 1 knew no tasks: all it holds is about Max-of-K. It is carried over when it is opened, in
one transaction, so it is of one schema or the other whenever that ends.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from certkit.task import MAX_OF_K
from proofs.strategy import StrategyError, did_you_mean, matches
from proofs.sweep.jobs import FINAL, Audited, Facts, Job, ModelFile, Outcome, Proof, as_row

_SCHEMA: Final = 2
_NAMES: Final = ("models", "facts", "results")
_KEY: Final = "sha256, task, strategy, version, semantics"


def _columns(cls: type) -> str:
    """SQL columns for the fields of an attrs class (all may be null: a job may have failed)."""
    kinds = {"int": "INTEGER", "float": "REAL", "bool": "INTEGER"}
    return ", ".join(f"{field.name} {kinds.get(str(field.type), 'TEXT')}" for field in attrs.fields(cls))


_TABLES: Final = {
    "models": "sha256 TEXT PRIMARY KEY, name TEXT, path TEXT, k INTEGER, vocab INTEGER",
    "facts": f"sha256 TEXT, task TEXT NOT NULL, {_columns(Facts)}, PRIMARY KEY (sha256, task)",
    "results": "sha256 TEXT, task TEXT NOT NULL, strategy TEXT, version INTEGER, semantics TEXT, "
    f"status TEXT, reason TEXT, seconds REAL, {_columns(Proof)}, PRIMARY KEY ({_KEY})",
    "audits": f"{_columns(Audited)}, PRIMARY KEY (certificate, auditor)",
}
"""The columns and keys of every table of the schema."""


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
            self._check_version()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._db:  # commits, or takes everything back
                self._db.execute("BEGIN IMMEDIATE")
                self._bring_up_to_date()

    def _check_version(self) -> int:
        """The schema of the file; 0 if it holds nothing yet."""
        found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not (1 <= found <= _SCHEMA or (found == 0 and empty)):
            remedy = "use the certkit that wrote it" if found > _SCHEMA else "choose another folder"
            raise LedgerError(f"{self.path} is no ledger of this version ({found}); {remedy}")
        return found

    def _bring_up_to_date(self) -> None:
        """Make the tables that are missing; give those of schema 1 the task they were all about."""
        old = ("facts", "results") if self._check_version() == 1 else ()
        for name in old:
            self._db.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
        for name, columns in _TABLES.items():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT")
        for name in old:
            columns = ", ".join(self.columns(f"old_{name}"))
            chosen = f"SELECT '{MAX_OF_K}', {columns} FROM old_{name}"
            self._db.execute(f"INSERT INTO {name} (task, {columns}) {chosen}")
            self._db.execute(f"DROP TABLE old_{name}")
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
        sha256, task = outcome.job.subject
        if outcome.facts is not None:
            self._insert("facts", {"sha256": sha256, "task": task} | as_row(outcome.facts))
            return
        row: dict[str, Any] = dict(zip(_KEY.split(", "), outcome.job.key, strict=True)) | {
            "status": str(outcome.status),
            "reason": outcome.reason,
            "seconds": outcome.seconds,
        }
        if outcome.proof is not None:
            row |= as_row(outcome.proof)
        with self._translated():
            done = self._db.execute(
                f"SELECT certificate FROM results WHERE ({_KEY}) = (?, ?, ?, ?, ?)", outcome.job.key
            ).fetchone()
        if done is None or done["certificate"] is None:
            self._insert("results", row, replace=True)

    def unfinished(self, jobs: Iterable[Job], retry: bool = False) -> list[Job]:
        """Those of ``jobs`` without a result (with ``retry``: or with one that might be bettered)."""
        with self._translated():
            rows = self._db.execute(f"SELECT {_KEY}, status FROM results").fetchall()
            facts = self._db.execute("SELECT sha256, task, '', 0, '' FROM facts").fetchall()
        done = {tuple(row)[:-1] for row in rows if row["status"] in FINAL or not retry}
        done |= {tuple(row) for row in facts}
        return [job for job in jobs if job.key not in done]

    def certified(self, patterns: Sequence[str] = ("all",)) -> dict[str, str]:
        """The digest of every certificate, with the path of the model that it is about.

        Of the strategies alone that ``patterns`` name, as `proofs.strategy.select` reads them, but among all
        that the ledger has certificates of, registered here or not.

        Raises:
            StrategyError: there are certificates, but a pattern names none of them.
        """
        query = (
            "SELECT certificate, path, strategy, family FROM results JOIN models USING (sha256) "
            "WHERE certificate IS NOT NULL"
        )
        with self._translated():
            rows = self._db.execute(query).fetchall()
        chosen: dict[str, str] = {}
        for pattern in patterns:
            named = [row for row in rows if matches(row["strategy"], row["family"], pattern)]
            if rows and not named:
                held = sorted({row["strategy"] for row in rows})
                more = f" and {len(held) - 3} more" if len(held) > 3 else ""
                hint = did_you_mean(pattern, held) or f"it does of {', '.join(held[:3])}{more}"
                raise StrategyError(f"{self.path} holds no certificates of {pattern!r}; {hint}")
            chosen |= {row["certificate"]: row["path"] for row in named}
        return chosen

    def record_audit(self, audited: Audited) -> None:
        """Keep a verdict; a later one of the same auditor on the same certificate replaces it."""
        self._insert("audits", attrs.asdict(audited), replace=True)

    def audits(self, auditor: str | None = None) -> list[Audited]:
        """What the auditor of this digest found (or all auditors) in the order of recording."""
        query = "SELECT * FROM audits WHERE auditor = ifnull(?, auditor) ORDER BY rowid"
        with self._translated():
            return [Audited(**row) for row in self._db.execute(query, (auditor,))]

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table with their SQL types; none if there is no such table."""
        with self._translated():
            return {row["name"]: row["type"] for row in self._db.execute(f"PRAGMA table_info({table})")}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of ``models``, ``facts`` or ``results`` in a fixed order."""
        _check_table(table)
        order = {"models": "sha256", "facts": "sha256, task", "results": _KEY}[table]
        with self._translated():
            return [dict(row) for row in self._db.execute(f"SELECT * FROM {table} ORDER BY {order}")]


def _check_table(table: str) -> None:
    if table not in _NAMES:
        raise ValueError(f"table={table!r}: one of {', '.join(_NAMES)}")
