"""The auditor against the truth: every set it accepts is correct, every set it refutes is not.

Tiny models of every kind, ties and near-ties included; the truth is the model's definition in exact and ball
arithmetic (`tests.support.exact`), which shares nothing with the auditor.
"""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import combinations_with_replacement, product
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certkit.certificate import Box, Cell, SetContent, class_size, full_content, run_tokens, runs_from_tokens
from certkit.kernel import audit
from certkit.kernel.model import Model as KernelModel
from certkit.kernel.weights import read_weights
from proofs.model import Model
from tests.support.certs import certificate, document, oracle_of, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Box as KernelBox
from tests.support.rows import Cell as KernelCell
from tests.support.rows import decide, rule

SIZES = (
    Sizes(1, 1),
    Sizes(1, 3),
    Sizes(4, 1),
    Sizes(2, 4),
    Sizes(3, 3),
    Sizes(4, 3),
    Sizes(5, 2),
    Sizes(4, 3, 1, 1),
)


@lru_cache(maxsize=64)
def failing(model: Model) -> frozenset[tuple[int, ...]]:
    return frozenset(oracle_of(model).failing())


def whole_content(model: Model) -> list[SetContent]:
    """Every class as one box, minus its failing sequences."""
    k, wrong = model.n_ctx, failing(model)
    return [
        full_content(q, m, k, tuple(sorted(s[:-1] for s in wrong if s[-1] == q and max(s) == m)))
        for q in range(model.vocab)
        for m in range(q, model.vocab)
        if k > 1 or q == m
    ]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_exact_certificate_is_verified(kind: Kind, sizes: Sizes, tmp_path: Path) -> None:
    for seed in range(3):
        model = tiny_model(kind, sizes, seed)
        cert = certificate(model, whole_content(model), upper=True)
        right = model.vocab**model.n_ctx - len(failing(model))
        assert cert.claim.correct_at_least == cert.claim.correct_at_most == right
        cert.save(tmp_path / "x.cert")
        verdict = audit(str(tmp_path / "x.cert"), saved(model, tmp_path))
        assert (verdict.verdict, verdict.audited_correct) == ("verified", right), verdict


