"""Bounds in the auditor, against the truth of tiny models: what a true one passes, and what must be refused.

The certificates are made by hand: outputs in groups and orders, tilts, multipliers and bins that nobody would
choose, with the number that the auditor's own recount gives, or less.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import attrs
import pytest

from certkit.certificate import Bound, BoundContent
from certkit.exact import Truth, truth_of
from certkit.kernel import audit
from certkit.kernel.counting import Entry
from certkit.kernel.model import Model as Auditor
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import read_weights
from certkit.testing.models import Kind, Sizes, tiny_weights
from proofs.model import Model
from tests.support.certs import certificate, document, saved, write
from tests.support.rows import Row, check_row, decide, recount, rule

SIZES = (Sizes(3, 3), Sizes(4, 3), Sizes(5, 2), Sizes(2, 4), Sizes(4, 1))
MULTIPLES = (1, 17, 64, 500)
KINDS = (Kind.SKILLED, Kind.GAUSSIAN, Kind.NEAR_TWIN, Kind.INTEGER)


@attrs.frozen
class Subject:
    """A tiny model, the auditor's view of it, its file, and the truth about it."""

    model: Model
    auditor: Auditor
    path: str
    truth: Truth

    def failing(self, q: int, m: int) -> list[frozenset[int]]:
        """For each failing sequence of the class, the outputs it fails for."""
        return [wrong for s, wrong in self.truth.failing.items() if (s[-1], max(s)) == (q, m)]


def made(kind: Kind, sizes: Sizes, seed: int, folder: Path) -> Subject:
    weights = tiny_weights(kind, sizes, seed)
    path = saved(
        Model.from_tensors(weights), folder, f"{kind}-{sizes.vocab}-{sizes.n_ctx}-{seed}.safetensors"
    )
    return Subject(Model.from_tensors(weights), Auditor(read_weights(path)), path, truth_of(weights))


def classes(subject: Subject) -> Iterator[tuple[int, int]]:
    vocab, k = subject.truth.vocab, subject.truth.k
    yield from ((q, m) for q in range(vocab) for m in range(q, vocab) if k > 1 or q == m)


def natural_shift(subject: Subject, q: int, m: int) -> float:
    """The largest score of the class, so that terms are about as large as gains."""
    auditor = subject.auditor
    return float(((max(auditor.token[q][: m + 1]) + max(auditor.place[q])) * auditor.score_unit()).mid())


def random_rows(subject: Subject, q: int, m: int, rng: random.Random) -> list[Row]:
    """All wrong outputs in groups in any order, some of which meet an earlier one."""
    left, done, rows = [x for x in range(subject.truth.vocab) if x != m], list[int](), list[Row]()
    rng.shuffle(left)
    while left:
        size = rng.choice([1, 1, 2, 3])
        group, left = tuple(sorted(left[:size])), left[size:]
        meet = (rng.choice(done), rng.choice(MULTIPLES)) if done and rng.random() < 0.7 else ()
        bins = rng.choice([0.01, 0.3, 4.0]), rng.choice([0.0, 0.002, 0.1, -0.1])
        rows.append(Row(group, bins, 1, 0, meet))
        done += group
    return rows


def bound_of(subject: Subject, entry: Entry, row: Row) -> int:
    """What the auditor makes of the row."""
    return recount(subject.auditor, entry, row, 512)[1]


def bound_content(entry: Entry, rows: list[Row], most: list[int]) -> BoundContent:
    bounds = []
    for row, n in zip(rows, most, strict=True):
        meet = (row.meet[0], row.meet[1]) if row.meet else None
        bounds.append(Bound(row.outputs, meet, *row.numbers, n, row.failing_at_least))
    return BoundContent(entry.q, entry.m, entry.content["shift"], tuple(bounds))


