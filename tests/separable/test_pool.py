"""``separable-pool`` against exhaustive enumeration and its definition, adversarial witnesses included."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
import torch
from torch import Tensor

from certkit import rounding
from certkit.content import PoolContent, class_size
from certkit.interval import Interval
from certkit.kernel.audit import audit
from proofs import prove, save_model
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable import pool, pool_sums
from proofs.separable.numerator import Query, query_tables, terms_of
from proofs.separable.pool import PoolWitness, SeparablePool
from proofs.separable.pool_sums import PoolTerms, level_bounds, pool_terms, slack, steps
from proofs.separable.shares import class_shares, worth_it
from proofs.separable.tail import failing_upper
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from tests.separable.classes import ClassTruth, check_certified, some_model
from tests.support.models import Kind, Sizes, tiny_model

POOL = SeparablePool()


def noisy(witness: PoolWitness, seed: int) -> PoolWitness:
    """Every class with a multiplier and a light weight of its own, far from the good ones."""
    generator = torch.Generator().manual_seed(seed)
    factor, weight = torch.randn((2, *witness.q.shape), generator=generator, dtype=torch.float64).mul(3).exp()
    return attrs.evolve(witness, multiplier=witness.multiplier * factor, light=witness.light * weight)


@pytest.mark.parametrize("seed", range(16))
def test_tiny_models(seed: int) -> None:
    model = some_model(seed)
    truth, found = ClassTruth(model), POOL.search(model)
    nothing = torch.zeros_like(found.light)
    for witness in (
        found,
        noisy(found, seed),
        attrs.evolve(found, light=nothing + rounding.MAX),
        attrs.evolve(found, light=nothing),
        attrs.evolve(found, multiplier=nothing),
        attrs.evolve(found, multiplier=nothing + rounding.MAX),
    ):
        certified = POOL.verify(model, witness)
        check_certified(certified, truth)
        assert all(entry.correct_at_least(model.n_ctx) for entry in certified.entries)


@pytest.mark.extended
@pytest.mark.parametrize("block", range(20))
def test_many_tiny_models(block: int) -> None:
    for seed in range(7000 + 50 * block, 7050 + 50 * block):
        test_tiny_models(seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_auditor_confirms_it(seed: int, tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(6, 4), seed)
    certificate = prove(model, "separable-pool")
    certificate.save(tmp_path / "pool.cert")
    save_model(model, tmp_path / "model.safetensors")
    assert certificate.claim.correct_at_least > 0
    verdict = audit(str(tmp_path / "pool.cert"), str(tmp_path / "model.safetensors"))
    assert (verdict.verdict, verdict.precision_bits) == ("verified", 64)


def bounds_of(model: Model, q: int, m: Tensor, light: Tensor, multiplier: float) -> Tensor:
    """``[L, M, X]`` the bounds of every level, `slack` included."""
    paths = path_tables(model)
    return bounds_in(paths, query_tables(paths, q), m, light, multiplier)


def bounds_in(paths: Paths, query: Query, m: Tensor, light: Tensor, multiplier: float) -> Tensor:
    """The same of given tables."""
    terms = pool_terms(paths, query, m, light)
    first = torch.tensor(multiplier, dtype=torch.float64)
    return torch.stack(list(level_bounds(terms, first, 6))) * slack(terms, 6)


@pytest.mark.parametrize("seed", range(12))
def test_every_level_is_the_tail_of_its_multiplier(seed: int) -> None:
    """Without light tokens, all classes at once give what `separable-tail` gives one by one."""
    model = tiny_model(Kind.SKILLED, Sizes(6, 4), seed)
    q, scale = seed % 3, 0.1
    m = torch.arange(q, 6)
    found = bounds_of(model, q, m, torch.zeros(len(m), 6, dtype=torch.bool), scale)
    paths = path_tables(model)
    query = query_tables(paths, q)
    shift = torch.tensor([query.shift(5) - query.shift(i) for i in m.tolist()], dtype=torch.float64)
    pairs = torch.cartesian_prod(m, torch.arange(6))
    terms = terms_of(paths, query, *pairs.T)
    for level, step in enumerate(steps(6)):
        multiplier = scale * step * torch.exp(-shift)[pairs[:, 0] - q]
        tails = failing_upper(terms, multiplier, q).reshape(len(m), 6)
        assert (found[level] >= tails * (1 - 1e-9)).all()
        told = (tails < 1e50) & (tails > 1e-50) & (pairs[:, 0] != pairs[:, 1]).reshape(len(m), 6)
        assert (found[level] <= tails * (1 + 1e-9))[told].all()  # the others are far from what matters
        assert told.any()


@pytest.mark.parametrize("seed", range(12))
def test_light_tokens_only_add(seed: int) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(6, 4), seed)
    m = torch.arange(2, 6)
    below = torch.arange(6) < m[:, None]
    heavy = bounds_of(model, 2, m, below & False, 0.3)
    some = bounds_of(model, 2, m, below & (torch.rand(4, 6) < 0.5), 0.3)
    every = bounds_of(model, 2, m, below, 0.3)
    assert (heavy <= some * (1 + 1e-9)).all()
    assert (some <= every * (1 + 1e-9)).all()
    assert (every > heavy * 1.001).any()


LOGITS = ("EVOU", "PVOU", "EUPU")


def some_point(name: str, table: object, generator: torch.Generator) -> object:
    """A field of `Paths`; where it is about logits, a point in it instead."""
    if name not in LOGITS:
        return table
    assert isinstance(table, Interval)
    share = torch.rand(table.shape[-1], generator=generator) < 0.5  # an end for each output
    return Interval.exact(torch.where(share, table.lo, table.hi))


@pytest.mark.parametrize("seed", range(16))
def test_wide_tables_bound_all_that_they_enclose(seed: int) -> None:
    """Each end is taken from the worst side: seen where the ends are far apart, of logits or weights."""
    far, times = (2.0, 1.0) if seed % 2 else (0.0, 2.0)
    generator = torch.Generator().manual_seed(seed)
    paths = path_tables(tiny_model(Kind.SKILLED if seed < 8 else Kind.INTEGER, Sizes(5, 3), seed))
    query = query_tables(paths, seed % 3)
    m = torch.arange(query.q, 5)
    light = (torch.arange(5) < m[:, None]) & (torch.rand((len(m), 5), generator=generator) < 0.3)
    wide = attrs.evolve(
        paths,
        **{name: Interval.hull(t.lo - far, t.hi + far) for name in LOGITS for t in [getattr(paths, name)]},
    )
    sides = ("weight", "position")
    ends = {f"{side}_lower": getattr(query, f"{side}_lower") / times for side in sides}
    ends |= {f"{side}_upper": getattr(query, f"{side}_upper") * times for side in sides}
    bound = bounds_in(wide, attrs.evolve(query, **ends), m, light, 0.2)
    for _ in range(12):
        point = Paths(*(some_point(f.name, getattr(wide, f.name), generator) for f in attrs.fields(Paths)))
        inside = {}
        for side in sides:
            lower, upper = ends[f"{side}_lower"], ends[f"{side}_upper"]
            chosen = torch.where(torch.rand(lower.shape, generator=generator) < 0.5, lower, upper)
            inside |= {f"{side}_lower": chosen, f"{side}_upper": chosen}
        one = bounds_in(point, attrs.evolve(query, **inside), m, light, 0.2)
        told = (one < 1e50) & (one > 1e-50)  # beyond, floors and infinities depend on the middle
        assert (one <= bound * (1 + 1e-9))[told].all()
        assert told.any()


@pytest.mark.parametrize("seed", range(20))
def test_sums_over_classes_do_not_underflow(seed: int) -> None:
    """Powers of m and sums below m as small as they get, and large ones after them."""
    rng = random.Random(seed)
    slots = rng.randrange(1, 6)
    at = [math.ldexp(1.0, rng.choice((-480, -480, -300, 0, 400))) for _ in range(slots)]
    rest = [math.ldexp(1.0, rng.choice((-960, -960, -500, -100, 0, 100))) for _ in range(slots)]
    tables = (torch.tensor(numbers, dtype=torch.float64)[:, None, None] for numbers in (at, rest))
    of_m, below = (table.expand(-1, 2, 1) for table in tables)
    found = pool_sums._class_sums(of_m, below, torch.tensor([True, False]))[:, 0]
    for bound, truth in zip(found.tolist(), _class_truth(at, rest), strict=True):
        assert math.isinf(bound) or Fraction(bound) * (1 + Fraction(1, 2**40)) >= truth


def _class_truth(at: list[float], rest: list[float]) -> tuple[Fraction, Fraction]:
    """Π (rest + at) − Π rest, and Π (rest + at)."""
    whole, without = Fraction(1), Fraction(1)
    for one, others in zip(at, rest, strict=True):
        whole *= Fraction(one) + Fraction(others)
        without *= Fraction(others)
    return whole - without, whole


def steep_model() -> Model:
    """Attention that doubles from token to token many times over, and a model that is mostly right."""
    model = tiny_model(Kind.SKILLED, Sizes(6, 3), 4)
    return attrs.evolve(model, W_Q=model.W_Q * 12.0)


def test_what_overflows_above_leaves_the_classes_below_as_they_are() -> None:
    """A multiplier that suits a small maximum makes powers of larger tokens infinite."""
    model = steep_model()
    paths = path_tables(model)
    query = query_tables(paths, 0)
    m, light = torch.arange(1, 6), torch.zeros(5, 6, dtype=torch.bool)
    small = float(1.0 / (query.weight_upper[-1][1] * (paths.EVOU.hi - paths.EVOU.lo.T).abs().max()))
    together = bounds_of(model, 0, m, light, small)
    assert torch.isinf(together).any()
    alone = bounds_of(model, 0, m[:1], light[:1], small)[:, 0]
    assert torch.isfinite(alone[0]).all()
    assert ((together[:, 0] - alone).abs() <= 1e-9 * alone)[torch.isfinite(alone)].all()


@pytest.mark.parametrize("beyond", [332.0, 340.0, 480.0, 709.0, 2000.0])
def test_a_large_power_of_an_output_is_not_cut(beyond: float) -> None:
    """``e^beyond`` of the output and ``e^(10 − beyond)`` of the maximum: together e^10, or inf."""
    zero = torch.zeros((1, 1), dtype=torch.float64)
    outer, inner = (torch.tensor([[[number], [0.0]]]).double() for number in (beyond, 10.0 - beyond))
    ones, heavy = torch.ones(1, dtype=torch.int64), torch.tensor([[True], [False]])
    terms = PoolTerms(ones, ones, outer, inner, heavy, zero, 0 * ones, zero, ones < 0)
    (bound,) = level_bounds(terms, torch.tensor(1.0).double(), 1)
    assert bound.item() >= math.exp(10.0)


def test_every_part_of_a_ladder_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shorter ladder claims is what its own multipliers give."""
    monkeypatch.setattr(pool, "SHARPNESS", 0.5)
    bounds = torch.rand((pool.LEVELS, 7, 5), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pools = pool._shortest(bounds, 1.0)
    least = bounds.amin(0).sum(1)
    index = {step: i for i, step in enumerate(steps(pool.LEVELS))}
    assert bool((pools.levels < pool.LEVELS).any())
    assert bool((pools.failing_upper <= least * 1.5 * (1 + 1e-12)).all())
    for i in range(7):
        own = [index[int(pools.step[i]) * step] for step in steps(int(pools.levels[i]))]
        mine = bounds[own, i].amin(0).sum()
        assert mine <= pools.failing_upper[i] <= mine * (1 + 1e-12)


def test_a_bound_that_overflows_certifies_nothing() -> None:
    bounds = torch.full((pool.LEVELS, 2, 3), torch.inf, dtype=torch.float64)
    bounds[:, 1] = 1.0
    assert [math.isfinite(bound) for bound in pool._shortest(bounds, 1.0).failing_upper.tolist()] == [
        False,
        True,
    ]
    assert torch.isinf(pool._shortest(bounds, math.inf).failing_upper).all()


def test_steps() -> None:
    assert steps(1) == [1]
    assert steps(11) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert steps(pool.LEVELS)[-1] == 2**14


def test_too_many_roundings_are_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 0)
    paths = path_tables(model)
    terms = pool_terms(paths, query_tables(paths, 0), torch.tensor([3]), torch.zeros(1, 4, dtype=torch.bool))
    assert 1 < slack(terms, pool.LEVELS) < 1 + 1e-9
    monkeypatch.setattr(pool_sums, "steps", lambda _: [2**60])
    assert slack(terms, pool.LEVELS) == math.inf


