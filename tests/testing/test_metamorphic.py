"""Changes that change nothing a model says: the truth, every strategy and the auditor must agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet
from certkit.content import Box, SetContent
from certkit.exact import Truth
from certkit.testing.laws import check_certified
from certkit.testing.metamorphic import Change, changes
from certkit.testing.models import Kind, Sizes, tiny_weights
from certkit.testing.zoo import Specimen, zoo
from proofs.model import Model, save_model
from proofs.proving import prove, prove_many
from proofs.strategy import strategies

KINDS = 5
NAMES = (
    "integer-v4-k3-s0",
    "perturbed-s29",
    "one-bad-position-v5-k3",
    "zero-attention-v5-k3",
    "twin-v4-k3-s0",
)
MEMBERS = tuple(specimen for specimen in zoo() if specimen.name in NAMES)
TABLES = ("brute-force", "cubic", "separable-exact", "separable-gap")
"""Strategies that see a model through its path tables alone, and whose search takes no turn by position."""
FEW = (
    *TABLES,
    "separable-tail",
    "separable-count",
    "separable-gap+boxes",
    "separable-gap+quadratic",
    "EUPU-svd-query+max-diff--attn-mean-query+diff--attn-err-svd",
    "EUPU-max-diff--attn-drop-average-query-per-output-logit-reasoning--attn-err-mean+max-diff-subproduct-recursive",
    "EUPU-max-diff-exact--attn-mean-query+diff--attn-err-max-diff",
)


def changed(member: Specimen) -> list[Change]:
    return list(changes(member.weights, seed=1))


def moved(content: CertifiedSet, change: Change) -> CertifiedSet:
    """The content about the changed model that corresponds to content about the original."""

    def box(old: Box) -> Box:
        exceptions = sorted(tuple(e[p] for p in change.source[:-1]) for e in old.exceptions)
        return Box(tuple(old.positions[p] for p in change.source[:-1]), old.contains_max, tuple(exceptions))

    entries = [
        attrs.evolve(e, boxes=tuple(map(box, e.boxes))) if isinstance(e, SetContent) else e
        for e in content.entries
    ]
    return attrs.evolve(content, entries=tuple(entries))


def verdict(folder: Path, certificate: Certificate, change: Change) -> kernel.Verdict:
    model = Model.from_tensors(change.weights)
    save_model(model, folder / "changed.safetensors")
    claim = attrs.evolve(certificate.claim, model_sha256=model.sha256)
    content = moved(certificate.content, change)
    attrs.evolve(certificate, claim=claim, content=content).save(folder / "changed.cert")
    return kernel.audit(str(folder / "changed.cert"), str(folder / "changed.safetensors"))


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_truth_is_the_same(member: Specimen) -> None:
    for change in changed(member):
        failing = {change.sequence(s): wrong for s, wrong in member.truth.failing.items()}
        assert Truth(change.weights).failing == failing, change.name


def test_every_kind_of_change_is_tried() -> None:
    assert len({change.name for member in MEMBERS for change in changed(member)}) == KINDS
    weights = tiny_weights(Kind.SUBNORMAL, Sizes(3, 3), 0)
    assert [change.name for change in changes(weights, 0)] == []  # nothing is exact there


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_is_proved_of_one_the_auditor_believes_of_the_other(member: Specimen, tmp_path: Path) -> None:
    """And what is false of one it refuses of the other."""
    model = Model.from_tensors(member.weights)
    proofs = list(prove_many(model, ["brute-force", "cubic", "separable-tail", "separable-gap+boxes"]))
    for change in changed(member):
        for proof in proofs:
            if (
                change.name == "scaled logits"
                and proof.content.entries
                and proof.strategy == "separable-tail"
            ):
                continue  # multipliers are in units of the logits
            assert verdict(tmp_path, proof, change).exit_code == 0, (change.name, proof.strategy)


@pytest.mark.parametrize("name", TABLES)
def test_the_bound_is_the_same(name: str) -> None:
    """Brute force and the cells and boxes of path tables: no margin here is within a rounding error of 0."""
    member = next(member for member in MEMBERS if member.name == "one-bad-position-v5-k3")
    bound = prove(Model.from_tensors(member.weights), name).bound
    assert bound > 0
    for change in changed(member):
        assert prove(Model.from_tensors(change.weights), name).bound == bound, change.name


def unsound(member: Specimen, patterns: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for change in changed(member):
        truth = Truth(change.weights)
        for proof in prove_many(Model.from_tensors(change.weights), patterns):
            for message, _ in check_certified(proof.content, truth):
                yield change.name, proof.strategy, message


def test_claims_about_changed_models_are_sound() -> None:
    member = next(member for member in MEMBERS if member.name == "integer-v4-k3-s0")
    assert list(unsound(member, FEW)) == []


@pytest.mark.extended
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_claims_of_all_strategies_about_changed_models_are_sound(member: Specimen) -> None:
    assert len(strategies()) > 100
    assert list(unsound(member, ("all",))) == []
