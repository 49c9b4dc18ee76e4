"""Every way to make a certificate of bounds say too much is refused, though it is sealed again."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from certkit.certificate import class_size
from certkit.kernel import audit
from certkit.kernel.counting import Entry
from certkit.testing.models import Kind, Sizes
from tests.kernel.test_bounds import (
    Subject,
    bound_content,
    bound_of,
    classes,
    made,
    natural_shift,
    random_rows,
)
from tests.support.certs import certificate, document, write
from tests.support.rows import Row, recount, rule


def with_certain_failures(subject: Subject, entry: Entry, row: Row) -> Row:
    """The row with the lower count that the auditor finds, if it may have one."""
    if len(row.outputs) > 1 or row.meet:
        return row
    lower, _ = recount(subject.auditor, entry, row._replace(failing_at_least=1), 128)
    return row._replace(failing_at_least=lower)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Subject, dict[str, Any]]]:
    """Certificates about models with many failures; for every edit one of them has something to change."""
    rng, folder, out = random.Random(1), tmp_path_factory.mktemp("subject"), []
    for seed in range(12):
        subject, entries = made(Kind.SKILLED, Sizes(4, 3), seed, folder), []
        for q, m in classes(subject):
            entry = rule(q, m, "bounds", shift=natural_shift(subject, q, m))
            rows = random_rows(subject, q, m, rng)
            rows = [with_certain_failures(subject, entry, row) for row in rows]
            entries.append(bound_content(entry, rows, [bound_of(subject, entry, row) for row in rows]))
        out.append((subject, document(certificate(subject.model, entries, upper=True))))
    return out


def applies(edit: Callable[[dict[str, Any]], None], doc: dict[str, Any]) -> bool:
    try:
        edit(copy.deepcopy(doc))
    except StopIteration:
        return False
    return True


def first(doc: dict[str, Any], wanted: Callable[[list[Any]], bool]) -> tuple[dict[str, Any], list[Any]]:
    """The first entry that certifies something and has such a row, and the row."""
    k = doc["statement"]["k"]
    for entry in doc["proof"]["content"]:
        rows = entry["bounds"]["rows"]
        if class_size(entry["q"], entry["m"], k) >= sum(int(row[4]) for row in rows):
            for row in rows:
                if wanted(row):
                    return entry, row
    raise StopIteration


def one_less(doc: dict[str, Any]) -> None:
    """One failure fewer than the count says, and one correct sequence more."""
    first(doc, lambda row: row[4] > row[5] and not row[1])[1][4] -= 1
    doc["statement"]["correct_at_least"] += 1


def one_less_of_a_meet(doc: dict[str, Any]) -> None:
    first(doc, lambda row: row[4] > 0 and bool(row[1]))[1][4] -= 1
    doc["statement"]["correct_at_least"] += 1


def meet_before_it_is_covered(doc: dict[str, Any]) -> None:
    entry, row = first(doc, lambda row: bool(row[1]))
    entry["bounds"]["rows"].remove(row)
    entry["bounds"]["rows"].insert(0, row)


def meet_of_its_own(doc: dict[str, Any]) -> None:
    row = first(doc, lambda row: bool(row[1]))[1]
    row[1][0] = row[0][0]


def negative_meet(doc: dict[str, Any]) -> None:
    row = first(doc, lambda row: bool(row[1]))[1]
    row[1][1] = -row[1][1]


def meet_of_half(doc: dict[str, Any]) -> None:
    first(doc, lambda row: bool(row[1]))[1][1].pop()


def meet_by_a_bool(doc: dict[str, Any]) -> None:
    first(doc, lambda row: bool(row[1]))[1][1][1] = True


def about_maximum(doc: dict[str, Any]) -> None:
    entry, row = first(doc, lambda row: True)
    row[0] = [entry["m"]]


def repeated(doc: dict[str, Any]) -> None:
    entry, row = first(doc, lambda row: True)
    entry["bounds"]["rows"].append(copy.deepcopy(row))


def unsorted(doc: dict[str, Any]) -> None:
    first(doc, lambda row: len(row[0]) > 1)[1][0].reverse()


def certain_failures(doc: dict[str, Any]) -> None:
    """One failure more than is certain; the claim with it, if the row decides that of its class."""
    entry, row = first(doc, lambda row: len(row[0]) == 1 and not row[1] and row[5] < row[4])
    before = max(other[5] for other in entry["bounds"]["rows"])
    row[5] += 1
    doc["statement"]["correct_at_most"] -= max(before, row[5]) - before


def certain_failures_with_a_meet(doc: dict[str, Any]) -> None:
    first(doc, lambda row: bool(row[1]) and row[4] > 0)[1][5] = 1


def certain_failures_of_a_group(doc: dict[str, Any]) -> None:
    first(doc, lambda row: len(row[0]) > 1 and row[4] > 0)[1][5] = 1


def no_width(doc: dict[str, Any]) -> None:
    first(doc, lambda row: True)[1][2] = "0x0.0p+0"


def no_output(doc: dict[str, Any]) -> None:
    first(doc, lambda row: True)[1][0] = []


EDITS = {
    one_less: "refuted",
    one_less_of_a_meet: "refuted",
    meet_before_it_is_covered: "refuted",
    meet_of_its_own: "refuted",
    negative_meet: "refuted",
    meet_of_half: "refused",
    meet_by_a_bool: "refused",
    about_maximum: "refuted",
    repeated: "refuted",
    unsorted: "refuted",
    certain_failures: "refuted",
    certain_failures_with_a_meet: "refuted",
    certain_failures_of_a_group: "refuted",
    no_width: "refuted",
    no_output: "refused",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_is_refused_though_sealed_again(
    edit: Callable[[dict[str, Any]], None],
    documents: list[tuple[Subject, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    subject, sound = next((subject, doc) for subject, doc in documents if applies(edit, doc))
    assert audit(write(sound, tmp_path), subject.path).verdict == "verified"
    doc = copy.deepcopy(sound)
    edit(doc)
    verdict = audit(write(doc, tmp_path), subject.path)
    assert verdict.verdict == EDITS[edit], verdict
