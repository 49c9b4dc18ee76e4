"""The kill table: every mutant against the zoo, beside an uncorrupted control."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.testing.check import check_certified
from certkit.testing.witnesses import adversarial_witnesses
from certkit.testing.zoo import Specimen, zoo
from proofs.model import Model, save_model
from proofs.mutants.patching import Mutant, Planted
from proofs.mutants.rows import KillRow
from proofs.strategy import AnyStrategy


def _audit(
    folder: Path, model: Model, strategy: AnyStrategy | Planted, certified: CertifiedSet
) -> kernel.Verdict:
    claim = Claim(
        model.n_ctx,
        model.vocab,
        model.sha256,
        certified.correct_at_least,
        certified.correct_at_most if certified.two_sided else None,
    )
    Certificate(claim, strategy.name, strategy.version, certified).save(folder / "proof.cert")
    save_model(model, folder / "model.safetensors")
    return kernel.audit(str(folder / "proof.cert"), str(folder / "model.safetensors"))


def _try(mutant: Mutant, specimen: Specimen, folder: Path) -> KillRow | None:
    """The row of a mutant refused on this model; None if nothing false was made of it."""
    model, planted = Model.from_tensors(specimen.weights), Planted(mutant)
    try:
        searched = planted.search(model)
    except (ValueError, ArithmeticError):
        return None  # it broke down before it could do harm: another model will show it
    for _, witness in adversarial_witnesses(searched, seed=0):
        try:
            certified = planted.verify(model, witness)
        except (ValueError, ArithmeticError):
            continue
        if next(check_certified(certified, specimen.truth), None) is None:
            continue  # what it certifies here happens to be true
        verdict = _audit(folder, model, planted, certified)
        sound = planted.original.verify(model, planted.original.search(model))
        control = _audit(folder, model, planted.original, sound).exit_code == 0
        refused = verdict.exit_code != 0
        return KillRow(
            mutant.name, "producer", refused, specimen.name, verdict.verdict, verdict.rule, control
        )
    return None


def kill_table(mutants: Iterable[Mutant], specimens: Iterable[Specimen] | None = None) -> Iterator[KillRow]:
    """For each mutant the first model of the zoo on which it certifies something false, and what became of
    that.

    A mutant that never does is reported as not refused: the zoo is too small for it.
    """
    models = tuple(zoo() if specimens is None else specimens)
    with tempfile.TemporaryDirectory() as name:
        for mutant in mutants:
            rows = (_try(mutant, specimen, Path(name)) for specimen in models)
            survivor = KillRow(mutant.name, "producer", False, "", "verified", "", True)
            yield next((row for row in rows if row is not None), survivor)
