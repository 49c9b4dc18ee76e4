"""Sound margins, wrongly counted: a token, a slot, an exception or an output too many or too few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from certkit.content import Cell, CertifiedSet, SetContent, TailContent
from proofs.mutants.patching import Mutant, Patch
from proofs.mutants.producers.names import MEAN_QUERY


def _larger_sets(entry: Any) -> Any:
    """Every cell also takes the next token below m, if there is one."""
    if not isinstance(entry, SetContent):
        return entry
    cells = tuple(
        Cell(c.n, (*c.allowed[:-1], c.allowed[-1] + 1)) if c.n and c.allowed[-1] + 1 < entry.m else c
        for c in entry.cells
    )
    return attrs.evolve(entry, cells=cells)


def _one_more_slot(entry: Any) -> Any:
    """The cell of n slots is claimed for n + 1."""
    if not isinstance(entry, SetContent) or not entry.cells:
        return entry
    cell = entry.cells[-1]
    return (
        attrs.evolve(entry, cells=(*entry.cells[:-1], attrs.evolve(cell, n=cell.n + 1))) if cell.n else entry
    )


def _on_entries(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change what a verification certifies, entry by entry."""

    def replace(original: Callable[..., CertifiedSet]) -> Callable[..., CertifiedSet]:
        def verify(self: Any, model: Any, witness: Any) -> CertifiedSet:
            certified = original(self, model, witness)
            entries = tuple(map(change, certified.entries))
            within = all(c.n < certified.k for e in entries if isinstance(e, SetContent) for c in e.cells)
            return attrs.evolve(certified, entries=entries) if within else certified

        return verify

    return replace


def _no_exceptions(entry: Any) -> Any:
    if not isinstance(entry, SetContent):
        return entry
    return attrs.evolve(
        entry, boxes=tuple(attrs.evolve(b, exceptions=b.exceptions[:-1]) for b in entry.boxes)
    )


def _fewer_failures(entry: Any) -> Any:
    if not isinstance(entry, TailContent):
        return entry
    tails = tuple(attrs.evolve(t, failing_at_most=t.failing_at_most // 2) for t in entry.tails)
    return attrs.evolve(entry, tails=tails)


def _no_rows(entry: Any) -> Any:
    return attrs.evolve(entry, tails=entry.tails[1:]) if isinstance(entry, TailContent) else entry


def counting_mutants() -> list[Mutant]:
    cubic, family = "proofs.cubic:Cubic.verify", "proofs.subcubic.family:SubCubic.verify"
    exact, tail = "proofs.separable.exact:SeparableExact.verify", "proofs.separable.tail:SeparableTail.verify"
    rows = [
        (
            "cubic: one token more in each set",
            "cubic",
            "S must hold passing tokens only",
            cubic,
            _larger_sets,
        ),
        ("cubic: n off by one", "cubic", "n of the d_p are added, not n − 1", cubic, _one_more_slot),
        ("sub-cubic: gap off by one", MEAN_QUERY, "tokens are ≤ m − gap", family, _larger_sets),
        ("separable-exact: an exception lost", "separable-exact", "it fails", exact, _no_exceptions),
        (
            "brute-force: an exception lost",
            "brute-force",
            "it fails",
            "proofs.brute_force:BruteForce.verify",
            _no_exceptions,
        ),
        (
            "separable-tail: failures halved",
            "separable-tail",
            "the tail bound is not that small",
            tail,
            _fewer_failures,
        ),
        (
            "separable-tail: an output left out",
            "separable-tail",
            "an x without a row must never fail",
            tail,
            _no_rows,
        ),
    ]
    return [
        Mutant(name, s, why, (Patch(target, _on_entries(change)),)) for name, s, why, target, change in rows
    ]
