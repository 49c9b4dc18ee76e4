"""``separable-union`` against exhaustive enumeration, adversarial groups, meets and bins included."""

from __future__ import annotations

import math
import random
from pathlib import Path

import attrs
import pytest
import torch

from certkit import rounding
from certkit.certificate import Bound, BoundContent, CertifiedSet
from certkit.kernel.audit import audit
from proofs import prove, save_model
from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable import groups, union
from proofs.separable.alive import alive_pairs, pruner
from proofs.separable.count import Binned
from proofs.separable.groups import NONE, Rows, meet_terms, row_terms
from proofs.separable.numerator import Terms, query_tables, terms_of
from proofs.separable.tally import Bins
from proofs.separable.union import SeparableUnion, UnionWitness
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

UNION = SeparableUnion()

Listed = tuple[int, int, list[int], tuple[int, int] | None]


def columns(rows: list[Listed]) -> Rows:
    """Rows ``(q, m, outputs, (y, k) or None)`` as tensors."""
    pairs = [(NONE, 0) if row[3] is None else row[3] for row in rows]
    of_rows = torch.tensor([(q, m, *pair) for (q, m, _, _), pair in zip(rows, pairs, strict=True)])
    output = torch.tensor([(i, x) for i, row in enumerate(rows) for x in row[2]], dtype=torch.int64)
    flat = (*of_rows.to(torch.int64).reshape(-1, 4).unbind(1), *output.reshape(-1, 2).unbind(1))
    return Rows(*(part.contiguous() for part in flat))


def adversarial(model: Model, seed: int) -> UnionWitness:
    """All outputs of every class in random groups, with random meets and random bins."""
    rng = random.Random(seed)
    rows: list[Listed] = []
    for q in range(model.vocab):
        for m in range(q, model.vocab if model.n_ctx > 1 else q + 1):
            left, before = [x for x in range(model.vocab) if x != m], list[int]()
            rng.shuffle(left)
            while left:
                size = rng.choice([1, 1, rng.randint(1, len(left))])
                group, left = sorted(left[:size]), left[size:]
                meets = bool(before) and size == 1 and rng.random() < 0.8
                meet = (rng.choice(before), rng.choice([1, 13, 64, 100, 500])) if meets else None
                rows.append((q, m, group, meet))
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
        terms = row_terms(paths, query, rows)
        for row, outputs in enumerate(rows.outputs_of()):
            m = rows.m[row : row + 1]
            for x in outputs:
                least = -terms_of(paths, query, m, torch.tensor([x]), sign=-1).upper[0]
                there = slice(0, int(m) + 1)
                assert bool((terms.upper[row][:, there] >= least[:, there]).all())


@pytest.mark.parametrize("seed", range(20))
def test_meets_are_below_both_outputs(seed: int) -> None:
    model = some_model(seed)
    witness, paths = adversarial(model, seed), path_tables(model)
    for q in range(model.vocab):
        query = query_tables(paths, q)
        rows, _ = witness.rows.of_query(q)
        met = (rows.meet > 0).nonzero()[:, 0]
        if not len(met):
            continue
        own, other = meet_terms(paths, query, rows, met)
        part = rows.meet[met].double() / 64
        x = torch.tensor([rows.outputs_of()[row][0] for row in met.tolist()])
        for found, tokens, scale in ((own, x, torch.ones_like(part)), (other, rows.earlier[met], part)):
            pairs = terms_of(paths, query, rows.m[met], tokens)
            assert bool((-found.query_upper <= rounding.mul_up(scale, pairs.query_upper)).all())
            most = pairs.upper
            there = torch.isfinite(most)
            above = rounding.mul_up(scale[:, None, None], most.masked_fill(~there, 0.0))
            assert bool((-found.upper <= above)[there].all())
            assert torch.equal(most == -torch.inf, found.upper == -torch.inf)


def test_a_meet_never_makes_a_row_count_more() -> None:
    for seed in range(20):
        model = some_model(seed)
        witness = adversarial(model, seed)
        alone = attrs.evolve(
            witness.rows,
            earlier=torch.full_like(witness.rows.earlier, NONE),
            meet=torch.zeros_like(witness.rows.meet),
        )
        without = UNION.verify(model, attrs.evolve(witness, rows=alone))
        assert without.correct_at_least <= UNION.verify(model, witness).correct_at_least