@pytest.mark.parametrize("name", ["multiplier", "light"])
@pytest.mark.parametrize("value", [-1e-300, -1.0, math.nan, math.inf, -math.inf])
def test_bad_numbers_are_refused(name: str, value: float) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = POOL.search(model)
    bad = getattr(witness, name).clone()
    bad[-1] = value
    with pytest.raises(WitnessError, match=name):
        POOL.verify(model, attrs.evolve(witness, **{name: bad}))


def test_a_multiplier_at_the_end_of_the_range_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the largest float is no multiplier, even where the bound were finite."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = POOL.search(model)
    two = torch.full((1,), 2)
    pools = pool._Pools(two, two, torch.ones(1, dtype=torch.float64))
    monkeypatch.setattr(pool, "class_pools", lambda *_: pools)
    one = PoolWitness(*(getattr(witness, name)[-1:] for name in ("q", "m", "multiplier", "light")))
    assert len(POOL.verify(model, one).entries) == 1
    assert not POOL.verify(model, attrs.evolve(one, multiplier=one.multiplier * 0 + rounding.MAX)).entries


def test_bad_classes_are_refused() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = POOL.search(model)
    for change in (
        {"m": witness.m + 4},
        {"q": -witness.q - 1},
        {"q": witness.m, "m": witness.q},
        {"q": witness.q.flip(0), "m": witness.m.flip(0)},
        {"q": 0 * witness.q, "m": 0 * witness.m},
        {"multiplier": witness.multiplier[1:]},
        {"light": witness.light.float()},
        {"q": witness.q[None], "m": witness.m[None]},
    ):
        with pytest.raises(WitnessError):
            POOL.verify(model, attrs.evolve(witness, **change))


