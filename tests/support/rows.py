"""The auditor's rules, on content that a test writes down, and its reader with all kinds that it knows."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from flint import arb

from certkit.kernel import bins, reader
from certkit.kernel.audit import KINDS, Outcome, account, read_entry
from certkit.kernel.audit import decide as decide_claim
from certkit.kernel.bins import Bounds
from certkit.kernel.counting import Entry, check_disjoint, read_parts
from certkit.kernel.model import Model
from certkit.kernel.pools import Pool
from certkit.kernel.reader import Statement
from certkit.kernel.tails import Rows, Tails
from certkit.kernel.verdict import PRECISIONS, Finding

Tokens = tuple[int, ...]


class Cell(NamedTuple):
    """Exactly n non-query positions in `allowed`, the others m."""

    n: int
    allowed: Tokens


class Box(NamedTuple):
    """A product of token sets, of which `exceptions` are taken out."""

    positions: tuple[Tokens, ...]
    contains_max: bool
    exceptions: tuple[Tokens, ...]


class Row(NamedTuple):
    """What a tail or pool ``(multiplier,)``, a count or bound ``(width, offset)`` claims of wrong tokens."""

    outputs: Tokens
    numbers: tuple[float, ...]
    failing_at_most: int
    failing_at_least: int = 0
    meet: Tokens = ()
    light: Tokens = ()
    levels: int = 1


def rule(
    q: int,
    m: int,
    kind: str,
    cells: tuple[Cell, ...] = (),
    boxes: tuple[Box, ...] = (),
    shift: float = 0.0,
    rows: tuple[Row, ...] = (),
) -> Any:
    """The content of one class, with its rule."""
    _, made = import_module(f"certkit.kernel.{KINDS[kind]}").RULES[kind]
    if kind == "sets":
        sets = {"cells": tuple(c._asdict() for c in cells), "boxes": tuple(b._asdict() for b in boxes)}
        return made(q, m, sets)
    if kind == "pool":
        return made(q, m, {"shift": shift} | (_pool(rows[0]) if rows else {}))
    spelled = {"tails": _tail, "counts": _count, "bounds": _bound}[kind]
    return made(q, m, {"shift": shift, "rows": tuple(map(spelled, rows))})


def with_rows(entry: Entry, kind: str, *rows: Row) -> Any:
    """The same class and shift with other rows, perhaps of another kind."""
    return rule(entry.q, entry.m, kind, shift=entry.content["shift"], rows=rows)


def _tail(row: Row) -> tuple[Any, ...]:
    return *row.outputs, *row.numbers, row.failing_at_most


def _count(row: Row) -> tuple[Any, ...]:
    return *row.outputs, *row.numbers, row.failing_at_most, row.failing_at_least


def _bound(row: Row) -> bins.Row:
    return bins.Row(row.outputs, row.meet, *row.numbers, row.failing_at_most, row.failing_at_least)


def _pool(row: Row) -> dict[str, Any]:
    (multiplier,), most = row.numbers, row.failing_at_most
    return {"light": row.light, "multiplier": multiplier, "levels": row.levels, "failing_at_most": most}


def read_certificate(path: str) -> tuple[Statement, tuple[Entry, ...]]:
    """Read a certificate as an audit does."""
    statement, content = reader.read_certificate(path)
    return statement, tuple(read_entry(value, f"content[{i}]") for i, value in enumerate(content))


def decide(model: Model, entry: Entry, upper: bool) -> Outcome:
    """Count a class and decide it."""
    try:
        certified, _ = account(entry, model.k, model.vocab)
    except Finding as finding:
        return Outcome(0, PRECISIONS[0], finding)
    return decide_claim(model, upper, (entry, certified))


def disjoint(entry: Entry, k: int) -> None:
    """Raise a `Finding` if two sets of the class share a sequence."""
    check_disjoint(entry, read_parts(entry, k))


def check_row(model: Model, entry: Rows, row: Row) -> int:
    """Raise a `Finding` unless the row is proved; return the precision that was needed."""
    name = "x=" + (",".join(map(str, row.outputs)) or "any")
    wanted = with_rows(entry, entry.name, row)
    if isinstance(wanted, Pool):
        bounds = partial(wanted.bounds, model)
    elif isinstance(wanted, Tails):
        bounds = partial(wanted.bounds, model, row.outputs[0], row.numbers[0])
    else:
        bounds = partial(wanted.recount, model, wanted.rows()[0])
    most: int = row.failing_at_most
    return wanted.check_row(name, row.failing_at_least, most, bounds)


def never_fails(model: Model, entry: Entry, x: int) -> int:
    """Raise a `Finding` unless no sequence of the class fails for x; return the precision needed."""
    return Tails(entry.q, entry.m, {"rows": ()}).never_fail(model, [x])


def row_terms(model: Model, entry: Rows, outputs: Tokens, bits: int) -> list[list[arb]]:
    """Balls around the terms of a group of tokens."""
    return entry.terms(model, outputs, bits)


def recount(model: Model, entry: Rows, row: Row, bits: int, inward: bool = False) -> tuple[int, int]:
    """What a count or bound proves at a precision."""
    return Bounds(entry.q, entry.m, entry.content).recount(model, _bound(row), bits, inward)


def tail_bounds(model: Model, entry: Rows, row: Row, bits: int) -> tuple[int, arb]:
    """What a tail proves at a precision."""
    tails = Tails(entry.q, entry.m, entry.content)
    return tails.bounds(model, row.outputs[0], row.numbers[0], bits, False)


def pool_bounds(model: Model, entry: Rows, row: Row, bits: int) -> tuple[int, arb]:
    """What a pool proves at a precision."""
    pool: Pool = with_rows(entry, "pool", row)
    return pool.bounds(model, bits, False)
