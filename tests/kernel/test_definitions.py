"""Terms, tilts, tails and counts of the auditor against their definitions, with 300 bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from flint import arb, ctx

from certkit.kernel.model import Attention, Model
from certkit.kernel.reader import Entry, Row
from certkit.kernel.rows import recount, row_terms, tail_bounds, tilt_terms
from certkit.kernel.sets import Terms, enclose
from certkit.kernel.weights import read_weights
from certkit.testing import models as shipped
from proofs.model import Model as ProofModel
from tests.support.certs import saved
from tests.support.models import Kind, Sizes, tiny_model


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
    entry = Entry(1, 4, "sets")
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


TILTED = Row(0, (0.5,), 1, 0, (2,), ((1, 0.75), (3, 2.0)))


def _values(exact: Model, entry: Entry, outputs: tuple[int, ...]) -> dict[tuple[int, int], arb]:
    """The largest v_p(t) of the outputs, from the definition, with 300 bits."""
    ctx.prec = 300
    views = [exact.gains(entry.q, entry.m, x) for x in outputs]
    unit = (-arb(entry.shift)).exp() / arb(2) ** exact.exponent
    return {
        (p, t): w * max(tokens[t] + places[p] for tokens, places in views) * unit
        for p, t, w in _weights(exact, entry.q, entry.m)
    }


def _shifted(exact: Model, q: int, m: int) -> Entry:
    ctx.prec = 300
    shift = float((arb(Attention(exact, q, m, 64).top) * exact.score_unit()).mid())
    return Entry(q, m, "bounds", shift=shift)


@pytest.mark.parametrize(("q", "m"), [(1, 4), (4, 4)])
def test_terms_of_a_row_are_the_largest_of_its_tokens_and_the_tilts_are_apart(
    q: int, m: int, exact: Model
) -> None:
    entry = _shifted(exact, q, m)
    largest, y, z = (_values(exact, entry, outputs) for outputs in ((0, 2), (1,), (3,)))
    terms, tilts = row_terms(exact, entry, (0, 2), 100), tilt_terms(exact, entry, TILTED, 100)
    none = tilt_terms(exact, entry, TILTED._replace(tilts=()), 100)
    ctx.prec = 300
    for p, t in product(range(exact.k), range(m + 1)):
        assert terms[p][t].overlaps(largest[p, t])
        assert tilts[p][t].overlaps(-y[p, t] * 3 / 4 - z[p, t] * 2)
        assert tilts[p][t].rad() <= (abs(y[p, t]) + abs(z[p, t])) * arb(2) ** -80
        assert none[p][t] == 0


@pytest.mark.parametrize(("q", "m"), [(1, 4), (4, 4)])
@pytest.mark.parametrize("tilts", [(), TILTED.tilts])
def test_bounds_are_those_of_the_definition(
    q: int, m: int, tilts: tuple[tuple[int, float], ...], exact: Model
) -> None:
    """A row about two tokens, with tilts and without: its tail, and its count at any width."""
    entry = _shifted(exact, q, m)
    value = _values(exact, entry, (0, 2))
    tilted = dict.fromkeys(value, arb(0))
    for y, amount in tilts:
        other = _values(exact, entry, (y,))
        tilted = {at: tilt - amount * other[at] for at, tilt in tilted.items()}
    members = [s for s in product(range(m + 1), repeat=2) if q == m or m in s]
    places = [((0, a), (1, b), (2, q)) for a, b in members]
    sums = [sum(value[at] for at in three) for three in places]
    weights = [sum(tilted[at] for at in three).exp() for three in places]
    true = sum((w * (s / 2).exp() for w, s in zip(weights, sums, strict=True)), arb(0))
    row = TILTED._replace(tilts=tilts)
    _, bound = tail_bounds(exact, entry, row, 100)
    assert bound.overlaps(true)
    assert bound.rad() < true * arb(2) ** -80
    for width, offset in ((0.25, 0.0), (0.03125, 0.0078125), (0.5, -0.125)):
        ctx.prec = 300
        counted = row._replace(numbers=(width, offset), failing_at_least=1)
        up = {at: _whole(((v - offset) / width).ceil()) for at, v in value.items()}
        down = {at: _whole(((v + offset) / width).floor()) for at, v in value.items()}
        needs = [_whole(((sign * 2 * offset - value[2, q]) / width).ceil()) for sign in (-1, 1)]
        counts = [up[0, a] + up[1, b] >= needs[0] for a, b in members]
        upper = sum((w for w, counting in zip(weights, counts, strict=True) if counting), arb(0))
        lower = sum(down[0, a] + down[1, b] >= needs[1] for a, b in members)
        found = recount(exact, entry, counted, 100), recount(exact, entry, counted, 100, inward=True)
        ctx.prec = 300
        assert found[0][0] == found[1][0] == lower
        if tilts:
            least, most = arb(found[1][1]).lower(), arb(found[0][1]).upper()
            assert least <= upper <= most
            assert most - least <= upper * arb(2) ** -80
        else:
            assert found[0][1] == found[1][1] == sum(counts)


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
            row = Row(x, (width, offset), 1, 0, (z,), (), (y, times))
            for inward in (False, True):
                assert recount(exact, entry, row, 100, inward) == (0, len(counted) - len(both))
            left_out.add(len(both))
    assert len(left_out) > 2, left_out
