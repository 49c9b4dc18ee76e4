"""The tail and count rules against enumeration: the definition computed another way, and the truth."""

from __future__ import annotations

import math
import random
from itertools import product
from pathlib import Path

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.kernel.counting import Entry
from certkit.kernel.model import Model as KernelModel
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import read_weights
from certkit.testing import models as shipped
from proofs.model import Model
from tests.support.certs import saved, weights_of
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Row, check_row, decide, recount, rule, tail_bounds, with_rows

MILD = (Kind.SKILLED, Kind.INTEGER, Kind.TWIN, Kind.NEAR_TWIN)
SIZES = (Sizes(3, 1), Sizes(2, 4), Sizes(3, 3), Sizes(4, 3), Sizes(5, 2))


class Direct:
    """The terms v_p(t) of one class and one x, straight from the definition, at 60 digits."""

    def __init__(self, model: Model, q: int, m: int, x: int, shift: float) -> None:
        mpmath.mp.dps = 60
        w = {name: mpmath.matrix(rows) for name, rows in weights_of(model).items()}
        self.k, self.q, self.m = model.n_ctx, q, m
        last = self.k - 1
        query = w["W_E"][q, :] + w["W_pos"][last, :]
        asked = query * w["W_Q"]
        out = w["W_V"] * w["W_O"] * w["W_U"]
        direct = query * w["W_U"]
        self.v = []
        for p in range(self.k):
            row = []
            for t in range(m + 1):
                key = w["W_E"][t, :] + w["W_pos"][p, :]
                score = (asked * (key * w["W_K"]).T)[0, 0] / mpmath.sqrt(model.d_head)
                logits = key * out
                gain = logits[0, x] - logits[0, m] + direct[0, x] - direct[0, m]
                row.append(mpmath.exp(score - shift) * gain)
            self.v.append(row)

    def sequences(self) -> list[tuple[int, ...]]:
        members = product(range(self.m + 1), repeat=self.k - 1)
        return [s for s in members if self.q == self.m or self.m in s]

    def sums(self) -> list[mpmath.mpf]:
        return [sum(self.v[p][t] for p, t in enumerate((*s, self.q))) for s in self.sequences()]

    def failing(self) -> tuple[int, int]:
        """The number of sequences that fail, from below and above (apart from 10⁻⁴⁰ they are equal)."""
        scale = max(abs(v) for row in self.v for v in row) * mpmath.mpf(10) ** -40
        return sum(s >= scale for s in self.sums()), sum(s >= -scale for s in self.sums())


