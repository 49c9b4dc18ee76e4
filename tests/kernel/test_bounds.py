"""Bounds in the auditor: what a true one must pass, and every way to make it say too much."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from certkit.certificate import Bound, BoundContent
from certkit.kernel.audit import audit
from proofs.model import Model
from proofs.separable.union import SeparableUnion
from tests.separable.test_union import adversarial
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model

SIZES = (Sizes(3, 3), Sizes(4, 3), Sizes(5, 2), Sizes(2, 4), Sizes(3, 1))


def proved(model: Model, seed: int) -> list[BoundContent]:
    """What the prover certifies with groups, multiples and bins that nobody would choose."""
    certified = SeparableUnion().verify(model, adversarial(model, seed))
    return [entry for entry in certified.entries if isinstance(entry, BoundContent)]


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.NEAR_TWIN])
@pytest.mark.parametrize("seed", range(6))
def test_what_the_prover_certifies_is_verified(kind: Kind, seed: int, tmp_path: Path) -> None:
    for sizes in SIZES:
        model = tiny_model(kind, sizes, seed)
        cert = certificate(model, proved(model, seed), upper=True)
        verdict = audit(write(document(cert), tmp_path), saved(model, tmp_path))
        assert verdict.verdict == "verified", (sizes, verdict)
        assert verdict.audited_correct == cert.claim.correct_at_least


def subject() -> tuple[Model, dict[str, Any]]:
    """A certificate with something for every edit to change."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    for seed in range(500):
        entries = proved(model, seed)
        bounds = [bound for entry in entries for bound in entry.bounds]
        groups = [b for e in entries if not e.failing_at_least(3) for b in e.bounds if len(b.outputs) > 1]
        if (
            any(b.less and b.failing_at_most for b in bounds)
            and any(0 < b.failing_at_least < b.failing_at_most for b in bounds)
            and any(b.failing_at_most for b in groups)
        ):
            return model, document(certificate(model, entries, upper=True))
    raise AssertionError("no seed has such a certificate")


def rows(doc: dict[str, Any]) -> list[tuple[dict[str, Any], list[Any]]]:
    return [(entry, row) for entry in doc["proof"]["content"] for row in entry["bounds"]["rows"]]


def first(doc: dict[str, Any], wanted: Callable[[list[Any]], bool]) -> tuple[dict[str, Any], list[Any]]:
    return next((entry, row) for entry, row in rows(doc) if wanted(row))


def one_more(doc: dict[str, Any]) -> None:
    """One failure fewer than the count says, and one correct sequence more."""
    first(doc, lambda row: row[3] > row[4])[1][3] -= 1
    doc["statement"]["correct_at_least"] += 1


def no_multiple_covered(doc: dict[str, Any]) -> None:
    entry, row = first(doc, lambda row: bool(row[1]))
    entry["bounds"]["rows"].remove(row)
    entry["bounds"]["rows"].insert(0, row)


def negative_multiple(doc: dict[str, Any]) -> None:
    pair = first(doc, lambda row: bool(row[1]))[1][1][0]
    pair[1] = -pair[1]


def output_dropped(doc: dict[str, Any]) -> None:
    row = first(doc, lambda row: len(row[0]) > 1 and row[3] > 0)[1]
    row[0].pop()


def about_maximum(doc: dict[str, Any]) -> None:
    entry, row = rows(doc)[-1]
    row[0] = [entry["m"]]


def repeated(doc: dict[str, Any]) -> None:
    entry, row = rows(doc)[0]
    entry["bounds"]["rows"].append(copy.deepcopy(row))


def unsorted(doc: dict[str, Any]) -> None:
    row = first(doc, lambda row: len(row[0]) > 1)[1]
    row[0].reverse()


def certain_failures(doc: dict[str, Any]) -> None:
    row = first(doc, lambda row: row[4] > 0 and row[3] > row[4])[1]
    row[4] += 1
    doc["statement"]["correct_at_most"] -= 1


def certain_failures_of_a_group(doc: dict[str, Any]) -> None:
    for entry in doc["proof"]["content"]:
        if all(row[4] == 0 for row in entry["bounds"]["rows"]):
            for row in entry["bounds"]["rows"]:
                if len(row[0]) > 1 and row[3] > 0:
                    row[4] = 1
                    doc["statement"]["correct_at_most"] -= 1
                    return
    raise AssertionError


def no_number(doc: dict[str, Any]) -> None:
    rows(doc)[0][1][2] = []


def no_output(doc: dict[str, Any]) -> None:
    rows(doc)[0][1][0] = []


EDITS = {
    one_more: "refuted",
    no_multiple_covered: "refuted",
    negative_multiple: "refuted",
    output_dropped: "refuted",
    about_maximum: "refuted",
    repeated: "refuted",
    unsorted: "refuted",
    certain_failures: "refuted",
    certain_failures_of_a_group: "refuted",
    no_number: "refused",
    no_output: "refused",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_is_refused_though_sealed_again(
    edit: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    model, doc = subject()
    path = saved(model, tmp_path)
    assert audit(write(doc, tmp_path), path).verdict == "verified"
    edit(doc)
    verdict = audit(write(doc, tmp_path), path)
    assert verdict.verdict == EDITS[edit], verdict


def test_a_tail_of_a_group_is_the_sum_over_the_class(tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    path = saved(model, tmp_path)

    def verdict(most: int) -> str:
        tail = Bound((0, 1, 2), (), (0.0,), most)
        entry = BoundContent(3, 3, 0.0, (tail,))
        return audit(write(document(certificate(model, [entry])), tmp_path), path).verdict

    assert verdict(16) == "verified"  # λ = 0 counts the class
    assert verdict(15) == "refuted"


def test_a_wrong_multiple_of_the_right_output_is_a_wrong_count(tmp_path: Path) -> None:
    """The recount uses what is written: with half the multiple the same number is no longer the count."""
    model, doc = subject()
    path, seen = saved(model, tmp_path), set()
    for change in (2, 3, 8, 64):
        edited = copy.deepcopy(doc)
        for _, row in rows(edited):
            row[1] = [[y, k * change] for y, k in row[1]]
        seen.add(audit(write(edited, tmp_path), path).verdict)
    assert "refuted" in seen
