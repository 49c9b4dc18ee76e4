"""Every corrupted certificate file is refused by the auditor; the uncorrupted one is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.content import Count, CountContent, Tail, TailContent, class_size
from certkit.testing.mutants import file_mutants
from certkit.testing.mutants.edits import EDITS
from certkit.testing.zoo import zoo
from proofs.model import Model, save_model
from proofs.proving import prove


def trivial(model: Model, content: type[TailContent | CountContent]) -> Certificate:
    """For every class and x: at most all of its sequences fail. True, provable, and certifies nothing."""
    k, entries = model.n_ctx, []
    for m in range(model.vocab):
        for q in range(m + 1):
            size, others = class_size(q, m, k), [x for x in range(model.vocab) if x != m]
            if content is TailContent:
                entries.append(TailContent(q, m, 0.0, tuple(Tail(x, 0.0, size) for x in others)))
            else:
                counts = tuple(Count(x, 2.0**20, 0.0, size, 0) for x in others)
                entries.append(CountContent(q, m, 0.0, counts))
    certified = CertifiedSet(k, model.vocab, tuple(sorted(entries, key=lambda e: (e.q, e.m))))
    claim = Claim(k, model.vocab, model.sha256, certified.correct_at_least, certified.correct_at_most)
    return Certificate(claim, "trivial", 1, attrs.evolve(certified, two_sided=True))


SUBJECTS: dict[str, tuple[str, Callable[[Model], Certificate]]] = {
    "cells": ("direct-path-v6-k4", lambda model: prove(model, "cubic")),
    "boxes": ("twin-v6-k4-s0", lambda model: prove(model, "brute-force")),
    "tails": ("sharp-v4-k3-s0", lambda model: trivial(model, TailContent)),
    "counts": ("sharp-v4-k3-s0", lambda model: trivial(model, CountContent)),
}


def files(folder: Path, subject: str) -> tuple[Path, Path]:
    specimen, make = SUBJECTS[subject]
    model = Model.from_tensors(next(member.weights for member in zoo() if member.name == specimen))
    save_model(model, folder / "model.safetensors")
    make(model).save(folder / "control.cert")
    return folder / "control.cert", folder / "model.safetensors"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_mutant_is_refused_and_the_control_accepted(subject: str, tmp_path: Path) -> None:
    control, model = files(tmp_path, subject)
    assert kernel.audit(str(control), str(model)).exit_code == 0
    accepted, names = [], set()
    for mutant in file_mutants(control.read_bytes()):
        path = tmp_path / "mutant.cert"
        path.write_bytes(mutant.data)
        names.add(mutant.name)
        if kernel.audit(str(path), str(model)).exit_code == 0:
            accepted.append(mutant.name)
    assert accepted == []
    assert len(names) > 30


def test_every_edit_applies_somewhere(tmp_path: Path) -> None:
    seen: set[str] = set()
    for subject in SUBJECTS:
        control, _ = files(tmp_path, subject)
        seen |= {mutant.name for mutant in file_mutants(control.read_bytes())}
    assert set(EDITS) <= seen
