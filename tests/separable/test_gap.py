"""The band strategies against exhaustive exact enumeration, adversarial witnesses and mutants too."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from operator import eq

import attrs
import pytest
import torch
from torch import Tensor

from certkit.certificate import Box, CertifiedSet, SetContent
from certkit.content import MAX_SETS
from certkit.interval import Interval
from proofs.model import Model
from proofs.paths import path_tables
from proofs.separable import bands, boxes, direct, scores
from proofs.separable.counted import mul_up
from proofs.separable.gap import STRATEGIES, Content, GapWitness, LowRankGapWitness, SeparableGap
from proofs.strategy import AnyStrategy
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

TENSORS = [field.name for field in attrs.fields(LowRankGapWitness) if field.name != "edges"]


def noisy(witness: object, seed: int, size: float) -> object:
    """The witness with every real number disturbed, and other bands."""
    generator = torch.Generator().manual_seed(seed)
    changes: dict[str, Tensor] = {}
    for field in attrs.fields(type(witness)):
        value = getattr(witness, field.name)
        if field.name == "edges":
            chosen = torch.rand(len(value), generator=generator) < 0.6
            chosen[0] = True
            changes["edges"] = value[chosen]
        else:
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            changes[field.name] = value + size * noise
    return attrs.evolve(witness, **changes)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(12))
def test_tiny_models(strategy: AnyStrategy, seed: int) -> None:
    model = some_model(seed)
    truth = ClassTruth(model)
    witness = strategy.search(model)
    check_certified(strategy.verify(model, witness), truth)
    for size in (1e-3, 1.0, 1e3):
        check_certified(strategy.verify(model, noisy(witness, seed, size)), truth)


@pytest.mark.extended
@pytest.mark.parametrize("block", range(20))
def test_many_tiny_models(block: int) -> None:
    for seed in range(2000 + 50 * block, 2050 + 50 * block):
        for strategy in STRATEGIES:
            test_tiny_models(strategy, seed)


def test_something_is_certified() -> None:
    """The property tests above are not about empty sets: on nearly right models most is certified."""
    shares = []
    for seed in range(12):
        model = some_model(seed, kinds=(Kind.SKILLED,))
        correct = ClassTruth(model).correct
        if correct:
            shares += [s.verify(model, s.search(model)).correct_at_least / correct for s in STRATEGIES]
    assert sum(shares) / len(shares) > 0.5


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
def test_witness_survives_paper(strategy: AnyStrategy) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = strategy.search(model)
    again = witness_from_json(witness_to_json(witness), strategy.witness_type)
    assert strategy.verify(model, again) == strategy.verify(model, witness)


@pytest.mark.parametrize(
    "edges", [[], [2, 3], [1, 1], [1, 3, 2], [0, 1], [1, 5], [-1]], ids=lambda e: str(e).replace(" ", "")
)
def test_bad_edges_are_refused(edges: list[int]) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    for strategy in STRATEGIES:
        witness = attrs.evolve(strategy.search(model), edges=torch.tensor(edges, dtype=torch.int64))
        with pytest.raises(WitnessError, match="edges"):
            strategy.verify(model, witness)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    for strategy in STRATEGIES:
        witness = strategy.search(model)
        for name in ["c"] if isinstance(witness, GapWitness) else TENSORS:
            bad = getattr(witness, name).clone()
            if bad.numel():
                bad.reshape(-1)[-1] = value
                with pytest.raises(WitnessError, match=name):
                    strategy.verify(model, attrs.evolve(witness, **{name: bad}))
            with pytest.raises(WitnessError, match=name):
                strategy.verify(model, attrs.evolve(witness, **{name: bad[None]}))


def check_bands(seed: int) -> None:
    """Every band bound covers every token of the band, for weights at both ends."""
    generator = torch.Generator().manual_seed(seed)
    vocab, k = 7, 3

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    lower = normal(vocab, vocab).exp()
    ones = torch.ones(vocab, k, dtype=torch.float64)
    w = bands.Weights(lower, lower * (1 + normal(vocab, vocab).square()), ones, ones)
    slots, query, e = normal(vocab, vocab) - 1, normal(vocab, vocab), normal(vocab, vocab)
    table = bands.band_table(w, slots, query, e, (1, 2, 4))
    for row, (q, m) in enumerate(zip(table.q.tolist(), table.m.tolist(), strict=True)):
        for end in (w.token_lower, w.token_upper):
            value = end[q] * (slots[m] + e[q, m])
            assert table.at_max[row] >= value[m]
            assert table.at_query[row] >= end[q, q] * (query[m, q] + e[q, m])
            for band in range(len(table.edges)):
                first, last = table.tokens(row, band)
                if first <= last:
                    assert table.bands[row, band] >= value[first : last + 1].max()
                else:
                    assert table.bands[row, band] == -torch.inf


def check_paths(seed: int) -> None:
    """Scores, gains and direct bounds are consistent with the path tables, for disturbed witnesses."""
    model = tiny_model((Kind.SKILLED, Kind.GAUSSIAN)[seed % 2], Sizes(5, 3), seed)
    paths = path_tables(model)
    witness = noisy(STRATEGIES[2].search(model), seed, 0.3)
    assert isinstance(witness, LowRankGapWitness)
    split = (witness.score_left, witness.score_right)
    for token, position in (
        scores.low_rank_scores(model, split, witness.key_centre),
        scores.quadratic_scores(model, split, witness.query_centre, witness.key_centre),
    ):
        for found, exact in ((token, paths.EQKE), (position, paths.EQKP)):
            most = found.hi[:, :, None] - found.lo[:, None, :]
            assert (most >= exact.lo[:, :, None] - exact.hi[:, None, :]).all()
    at_query = Interval.exact(model.W_E) + Interval.exact(model.W_pos)[-1]
    point, w_u = Interval.exact(witness.point), Interval.exact(model.W_U)
    for columns in (0, 1):
        parts = (torch.randn(4, columns).double(), torch.randn(4, columns).double())
        e = direct.low_rank_direct(at_query - point, w_u, witness.output_centre, parts)
        left = paths.EUPU - point @ w_u
        for m in range(5):
            others = torch.tensor([x for x in range(5) if x != m])
            assert (e[:, m, None] >= left.lo[:, others] - left.hi[:, m, None]).all()


@pytest.mark.parametrize("seed", range(20))
def test_parts(seed: int) -> None:
    check_bands(seed)
    check_paths(seed)


def seen_to_fail(check: Callable[[int], None]) -> bool:
    for seed in range(20):
        try:
            check(seed)
        except AssertionError:
            return True
    return False


def test_missing_clamp_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "_band", lambda weight, gain, e: mul_up(weight, gain + e))
    assert seen_to_fail(check_bands)


def test_sign_rule_ignored_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "scale_up", lambda lower, upper, value: mul_up(upper, value))
    assert seen_to_fail(check_bands)


def test_score_error_dropped_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_blurred", lambda known, query, key: known)
    assert seen_to_fail(check_paths)


def test_remainder_of_the_direct_path_dropped_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "norm_upper", lambda x, dim: 0 * x.hi.sum(dim))
    assert seen_to_fail(check_paths)


def test_query_term_dropped_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = bands.gains

    def mutant(*arguments: Interval) -> tuple[Tensor, Tensor]:
        slots, query = honest(*arguments)
        return slots, query - query.abs()

    def check(seed: int) -> None:
        model = tiny_model(Kind.SKILLED, Sizes(3, 2), seed)
        check_certified(STRATEGIES[0].verify(model, STRATEGIES[0].search(model)), ClassTruth(model))

    assert not seen_to_fail(check)
    monkeypatch.setattr("proofs.separable.gap.gains", mutant)
    assert seen_to_fail(check)


def many_boxes() -> Model:
    """A model with three classes of boxes with prefixes of several lengths, 11, 11 and 20."""
    return tiny_model(Kind.SKILLED, Sizes(3, 5), 102)


def test_limit_only_costs() -> None:
    model = many_boxes()
    strategy = SeparableGap(Content.BOXES)
    witness = strategy.search(model)
    everything = strategy.verify(model, witness).correct_at_least
    found = []
    for limit in (0, 1, 3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "proofs.separable.gap.certified_boxes",
                lambda table, w, vocab, limit=limit: boxes.certified_boxes(table, w, vocab, limit),
            )
            certified = strategy.verify(model, witness)
        check_certified(certified, ClassTruth(model))
        found.append(certified.correct_at_least)
    assert found == sorted(set(found))
    assert found[-1] >= everything


def boxes_of(certified: CertifiedSet) -> dict[tuple[int, int], tuple[Box, ...]]:
    sets = [entry for entry in certified.entries if isinstance(entry, SetContent)]
    assert len(sets) == len(certified.entries)
    return {(entry.q, entry.m): entry.boxes for entry in sets}


@pytest.mark.parametrize("most", [1, 2, 11, 19])
def test_a_class_keeps_the_first_boxes_that_an_entry_may_hold(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of the shortest prefixes: in no other do more positions at the end hold anything."""
    model = many_boxes()
    strategy = SeparableGap(Content.BOXES)
    everything = boxes_of(strategy.verify(model, strategy.search(model)))
    assert sorted(map(len, everything.values())) == [11, 11, 20]
    monkeypatch.setattr(boxes, "MAX_SETS", most)
    certified = strategy.verify(model, strategy.search(model))
    check_certified(certified, ClassTruth(model))
    assert boxes_of(certified) == {key: held[:most] for key, held in everything.items()}
    for (_, m), held in everything.items():
        rest = [box.positions[::-1] for box in held]
        free = [len(list(itertools.takewhile(partial(eq, (0, m)), runs))) for runs in rest]
        assert free == sorted(free, reverse=True) != [free[0]] * len(free)


@pytest.mark.extended
def test_a_long_context_has_no_more_boxes_than_an_entry_may_hold() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 70), 1)
    strategy = SeparableGap(Content.BOXES)
    certified = strategy.verify(model, strategy.search(model))
    assert max(map(len, boxes_of(certified).values())) == MAX_SETS


def test_range_maxima_against_the_definition() -> None:
    values = torch.randn(3, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = [1, 2, 3, 4, 5, 7, 8, 12, 13, 20]
    for length, found in zip(lengths, bands.range_maxima(values, lengths), strict=True):
        expected = torch.stack([values[:, t : t + length].amax(1) for t in range(13)], 1)
        assert torch.equal(found, expected)


def test_one_token_or_one_position() -> None:
    for sizes in (Sizes(1, 3), Sizes(4, 1), Sizes(2, 1), Sizes(1, 1)):
        model: Model = tiny_model(Kind.SKILLED, sizes, 3)
        truth = ClassTruth(model)
        for strategy in STRATEGIES:
            certified = strategy.verify(model, strategy.search(model))
            check_certified(certified, truth)
            if sizes.vocab == 1:
                assert certified.correct_at_least == 1