def test_one_token_or_one_position() -> None:
    for sizes in (Sizes(1, 3), Sizes(4, 1), Sizes(2, 1), Sizes(1, 1)):
        model = tiny_model(Kind.SKILLED, sizes, 3)
        certified = POOL.verify(model, POOL.search(model))
        check_certified(certified, ClassTruth(model))
        assert certified.correct_at_least > 0
    every = PoolWitness(*(torch.tensor(pair) for pair in ([0, 0], [0, 1])), *torch.ones(2, 2).double())
    one = tiny_model(Kind.SKILLED, Sizes(4, 1), 3)
    assert all(entry.q == entry.m for entry in POOL.verify(one, every).entries)


def test_many_sequences_are_written_with_few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = torch.ones(1, dtype=torch.int64)
    monkeypatch.setattr(pool, "class_pools", lambda *_: pool._Pools(one, one, one.double() * (2**40 + 1.5)))
    witness = PoolWitness(one * 2, one * 3, one.double(), one.double())
    (entry,) = POOL.verify(tiny_model(Kind.SKILLED, Sizes(4, 24), 7), witness).entries
    assert isinstance(entry, PoolContent)
    assert entry.failing_at_most == 2**40 + 2**9


@pytest.mark.parametrize(("vocab", "k"), [(1, 1), (5, 1), (1, 3), (6, 4), (20, 2)])
def test_the_classes_left_out_hold_no_more_than_is_said(vocab: int, k: int) -> None:
    share = class_shares(vocab, k)
    for q in range(vocab):
        for m in range(vocab):
            size = class_size(q, m, k) if q <= m and (k > 1 or q == m) else 0
            assert share[q, m].item() == pytest.approx(size / vocab**k, rel=1e-12, abs=1e-15)
    for dropped in (1e-4, 0.1):
        kept = worth_it(vocab, k, dropped)
        lost = share[~kept].sum().item()
        assert lost <= dropped * (1 + 1e-12)
        assert share[kept].min() + lost >= dropped * (1 - 1e-12)


def test_witness_survives_paper() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 7)
    witness = POOL.search(model)
    again = witness_from_json(witness_to_json(witness), PoolWitness)
    assert POOL.verify(model, again) == POOL.verify(model, witness)
