"""Terms, tails, counts and meets of the auditor against their definitions, with 300 bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from flint import arb, ctx

from certkit.kernel.counting import Entry
from certkit.kernel.model import Attention, Model
from certkit.kernel.sets import Terms, enclose
from certkit.kernel.weights import read_weights
from certkit.testing import models as shipped
from proofs.model import Model as ProofModel
from tests.support.certs import saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Row, recount, row_terms, rule, tail_bounds


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Model:
    made = tiny_model(Kind.SKILLED, Sizes(5, 3), 2)
    return Model(read_weights(saved(made, tmp_path_factory.mktemp("exact"))))


def _whole(number: arb) -> int:
    """The integer that a floor or ceiling came out as."""
    found = number.unique_fmpz()
    assert found is not None
    return int(found)


def _weights(exact: Model, q: int, m: int) -> Iterator[tuple[int, int, arb]]:
    unit = exact.score_unit()
    for p, t in product(range(exact.k), range(m + 1)):
        yield p, t, (arb(exact.token[q][t] + exact.place[q][p]) * unit).exp()


def test_terms_enclose_their_definition(exact: Model) -> None:
    entry = rule(1, 4, "sets")
    tokens, places = exact.gains(1, 4, 2)
    balls, view = enclose(exact, entry, (2,), 64), Terms(exact, entry, 2, 64)
    low, high = view.low, view.high
    top = Attention(exact, 1, 4, 64).top
    ctx.prec = 300
    factor = (arb(top) * exact.score_unit()).exp()
    for p, t, weight in _weights(exact, 1, 4):
        true = weight * (tokens[t] + places[p]) / factor
        assert balls[p][t].overlaps(true)
        assert low[p][t] <= true <= high[p][t]
        assert high[p][t] - low[p][t] <= abs(true) * arb(2) ** -50


def _values(exact: Model, entry: Entry, outputs: tuple[int, ...]) -> dict[tuple[int, int], arb]:
    """The largest v_p(t) of the outputs, from the definition, with 300 bits."""
    ctx.prec = 300
    views = [exact.gains(entry.q, entry.m, x) for x in outputs]
    unit = (-arb(entry.content["shift"])).exp() / arb(2) ** exact.exponent
    return {
        (p, t): w * max(tokens[t] + places[p] for tokens, places in views) * unit
        for p, t, w in _weights(exact, entry.q, entry.m)
    }


def _shifted(exact: Model, q: int, m: int) -> Entry:
    ctx.prec = 300
    shift = float((arb(Attention(exact, q, m, 64).top) * exact.score_unit()).mid())
    return rule(q, m, "bounds", shift=shift)


@pytest.mark.parametrize(("q", "m"), [(1, 4), (4, 4)])
def test_terms_of_a_row_are_the_largest_of_its_tokens(q: int, m: int, exact: Model) -> None:
    entry = _shifted(exact, q, m)
    largest, terms = _values(exact, entry, (0, 2)), row_terms(exact, entry, (0, 2), 100)
    ctx.prec = 300
    for p, t in product(range(exact.k), range(m + 1)):
        assert terms[p][t].overlaps(largest[p, t])
        assert terms[p][t].rad() <= abs(largest[p, t]) * arb(2) ** -80


@pytest.mark.parametrize(("q", "m"), [(1, 4), (4, 4)])
def test_bounds_are_those_of_the_definition(q: int, m: int, exact: Model) -> None:
    """A tail, and the count of a group of two tokens at any width."""
    entry = _shifted(exact, q, m)
    members = [s for s in product(range(m + 1), repeat=2) if q == m or m in s]
    value = _values(exact, entry, (2,))
    sums = [value[0, a] + value[1, b] + value[2, q] for a, b in members]
    true = sum(((s / 2).exp() for s in sums), arb(0))
    _, bound = tail_bounds(exact, entry, Row((2,), (0.5,), 0, 0), 100)
    assert bound.overlaps(true)
    assert bound.rad() < true * arb(2) ** -80
    value = _values(exact, entry, (0, 2))
    for width, offset in ((0.25, 0.0), (0.03125, 0.0078125), (0.5, -0.125)):
        ctx.prec = 300
        row = Row((0, 2), (width, offset), 1, 1)
        up = {at: _whole(((v - offset) / width).ceil()) for at, v in value.items()}
        down = {at: _whole(((v + offset) / width).floor()) for at, v in value.items()}
        needs = [_whole(((sign * 2 * offset - value[2, q]) / width).ceil()) for sign in (-1, 1)]
        upper = sum(up[0, a] + up[1, b] >= needs[0] for a, b in members)
        lower = sum(down[0, a] + down[1, b] >= needs[1] for a, b in members)
        assert recount(exact, entry, row, 100) == (lower, upper)
        assert recount(exact, entry, row, 100, inward=True) == (lower, upper)


@pytest.mark.parametrize("seed", [3, 6])
def test_a_meet_leaves_out_what_is_counted_and_fails_for_the_other(seed: int, tmp_path: Path) -> None:
    """Models that fail for two outputs at once."""
    made = ProofModel.from_tensors(shipped.tiny_weights(shipped.Kind.SKILLED, shipped.Sizes(5, 3), seed))
    exact, left_out = Model(read_weights(saved(made, tmp_path))), set()
    for (q, m), (x, z, y) in product([(4, 4), (0, 4), (2, 4)], [(1, 3, 2), (0, 2, 3), (2, 3, 1)]):
        entry = _shifted(exact, q, m)
        value, other = _values(exact, entry, (x, z)), _values(exact, entry, (y,))
        members = [s for s in product(range(m + 1), repeat=2) if q == m or m in s]
        fails = {(a, b) for a, b in members if other[0, a] + other[1, b] + other[2, q] >= 0}
        for times, width, offset in product((48, 300), (0.25, 0.03125), (0.0, 0.0078125, -0.125)):
            ctx.prec = 300
            a = {at: _whole(((v - offset) / width).ceil()) for at, v in value.items()}
            b = {at: _whole(((v * times / 64 + offset) / width).floor()) for at, v in other.items()}
            need = _whole(((-2 * arb(offset) - value[2, q]) / width).ceil())
            also = _whole(((2 * arb(offset) - other[2, q] * times / 64) / width).ceil())
            least = {at: min(a[at], b[at]) for at in a}
            counted = {(s, t) for s, t in members if a[0, s] + a[1, t] >= need}
            both = {(s, t) for s, t in members if least[0, s] + least[1, t] >= max(need, also)}
            assert both <= counted & fails
            row = Row((x, z), (width, offset), 1, 0, (y, times))
            for inward in (False, True):
                assert recount(exact, entry, row, 100, inward) == (0, len(counted) - len(both))
            left_out.add(len(both))
    assert len(left_out) > 2, left_out