def test_the_enclosure_closes_as_bins_get_finer() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth, singles = ClassTruth(model), list[Listed]()
    for q in range(4):
        for m in range(q, 4):
            singles += [(q, m, [x], None) for x in range(4) if x != m]
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


BAD = (math.nan, math.inf, -math.inf)


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("offset", bad) for bad in BAD), *(("width", bad) for bad in (*BAD, 0.0, -0.0, -1.0))],
)
def test_bad_bins_are_refused(name: str, value: float) -> None:
    model, witness = base()
    bad = getattr(witness, name).clone()
    bad[0] = value
    with pytest.raises(WitnessError, match=name):
        UNION.verify(model, attrs.evolve(witness, **{name: bad}))


BAD_ROWS: dict[str, list[Listed]] = {
    "m below q": [(2, 1, [0], None)],
    "classes out of order": [(1, 1, [0], None), (0, 1, [0], None)],
    "the maximum": [(0, 1, [1], None)],
    "an output twice": [(0, 1, [0, 2], None), (0, 1, [2], None)],
    "outputs out of order": [(0, 1, [2, 0], None)],
    "no output": [(0, 1, [], None), (0, 1, [2], None)],
    "no such output": [(0, 1, [4], None)],
    "met before it is covered": [(0, 1, [0], (2, 5)), (0, 1, [2], None)],
    "meets itself": [(0, 1, [0], (0, 5))],
    "meets an output of another class": [(0, 1, [0], None), (0, 2, [1], (0, 5))],
    "a negative multiple": [(0, 1, [0], None), (0, 1, [2], (0, -5))],
    "a multiple of 0": [(0, 1, [0], None), (0, 1, [2], (0, 0))],
    "a multiple beyond counting": [(0, 1, [0], None), (0, 1, [2], (0, 2**20 + 1))],
    "a multiple of nothing": [(0, 1, [0], None), (0, 1, [2], (NONE, 5))],
    "a group that meets": [(0, 1, [0], None), (0, 1, [2, 3], (0, 5))],
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused(name: str) -> None:
    model, _ = base()
    rows = columns(BAD_ROWS[name])
    width = torch.ones(len(rows.q), dtype=torch.float64)
    with pytest.raises(WitnessError):
        UNION.verify(model, UnionWitness(rows, width, 0 * width))


def test_a_multiple_may_be_as_large_as_is_said() -> None:
    columns([(0, 1, [0], None), (0, 1, [2], (0, 2**20))]).checked(4)


@pytest.mark.parametrize("seed", range(12))
def test_bins_that_cannot_be_used_cost_their_class(seed: int) -> None:
    """Too fine to be counted in, or with an offset beyond all terms."""
    model = some_model(seed)
    witness, rng = adversarial(model, seed), random.Random(seed)
    bad = torch.tensor([rng.random() < 0.3 for _ in witness.width], dtype=torch.bool)
    for change in (
        {"width": witness.width.masked_fill(bad, 1e-300)},
        {"offset": witness.offset.masked_fill(bad, 1e300)},
    ):
        certified = UNION.verify(model, attrs.evolve(witness, **change))
        check_certified(certified, ClassTruth(model))
        lost = {(int(witness.rows.q[row]), int(witness.rows.m[row])) for row in bad.nonzero()[:, 0].tolist()}
        assert not lost & {(entry.q, entry.m) for entry in certified.entries}


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 3, 5):
        model = some_model(seed)
        witness = adversarial(model, seed)
        together = UNION.verify(model, witness)
        with monkeypatch.context() as patch:
            patch.setattr(groups, "_BLOCK", 2 * model.n_ctx * model.vocab)
            assert UNION.verify(model, witness) == together


