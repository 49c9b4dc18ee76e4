"""``separable-union`` against exhaustive enumeration, adversarial groups, multiples and bins included."""

from __future__ import annotations

import math
import random

import attrs
import pytest
import torch

from certkit.certificate import Bound, BoundContent, CertifiedSet
from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable import groups
from proofs.separable.alive import alive_pairs, pruner
from proofs.separable.groups import Rows, row_terms
from proofs.separable.numerator import query_tables, terms_of
from proofs.separable.union import SeparableUnion, UnionWitness
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

UNION = SeparableUnion()


def columns(rows: list[tuple[int, int, list[int], list[tuple[int, int]]]]) -> Rows:
    """Rows ``(q, m, outputs, less)`` as tensors."""
    q, m = ([row[place] for row in rows] for place in (0, 1))
    output = [(i, x) for i, row in enumerate(rows) for x in row[2]]
    less = [(i, y, k) for i, row in enumerate(rows) for y, k in row[3]]
    tensor = torch.tensor(output, dtype=torch.int64).reshape(-1, 2)
    taken = torch.tensor(less, dtype=torch.int64).reshape(-1, 3)
    flat = (part.contiguous() for part in (*tensor.unbind(1), *taken.unbind(1)))
    return Rows(torch.tensor(q, dtype=torch.int64), torch.tensor(m, dtype=torch.int64), *flat)


def adversarial(model: Model, seed: int) -> UnionWitness:
    """All outputs of every class in random groups, with random multiples taken off, and random bins."""
    rng = random.Random(seed)
    rows = []
    for q in range(model.vocab):
        for m in range(q, model.vocab if model.n_ctx > 1 else q + 1):
            left, before = [x for x in range(model.vocab) if x != m], list[int]()
            rng.shuffle(left)
            while left:
                size = rng.randint(1, len(left))
                group, left = sorted(left[:size]), left[size:]
                some = rng.sample(before, rng.randint(0, min(2, len(before))))
                rows.append((q, m, group, [(y, rng.choice([1, 13, 64, 500])) for y in some]))
                before += group
    width = torch.tensor([0.01 * math.exp(rng.gauss(0, 2)) for _ in rows], dtype=torch.float64)
    offset = width * torch.tensor([rng.choice([0.0, 0.06, -1.0, 3.0]) for _ in rows], dtype=torch.float64)
    return UnionWitness(columns(rows), width, offset)


@pytest.mark.parametrize("seed", range(30))
def test_tiny_models(seed: int) -> None:
    model = some_model(seed)
    truth = ClassTruth(model)
    found = UNION.verify(model, UNION.search(model))
    assert found.two_sided
    check_certified(found, truth)
    for spread in range(3):
        check_certified(UNION.verify(model, adversarial(model, 10 * seed + spread)), truth)


@pytest.mark.extended
@pytest.mark.parametrize("block", range(20))
def test_many_tiny_models(block: int) -> None:
    for seed in range(5000 + 50 * block, 5050 + 50 * block):
        test_tiny_models(seed)


@pytest.mark.parametrize("seed", range(20))
def test_terms_are_above_those_of_every_output(seed: int) -> None:
    model = some_model(seed)
    witness = adversarial(model, seed)
    paths = path_tables(model)
    for q in range(model.vocab):
        query = query_tables(paths, q)
        rows, _ = witness.rows.of_query(q)
        if not len(rows.q):
            continue
        terms, less = row_terms(paths, query, rows), rows.less_of()
        for row, outputs in enumerate(rows.outputs_of()):
            m = rows.m[row : row + 1]
            for x in outputs if not less[row] else ():
                least = -terms_of(paths, query, m, torch.tensor([x]), sign=-1).upper[0]
                there = slice(0, int(m) + 1)
                assert bool((terms.upper[row][:, there] >= least[:, there]).all())


def test_the_enclosure_closes_as_bins_get_finer() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth, singles = ClassTruth(model), []
    for q in range(4):
        for m in range(q, 4):
            singles += [(q, m, [x], []) for x in range(4) if x != m]
    gaps = []
    for width in (1.0, 1e-2, 1e-4):
        wide = torch.full((len(singles),), width, dtype=torch.float64)
        certified = UNION.verify(model, UnionWitness(columns(singles), wide, 0 * wide))
        check_certified(certified, truth)
        gaps.append(certified.correct_at_most - certified.correct_at_least)
    assert gaps == sorted(gaps, reverse=True)


def base() -> tuple[Model, UnionWitness]:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    return model, adversarial(model, 3)