@pytest.mark.parametrize("kind", Kind)
def test_one_exception_less_or_more_is_refuted(kind: Kind, tmp_path: Path) -> None:
    model = tiny_model(kind, Sizes(4, 3), 1)
    path, entries = saved(model, tmp_path), whole_content(model)
    for entry in entries:
        box = entry.boxes[0]
        others = [other for other in entries if other is not entry]
        if box.exceptions:
            dropped = box.exceptions[len(box.exceptions) // 2]
            kept = tuple(e for e in box.exceptions if e != dropped)
            changed = SetContent(entry.q, entry.m, boxes=(Box(box.positions, box.contains_max, kept),))
            for upper in (False, True):
                edited = sorted([*others, changed], key=lambda e: (e.q, e.m))
                verdict = audit(write(document(certificate(model, edited, upper)), tmp_path), path)
                assert (verdict.verdict, verdict.rule) == ("refuted", "box")
                assert verdict.counterexample == (*dropped, entry.q)
        members = product(range(entry.m + 1), repeat=2)
        right = [
            s
            for s in members
            if s in box and s not in box.exceptions and (not box.contains_max or entry.m in s)
        ]
        if right:
            more = tuple(sorted([*box.exceptions, right[0]]))
            changed = SetContent(entry.q, entry.m, boxes=(Box(box.positions, box.contains_max, more),))
            edited = sorted([*others, changed], key=lambda e: (e.q, e.m))
            verdict = audit(write(document(certificate(model, edited, True)), tmp_path), path)
            assert (verdict.verdict, verdict.rule) == ("refuted", "exception")
            assert audit(write(document(certificate(model, edited)), tmp_path), path).verdict == "verified"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def _subset(rng: random.Random, tokens: range) -> tuple[int, ...]:
    return runs_from_tokens(rng.sample(tokens, rng.randint(1, len(tokens))))


def random_set(rng: random.Random, model: Model, q: int, m: int) -> Cell | Box:
    """A random cell or box of the class (q, m), valid but correct or not."""
    k = model.n_ctx
    if rng.random() < 0.5:
        n = rng.randint(0, k - 1 if q == m else k - 2)
        n = n if m > 0 else 0
        return Cell(n, _subset(rng, range(m)) if n else ())
    positions = [_subset(rng, range(m + 1)) for _ in range(k - 1)]
    contains_max = q < m and (m, m) not in positions
    if contains_max and not any(p[-1] == m for p in positions):
        positions[rng.randrange(k - 1)] = (m, m)
        contains_max = rng.random() < 0.5
    return Box(tuple(positions), contains_max)


def disjoint_sets(rng: random.Random, model: Model, q: int, m: int) -> list[Cell | Box]:
    """One to four random sets of a class, none with a sequence of another."""
    found: list[Cell | Box] = []
    seen: set[tuple[int, ...]] = set()
    for _ in range(rng.randint(1, 4)):
        member = random_set(rng, model, q, m)
        sequences = sequences_of(member, q, m, model.n_ctx)
        if seen.isdisjoint(sequences):
            found.append(member)
            seen.update(sequences)
    return found


def sequences_of(member: Cell | Box, q: int, m: int, k: int) -> list[tuple[int, ...]]:
    """The member sequences, straight from the definition."""
    if isinstance(member, Box):
        tokens = [run_tokens(p) for p in member.positions]
        every = [s for s in product(*tokens) if not member.contains_max or m in s]
    else:
        allowed = set(run_tokens(member.allowed))
        every = [
            s for s in product(sorted({*allowed, m}), repeat=k - 1) if sum(t != m for t in s) == member.n
        ]
    return [(*s, q) for s in every]


@given(kind=st.sampled_from(Kind), sizes=st.sampled_from(SIZES[3:]), seed=st.integers(0, 10**6))
@example(kind=Kind.HUGE, sizes=Sizes(2, 4), seed=502143)  # a cell whose m is lighter by 10^5 bits
def test_sets_pass_exactly_if_all_of_each_is_correct(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> None:
    rng = random.Random(seed)
    model = tiny_model(kind, sizes, seed % 5)
    kernel = KernelModel(read_weights(saved(model, folder)))
    for _ in range(12):
        m = rng.randrange(model.vocab)
        q = rng.randrange(m + 1)
        found = disjoint_sets(rng, model, q, m)
        cells, boxes = (tuple(s for s in found if isinstance(s, kind)) for kind in (Cell, Box))
        sequences = [s for member in found for s in sequences_of(member, q, m, model.n_ctx)]
        assert SetContent(q, m, cells, boxes).correct_at_least(model.n_ctx) == len(sequences)
        kernel_cells = tuple(KernelCell(cell.n, cell.allowed) for cell in cells)
        kernel_boxes = tuple(KernelBox(box.positions, box.contains_max, ()) for box in boxes)
        outcome = decide(kernel, rule(q, m, "sets", kernel_cells, kernel_boxes), False)
        if failing(model).isdisjoint(sequences):
            assert outcome.finding is None
            assert outcome.correct == len(sequences)
        else:
            assert outcome.finding is not None
            assert outcome.finding.verdict == "refuted"
            assert outcome.finding.counterexample in failing(model)
            assert outcome.finding.counterexample in sequences


@pytest.mark.parametrize("kind", Kind)
def test_the_one_false_set_is_found_wherever_it_stands(kind: Kind, folder: Path) -> None:
    """Each right sequence of a class is a box of its own, and a wrong one comes first, last, or between."""
    model = tiny_model(kind, Sizes(4, 3), 1)
    kernel = KernelModel(read_weights(saved(model, folder)))
    for q, m in combinations_with_replacement(range(4), 2):
        members = [(*s, q) for s in product(range(m + 1), repeat=2) if max(*s, q) == m]
        right = [single(s) for s in members if s not in failing(model)]
        assert decide(kernel, rule(q, m, "sets", (), tuple(right)), False).correct == len(right)
        for wrong in failing(model).intersection(members):
            for place in {0, len(right) // 2, len(right)}:
                boxes = (*right[:place], single(wrong), *right[place:])
                finding = decide(kernel, rule(q, m, "sets", (), boxes), False).finding
                assert finding is not None
                assert (finding.verdict, finding.counterexample) == ("refuted", wrong)


def single(sequence: tuple[int, ...]) -> KernelBox:
    """The box of one sequence."""
    return KernelBox(tuple((t, t) for t in sequence[:-1]), False, ())


def test_an_exception_listed_twice_is_refused_for_one_position(tmp_path: Path) -> None:
    """With K = 1 the only exception is the empty sequence: twice, it would lower the upper bound by 2."""
    model = tiny_model(Kind.INTEGER, Sizes(2, 1), 0)
    whole = document(certificate(model, whole_content(model), upper=True))
    for entry in whole["proof"]["content"]:
        entry["sets"]["boxes"][0]["exceptions"] = [[], []]
    whole["statement"] |= {"correct_at_least": -2, "correct_at_most": -2}
    verdict = audit(write(whole, tmp_path), saved(model, tmp_path))
    assert (verdict.verdict, verdict.rule) == ("refuted", "range")


def test_class_sizes_partition_all_sequences() -> None:
    for k, vocab in product(range(1, 5), range(1, 5)):
        classes = [(q, m) for q in range(vocab) for m in range(q, vocab) if k > 1 or q == m]
        assert sum(class_size(q, m, k) for q, m in classes) == vocab**k