def test_what_is_taken_off_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^54 − 3 is no float64, and the nearest with an even last digit is below it."""
    model, witness = base()
    paths = path_tables(model)
    rows, here = witness.rows.of_query(0)
    assert bool((rows.meet > 0).any())

    def counts(bins: Bins) -> tuple[torch.Tensor, torch.Tensor]:
        most = torch.full((len(bins.m),), 2.0**54, dtype=torch.float64)
        return torch.full_like(most, 3.0), most

    monkeypatch.setattr(union, "tally", counts)
    found = union._most(paths, query_tables(paths, 0), rows, witness.width[here], witness.offset[here])
    assert found.tolist() == [2**54 - 2 if k else 2**54 for k in rows.meet.tolist()]


def test_a_class_in_which_nothing_is_right_still_bounds_what_fails() -> None:
    model = tiny_model(Kind.GAUSSIAN, Sizes(4, 3), 2)
    truth = ClassTruth(model)
    certified = UNION.verify(model, UNION.search(model))
    nothing = [entry for entry in certified.entries if not entry.correct_at_least(3)]
    assert nothing
    assert all(entry.failing_at_least(3) > 0 for entry in nothing)
    check_certified(certified, truth)


@pytest.mark.parametrize("seed", range(4))
def test_the_auditor_confirms_it(seed: int, tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(5, 3), seed)
    prove(model, "separable-union").save(tmp_path / "union.cert")
    save_model(model, tmp_path / "model.safetensors")
    assert audit(str(tmp_path / "union.cert"), str(tmp_path / "model.safetensors")).verdict == "verified"


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


def listed(rows: Rows) -> list[Listed]:
    """The inverse of `columns`."""
    parts = zip(rows.q.tolist(), rows.m.tolist(), rows.outputs_of(), rows.meets_of(), strict=True)
    return [(q, m, list(outputs), meet) for q, m, outputs, meet in parts]


def test_witness_survives_paper() -> None:
    model, witness = base()
    again = witness_from_json(witness_to_json(witness), UnionWitness)
    assert UNION.verify(model, again) == UNION.verify(model, witness)


def unsound_somewhere() -> bool:
    """Whether some tiny model is certified wrongly."""
    for seed in range(60):
        model = some_model(seed, kinds=(Kind.SKILLED, Kind.GAUSSIAN))
        try:
            check_certified(UNION.verify(model, adversarial(model, seed)), ClassTruth(model))
        except (AssertionError, ValueError):  # wrong, or fewer than no sequences
            return True
    return False


def test_it_is_sound_where_its_mutants_are_not() -> None:
    assert not unsound_somewhere()


def test_a_meet_with_what_is_not_covered_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With rows in reverse, sequences are taken off that no earlier row counts."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    truth = ClassTruth(model)
    monkeypatch.setattr(Rows, "_check_order", lambda self, vocab: None)
    monkeypatch.setattr(BoundContent, "__attrs_post_init__", lambda self: None)
    wrong = 0
    for q in range(4):
        for m in range(q, 4):
            others = [x for x in range(4) if x != m]
            rows = columns([(q, m, [x], (others[i - 1], 64)) for i, x in enumerate(others)])
            width = torch.full((3,), 1e-3, dtype=torch.float64)
            try:
                check_certified(UNION.verify(model, UnionWitness(rows, width, 0 * width)), truth)
            except (AssertionError, ValueError):
                wrong += 1
    assert wrong > 0


def test_meeting_the_larger_of_two_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def larger(self: Binned, other: Binned) -> Binned:
        return Binned(torch.maximum(self.values, other.values), torch.maximum(self.least, other.least))

    monkeypatch.setattr(Binned, "meet", larger)
    assert unsound_somewhere()


def test_meeting_the_smaller_need_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def sooner(self: Binned, other: Binned) -> Binned:
        return Binned(torch.minimum(self.values, other.values), torch.minimum(self.least, other.least))

    monkeypatch.setattr(Binned, "meet", sooner)
    assert unsound_somewhere()


def test_a_meet_rounded_the_wrong_way_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = union.binned_down

    def upward(negated: Terms, width: torch.Tensor, offset: torch.Tensor) -> Binned:
        binned = honest(negated, width, offset)
        return Binned(binned.values + 1, binned.least)

    monkeypatch.setattr(union, "binned_down", upward)
    assert unsound_somewhere()


def test_without_the_maximum_over_the_group_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = groups._numerators

    def least(paths: groups.Paths, q: int, rows: Rows) -> torch.Tensor:
        first = torch.searchsorted(rows.output_row, torch.arange(len(rows.q)))
        alone = attrs.evolve(rows, output_row=torch.arange(len(rows.q)), output=rows.output[first])
        return honest(paths, q, alone)

    monkeypatch.setattr(groups, "_numerators", least)
    assert unsound_somewhere()


def test_content_counts_bounds() -> None:
    bounds = (Bound((0,), None, 1.0, 0.0, 2, 1), Bound((1,), (0, 5), 0.5, 0.0, 3))
    certified = CertifiedSet(3, 4, (BoundContent(2, 2, 0.0, bounds),), two_sided=True)
    assert certified.correct_at_least == 9 - 5
    assert certified.correct_at_most == 64 - 1