@pytest.mark.parametrize("name", ["width", "offset"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_bad_bins_are_refused(name: str, value: float) -> None:
    model, witness = base()
    bad = getattr(witness, name).clone()
    bad[0] = value
    with pytest.raises(WitnessError, match=name):
        UNION.verify(model, attrs.evolve(witness, **{name: bad}))


BAD_ROWS = {
    "m below q": [(2, 1, [0], [])],
    "classes out of order": [(1, 1, [0], []), (0, 1, [0], [])],
    "the maximum": [(0, 1, [1], [])],
    "an output twice": [(0, 1, [0, 2], []), (0, 1, [2], [])],
    "outputs out of order": [(0, 1, [2, 0], [])],
    "no output": [(0, 1, [], []), (0, 1, [2], [])],
    "no such output": [(0, 1, [4], [])],
    "taken off before it is covered": [(0, 1, [0], [(2, 5)]), (0, 1, [2], [])],
    "taken off itself": [(0, 1, [0], [(0, 5)])],
    "taken off, of another class": [(0, 1, [0], []), (0, 2, [1], [(0, 5)])],
    "a negative multiple": [(0, 1, [0], []), (0, 1, [2], [(0, -5)])],
    "a multiple of 0": [(0, 1, [0], []), (0, 1, [2], [(0, 0)])],
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused(name: str) -> None:
    model, _ = base()
    rows = columns(BAD_ROWS[name])
    width = torch.ones(len(rows.q), dtype=torch.float64)
    with pytest.raises(WitnessError):
        UNION.verify(model, UnionWitness(rows, width, 0 * width))


def test_a_missing_row_costs_its_class() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness, paths = UNION.search(model), path_tables(model)
    q, m = int(witness.rows.q[0]), int(witness.rows.m[0])
    kept = (witness.rows.q != q) | (witness.rows.m != m)
    rest = [row for row, keep in zip(listed(witness.rows), kept.tolist(), strict=True) if keep]
    certified = UNION.verify(model, UnionWitness(columns(rest), witness.width[kept], witness.offset[kept]))
    check_certified(certified, ClassTruth(model))
    assert m in alive_pairs(pruner(paths), query_tables(paths, q))[0].tolist()
    assert (q, m) not in {(entry.q, entry.m) for entry in certified.entries}


def listed(rows: Rows) -> list[tuple[int, int, list[int], list[tuple[int, int]]]]:
    """The inverse of `columns`."""
    parts = zip(rows.q.tolist(), rows.m.tolist(), rows.outputs_of(), rows.less_of(), strict=True)
    return [(q, m, list(outputs), less) for q, m, outputs, less in parts]


def test_witness_survives_paper() -> None:
    model, witness = base()
    again = witness_from_json(witness_to_json(witness), UnionWitness)
    assert UNION.verify(model, again) == UNION.verify(model, witness)


def unsound_somewhere(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether some tiny model is certified wrongly."""
    for seed in range(60):
        model = some_model(seed, kinds=(Kind.SKILLED, Kind.GAUSSIAN))
        try:
            check_certified(UNION.verify(model, adversarial(model, seed)), ClassTruth(model))
        except AssertionError:
            return True
    return False


def test_taking_off_what_is_not_covered_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With rows in reverse, multiples of outputs are taken off that no earlier row covers."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth = ClassTruth(model)
    monkeypatch.setattr(Rows, "_check_order", lambda self, vocab: None)
    monkeypatch.setattr(BoundContent, "__attrs_post_init__", lambda self: None)
    wrong = 0
    for y in range(4):
        for q in range(4):
            for m in range(q, 4):
                others = [x for x in range(4) if x not in (m, y)]
                if y == m:
                    continue
                rows = columns([(q, m, others, [(y, 64)]), (q, m, [y], [])])
                width = torch.full((2,), 1e-3, dtype=torch.float64)
                try:
                    check_certified(UNION.verify(model, UnionWitness(rows, width, 0 * width)), truth)
                except AssertionError:
                    wrong += 1
    assert wrong > 0


def test_without_the_maximum_over_the_group_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = groups._numerators

    def least(paths: groups.Paths, q: int, rows: Rows) -> torch.Tensor:
        first = torch.searchsorted(rows.output_row, torch.arange(len(rows.q)))
        return honest(
            paths,
            q,
            attrs.evolve(rows, output_row=torch.arange(len(rows.q)), output=rows.output[first]),
        )

    assert not unsound_somewhere(monkeypatch)
    monkeypatch.setattr(groups, "_numerators", least)
    assert unsound_somewhere(monkeypatch)


def test_content_counts_bounds() -> None:
    bounds = (Bound((0,), (), (1.0, 0.0), 2, 1), Bound((1, 3), ((0, 5),), (0.5,), 3))
    certified = CertifiedSet(3, 4, (BoundContent(2, 2, 0.0, bounds),), two_sided=True)
    assert certified.correct_at_least == 9 - 5
    assert certified.correct_at_most == 64 - 1