def new_failures(subject: Subject, entry: Entry, rows: list[Row]) -> list[int]:
    """How many sequences of the class fail for an output of each row and for none of an earlier one."""
    left, found = subject.failing(entry.q, entry.m), []
    for row in rows:
        group = {*row.outputs}
        found.append(sum(bool(group & wrong) for wrong in left))
        left = [wrong for wrong in left if not group & wrong]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_true_bound_passes_and_is_never_below_the_truth(kind: Kind, seed: int, tmp_path: Path) -> None:
    """What the auditor finds is at least what fails first in the row, and passes; less does not."""
    rng = random.Random(f"{kind}{seed}")
    for sizes in SIZES:
        subject, entries = made(kind, sizes, seed, tmp_path), []
        for q, m in classes(subject):
            entry = rule(q, m, "bounds", shift=natural_shift(subject, q, m) + rng.choice([0.0, -2.0, 1.0]))
            rows = random_rows(subject, q, m, rng)
            bounds = [bound_of(subject, entry, row) for row in rows]
            for row, bound, first in zip(rows, bounds, new_failures(subject, entry, rows), strict=True):
                assert bound >= first, (entry, row)
                check_row(subject.auditor, entry, row._replace(failing_at_most=bound))
                if first:
                    with pytest.raises(Finding):
                        check_row(subject.auditor, entry, row._replace(failing_at_most=first - 1))
            entries.append(bound_content(entry, rows, bounds))
        cert = certificate(subject.model, entries)
        verdict = audit(write(document(cert), tmp_path), subject.path)
        assert verdict.verdict == "verified", (sizes, verdict)
        assert verdict.audited_correct == cert.claim.correct_at_least <= subject.truth.correct_count


def test_one_less_than_the_bound_is_refuted(tmp_path: Path) -> None:
    rng, refuted, left_out = random.Random(0), Counter[bool](), 0
    for kind, seed in product((Kind.SKILLED, Kind.GAUSSIAN), (3, 6)):
        subject = made(kind, Sizes(5, 3), seed, tmp_path)
        for q, m in classes(subject):
            entry = rule(q, m, "bounds", shift=natural_shift(subject, q, m))
            for row in [row for _ in range(4) for row in random_rows(subject, q, m, rng)]:
                bound = bound_of(subject, entry, row)
                left_out += bound < bound_of(subject, entry, row._replace(meet=()))
                if bound and recount(subject.auditor, entry, row, 512, inward=True)[1] == bound:
                    with pytest.raises(Finding) as caught:
                        check_row(subject.auditor, entry, row._replace(failing_at_most=bound - 1))
                    assert (caught.value.verdict, caught.value.rule) == ("refuted", "bounds")
                    refuted[bool(row.meet)] += 1
    assert min(refuted[False], refuted[True]) > 40, refuted
    assert left_out > 10


@pytest.mark.parametrize("multiple", [1, 2**53, 10**18])
@pytest.mark.parametrize("bins", [(0.25, 0.0), (1e-9, 0.0), (5e-324, 1e308), (1e308, -1e308)])
@pytest.mark.parametrize("shift", [0.0, -700.0, 1e300, -1e300])
def test_absurd_meets_end_quickly_and_prove_nothing_false(
    multiple: int, bins: tuple[float, float], shift: float, tmp_path: Path
) -> None:
    subject = made(Kind.SKILLED, Sizes(4, 3), 6, tmp_path)
    for q, m in ((0, 3), (2, 3), (3, 3)):
        first, row = Row((0,), bins, 16, 0), Row((1, 2), bins, 1, 0, (0, multiple))
        wrong = new_failures(subject, rule(q, m, "bounds"), [first, row])[1]
        for most in {0, 1, max(0, wrong - 1), 2**31}:
            rows = first, row._replace(failing_at_most=most)
            finding = decide(subject.auditor, rule(q, m, "bounds", shift=shift, rows=rows), False).finding
            assert finding is not None or most >= wrong
            assert finding is None or finding.verdict in ("refuted", "undecided")


def test_an_output_that_fails_and_has_no_row_is_found(tmp_path: Path) -> None:
    dropped = 0
    for seed in range(3):
        subject = made(Kind.SKILLED, Sizes(4, 3), seed, tmp_path)
        for q, m in classes(subject):
            for x in frozenset[int]().union(*subject.failing(q, m)):
                rest = tuple(y for y in range(4) if y not in (m, x))
                rows = (Row(rest, (1.0, 100.0), 16, 0),) if rest else ()
                finding = decide(subject.auditor, rule(q, m, "bounds", rows=rows), False).finding
                assert finding is not None
                assert (finding.verdict, finding.rule) == ("refuted", "box")
                dropped += 1
    assert dropped > 5
