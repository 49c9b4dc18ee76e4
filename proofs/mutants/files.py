"""Corrupted certificate files: controls with each kind of content, and what became of every edit of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.content import Count, CountContent, Tail, TailContent, class_size
from certkit.testing.mutants import file_mutants
from certkit.testing.zoo import zoo
from proofs.model import Model, save_model
from proofs.mutants.rows import KillRow
from proofs.proving import prove
from proofs.task import Task, renamed, restated


def _trivial(model: Model, content: type[TailContent | CountContent]) -> Certificate:
    """For every class and x: at most all of its sequences fail. True, provable, and certifies nothing."""
    k, entries = model.n_ctx, list[TailContent | CountContent]()
    for q in range(model.vocab):
        for m in range(q, model.vocab):
            size, others = class_size(q, m, k), [x for x in range(model.vocab) if x != m]
            if content is TailContent:
                entries.append(TailContent(q, m, 0.0, tuple(Tail(x, 0.0, size) for x in others)))
            else:
                counts = tuple(Count(x, 2.0**20, 0.0, size, 0) for x in others)
                entries.append(CountContent(q, m, 0.0, counts))
    certified = CertifiedSet(k, model.vocab, tuple(entries), two_sided=True)
    claim = Claim(k, model.vocab, model.sha256, certified.correct_at_least, certified.correct_at_most)
    return Certificate(claim, "trivial", 1, certified)


def _about_least(model: Model) -> Certificate:
    """About the least token; the label of token t is t + 1, and 0 that of the last."""
    tokens = range(model.vocab)
    task = Task(tuple(reversed(tokens)), tuple((t + 1) % model.vocab for t in tokens))
    return restated(prove(renamed(model, task), "brute-force"), model, task)


SUBJECTS: Final[Mapping[str, tuple[str, Callable[[Model], Certificate]]]] = {
    "cells": ("direct-path-v6-k4", lambda model: prove(model, "cubic")),
    "boxes": ("twin-v6-k4-s0", lambda model: prove(model, "brute-force")),
    "tails": ("sharp-v4-k3-s0", lambda model: _trivial(model, TailContent)),
    "counts": ("sharp-v4-k3-s0", lambda model: _trivial(model, CountContent)),
    "task": ("twin-v6-k4-s0", _about_least),
    "pool": ("skilled-v6-k4-s0", lambda model: prove(model, "separable-pool")),
    "bounds": ("integer-v4-k3-s0", lambda model: prove(model, "separable-union")),
}
"""For each kind of content a specimen of the zoo and a true certificate about it."""


def write_control(folder: Path, subject: str) -> tuple[Path, Path]:
    """Write the certificate and the model of a subject, and return their paths."""
    specimen, make = SUBJECTS[subject]
    model = Model.from_tensors(next(member.weights for member in zoo() if member.name == specimen))
    save_model(model, folder / "model.safetensors")
    make(model).save(folder / "control.cert")
    return folder / "control.cert", folder / "model.safetensors"


@attrs.frozen
class _Tried:
    sealed: bool
    subject: str
    verdict: kernel.Verdict


def file_table() -> Iterator[KillRow]:
    """One row for each edit, as edited and re-sealed: refused only if it was refused for every subject."""
    tried: dict[tuple[str, bool], list[_Tried]] = {}
    controls = True
    with tempfile.TemporaryDirectory() as name:
        for subject in SUBJECTS:
            control, model = write_control(Path(name), subject)
            controls &= kernel.audit(str(control), str(model)).exit_code == 0
            for mutant in file_mutants(control.read_bytes()):
                path = Path(name, "mutant.cert")
                path.write_bytes(mutant.data)
                verdict = kernel.audit(str(path), str(model))
                found = tried.setdefault((mutant.name, mutant.sealed), [])
                found.append(_Tried(mutant.sealed, subject, verdict))
    for (edit, sealed), results in tried.items():
        worst = next((r for r in results if r.verdict.exit_code == 0), results[0])
        yield KillRow(
            mutant=edit,
            kind="file re-sealed" if sealed else "file as edited",
            refused=worst.verdict.exit_code != 0,
            specimen=SUBJECTS[worst.subject][0],
            verdict=worst.verdict.verdict,
            rule=worst.verdict.rule,
            control=controls,
        )