def setup(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> tuple[KernelModel, Direct, Entry, random.Random, int]:
    rng = random.Random(seed)
    model = tiny_model(kind, sizes, seed % 7)
    kernel = KernelModel(read_weights(saved(model, folder)))
    m = rng.randrange(model.vocab)
    q = rng.randrange(m + 1) if model.n_ctx > 1 else m
    x = rng.choice([x for x in range(model.vocab) if x != m])
    scores = [kernel.token[q][t] + kernel.place[q][p] for t in range(m + 1) for p in range(model.n_ctx)]
    unit = 2.0**-kernel.score_exponent / math.sqrt(kernel.d_head)
    shift = float(int(max(scores)) * unit) + rng.choice([0.0, 0.0, 3.25, -1.5])
    return kernel, Direct(model, q, m, x, shift), rule(q, m, "tails", shift=shift), rng, x


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@given(kind=st.sampled_from(MILD), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_a_tail_is_the_sum_over_the_class_and_above_the_truth(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> None:
    kernel, direct, entry, rng, x = setup(kind, sizes, seed, folder)
    scale = max(abs(v) for row in direct.v for v in row)
    for multiplier in (0.0, float(rng.uniform(0.01, 30) / scale) if scale else 1.0):
        defined = sum((mpmath.exp(multiplier * s) for s in direct.sums()), mpmath.mpf(0))
        _, bound = tail_bounds(kernel, entry, Row((x,), (multiplier,), 0, 0), 200)
        assert defined * (1 - mpmath.mpf(10) ** -30) <= mpmath.mpf(
            str(bound.upper().mid().str(60, radius=False))
        )
        assert defined * (1 + mpmath.mpf(10) ** -30) >= mpmath.mpf(
            str(bound.lower().mid().str(60, radius=False))
        )
        exact = int(mpmath.floor(defined * (1 + mpmath.mpf(10) ** -30)))
        assert exact >= direct.failing()[0]
        check_row(kernel, entry, Row((x,), (multiplier,), exact, 0))
        below = int(mpmath.floor(defined * (1 - mpmath.mpf(10) ** -30))) - 1
        if below >= 0:
            with pytest.raises(Finding) as caught:
                check_row(kernel, entry, Row((x,), (multiplier,), below, 0))
            assert (caught.value.verdict, caught.value.rule) == ("refuted", "tails")


def _ceiling(number: mpmath.mpf) -> int:
    return int(mpmath.ceil(number))


@given(kind=st.sampled_from(MILD), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_counts_are_those_of_the_definition_and_enclose_the_truth(
    kind: Kind, sizes: Sizes, seed: int, folder: Path
) -> None:
    kernel, direct, entry, rng, x = setup(kind, sizes, seed, folder)
    entry = with_rows(entry, "counts")
    scale = float(max(abs(v) for row in direct.v for v in row)) or 1.0
    w = scale * rng.uniform(0.001, 2)
    o = w * rng.choice([0.0, 0.02, 0.7, -0.3, 5.0])
    j, query = direct.k - 1, direct.v[-1][direct.q]
    up = [[_ceiling((v - o) / w) for v in row] for row in direct.v[:-1]]
    down = [[int(mpmath.floor((v + o) / w)) for v in row] for row in direct.v[:-1]]
    need_up, need_down = (
        _ceiling((-query - j * mpmath.mpf(o)) / w),
        _ceiling((-query + j * mpmath.mpf(o)) / w),
    )
    members = direct.sequences()
    upper = sum(sum(up[p][t] for p, t in enumerate(s)) >= need_up for s in members)
    lower = sum(sum(down[p][t] for p, t in enumerate(s)) >= need_down for s in members)
    certain, possible = direct.failing()
    assert lower <= possible
    assert certain <= upper
    got_lower, got_upper = recount(kernel, entry, Row((x,), (w, o), 1, 1), 192)
    inner_lower, inner_upper = recount(kernel, entry, Row((x,), (w, o), 1, 1), 192, inward=True)
    assert inner_lower >= lower
    assert inner_upper <= upper
    if kind in (Kind.SKILLED, Kind.NEAR_TWIN):
        assert (inner_lower, inner_upper) == (lower, upper)
        assert (got_lower, got_upper) == (lower, upper)
    else:  # where a term lies exactly on the edge of a bin, the auditor's enclosure may reach over it
        assert got_lower <= lower
        assert upper <= got_upper
    assert got_lower <= possible
    assert certain <= got_upper
    check_row(kernel, entry, Row((x,), (w, o), got_upper, got_lower))
    for most, least in ((upper - 1, 0), (got_upper, lower + 1)):
        if 0 <= least <= most:
            with pytest.raises(Finding) as caught:
                check_row(kernel, entry, Row((x,), (w, o), most, least))
            assert caught.value.rule == "counts"
            assert caught.value.verdict == "refuted" or kind in (Kind.INTEGER, Kind.TWIN)


def test_many_bins_at_a_low_precision_refute_nothing(folder: Path) -> None:
    """Few bins of a minute width: with 8 bits their number cannot be told, with 64 it can."""
    model = Model.from_tensors(shipped.tiny_weights(shipped.Kind.GAUSSIAN, shipped.Sizes(2, 2, 2, 2), 2))
    kernel = KernelModel(read_weights(saved(model, folder)))
    entry = rule(1, 1, "counts", shift=-3430.0)
    numbers = (2.0602680384740013e-28, 1.2361608230844007e-29)
    row = Row((0,), numbers, 2, 1)
    assert recount(kernel, entry, row, 8) == (0, 2)
    assert recount(kernel, entry, row, 8, inward=True) == (2, 1)
    assert recount(kernel, entry, row, 64) == recount(kernel, entry, row, 64, inward=True) == (1, 2)
    assert check_row(kernel, entry, row) == 64
    for most, least in ((0, 0), (2, 2)):
        with pytest.raises(Finding) as caught:
            check_row(kernel, entry, Row((0,), numbers, most, least))
        assert caught.value.verdict == "refuted"


def test_too_many_bins_bound_nothing(folder: Path) -> None:
    kernel, _, entry, _, x = setup(Kind.SKILLED, Sizes(4, 3), 12, folder)
    row = Row((x,), (2.0**-40, 0.0), 1 << 40, 1)
    assert recount(kernel, entry, row, 256) == (0, (entry.m + 1) ** 2)
    assert recount(kernel, entry, row, 256, inward=True) == ((entry.m + 1) ** 2, 0)
    with pytest.raises(Finding) as caught:
        check_row(kernel, with_rows(entry, "counts"), row._replace(failing_at_most=1, failing_at_least=1))
    assert caught.value.verdict == "undecided"


@pytest.mark.parametrize("numbers", [(5e-324, 0.0), (1e-300, 1e300), (1.0, 1e308)])
def test_absurd_bins_end_quickly(numbers: tuple[float, float], folder: Path) -> None:
    kernel, _, entry, _, x = setup(Kind.SKILLED, Sizes(4, 3), 12, folder)
    row = Row((x,), numbers, 1 << 40, 0)
    finding = decide(kernel, with_rows(entry, "counts", row), False).finding
    assert finding is None or finding.verdict in ("refuted", "undecided")


@pytest.mark.parametrize("shift", [1e300, -1e300, 700.0, -700.0])
@pytest.mark.parametrize("kind", ["tails", "counts"])
def test_absurd_shifts_are_not_accepted_wrongly(kind: str, shift: float, folder: Path) -> None:
    cases = (setup(Kind.INTEGER, Sizes(4, 3), seed, folder) for seed in range(50))
    kernel, direct, entry, _, x = next(case for case in cases if case[1].failing()[0] > 0)
    certain, _ = direct.failing()
    numbers = (1.0,) if kind == "tails" else (1.0, 0.0)
    row = Row((x,), numbers, certain - 1, 0)
    outcome = decide(kernel, rule(entry.q, entry.m, kind, shift=shift, rows=(row,)), False)
    assert outcome.finding is not None


@given(kind=st.sampled_from(Kind), sizes=st.sampled_from(SIZES), seed=st.integers(0, 10**6))
def test_a_missing_row_must_never_fail(kind: Kind, sizes: Sizes, seed: int, folder: Path) -> None:
    model = tiny_model(kind, sizes, seed % 7)
    kernel = KernelModel(read_weights(saved(model, folder)))
    rng = random.Random(seed)
    m = rng.randrange(model.vocab)
    q = rng.randrange(m + 1) if model.n_ctx > 1 else m
    size = (m + 1) ** (model.n_ctx - 1) - (m ** (model.n_ctx - 1) if q < m else 0)
    rows = tuple(Row((x,), (0.0,), size, 0) for x in range(model.vocab) if x != m)
    assert decide(kernel, rule(q, m, "tails", rows=rows), False).finding is None
    for row in rows:
        rest = tuple(other for other in rows if other != row)
        finding = decide(kernel, rule(q, m, "tails", rows=rest), False).finding
        failing = Direct(model, q, m, row.outputs[0], 0.0).failing() if kind in MILD else None
        if finding is None:
            assert failing is None or failing[0] == 0
        else:
            assert finding.verdict == "refuted"
            assert finding.counterexample is not None
            assert max(finding.counterexample) == m
            assert failing is None or failing[1] > 0
