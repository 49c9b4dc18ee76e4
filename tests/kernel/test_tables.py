"""The auditor's tables and the errors of executions, against the formulas in rationals."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product

import pytest
from flint import arb, ctx, fmpz

from certkit.kernel import execution
from certkit.kernel.execution import Execution
from certkit.kernel.model import Attention, Model, align
from certkit.kernel.sets import Terms, enclose
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import Matrix, Weights, read_weights
from tests.support.certs import saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import rule

Rows = list[list[Fraction]]


def fractions(matrix: Matrix) -> Rows:
    return [[Fraction(int(n), 2**matrix.exponent) for n in row] for row in matrix.rows]


def times(a: Rows, b: Rows) -> Rows:
    columns = turned(b)
    return [[sum((x * y for x, y in zip(row, c, strict=True)), Fraction()) for c in columns] for row in a]


def plus(a: Rows, row: list[Fraction]) -> Rows:
    return [[x + y for x, y in zip(line, row, strict=True)] for line in a]


def turned(a: Rows) -> Rows:
    return [list(column) for column in zip(*a, strict=True)]


def scaled_rows(rows: list[list[int]], exponent: int) -> Rows:
    return fractions(Matrix(rows, exponent))


@pytest.fixture(scope="module", params=[Sizes(3, 2, 4, 2), Sizes(4, 3, 3, 5)], ids=str)
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    made = tiny_model(Kind.GAUSSIAN, request.param, 3)
    return read_weights(saved(made, tmp_path_factory.mktemp("model")))


# ------------------------------------------------------------------------------------------ the model


def test_tables_are_the_exact_products(weights: Weights) -> None:
    exact, w = Model(weights), {name: fractions(matrix) for name, matrix in weights.matrices.items()}
    query = plus(w["W_E"], w["W_pos"][-1])
    asked, out = times(query, w["W_Q"]), times(times(w["W_V"], w["W_O"]), w["W_U"])
    tables = {
        "token": times(asked, turned(times(w["W_E"], w["W_K"]))),
        "place": times(asked, turned(times(w["W_pos"], w["W_K"]))),
        "evou": turned(times(w["W_E"], out)),
        "pvou": turned(times(w["W_pos"], out)),
        "eupu": turned(times(query, w["W_U"])),
    }
    for name, table in tables.items():
        exponent = exact.score_exponent if name in ("token", "place") else exact.exponent
        assert scaled_rows(getattr(exact, name), exponent) == table
    assert (exact.vocab, exact.k, exact.sha256) == (len(w["W_E"]), len(w["W_pos"]), weights.sha256)
    assert not exact.executed
    assert Execution(weights).executed
    for q, m, x in ((0, 1, 2), (2, 2, 0), (1, 2, 1)):
        tokens, places = exact.gains(q, m, x)
        assert len(tokens) == m + 1
        for t, p in product(range(m + 1), range(exact.k)):
            gain = sum(
                tables[name][x][i] - tables[name][m][i] for name, i in (("evou", t), ("pvou", p), ("eupu", q))
            )
            assert Fraction(int(tokens[t] + places[p]), 2**exact.exponent) == gain
        assert exact.gains(q, m, x, -1) == (tokens, places)


def _errors(weights: Weights) -> tuple[Rows, Rows, Rows, Rows, Rows]:
    """What the docstring of `execution` derives, in rationals: γ is rounded up to nu + n²u²."""
    u = Fraction(1, 2**24)
    exact = {name: fractions(matrix) for name, matrix in weights.matrices.items()}
    w = {name: [[abs(a) + u / 2 for a in row] for row in rows] for name, rows in exact.items()}
    d, h, k = len(w["W_U"]), len(w["W_Q"][0]), len(w["W_pos"])
    query = plus(w["W_E"], w["W_pos"][-1])
    asked, out = times(query, w["W_Q"]), times(times(w["W_V"], w["W_O"]), w["W_U"])

    def grown(rows: Rows, n: int) -> Rows:
        return [[v * (n * u + n * n * u * u) for v in row] for row in rows]

    score, logit = 2 * (d + 2) + h + 6, 2 * d + h + 3 * k + 8
    token = grown(times(asked, turned(times(w["W_E"], w["W_K"]))), score)
    place = grown(times(asked, turned(times(w["W_pos"], w["W_K"]))), score)
    parts = times(w["W_E"], out), times(w["W_pos"], out), times(query, w["W_U"])
    evou, pvou, eupu = (grown(turned(part), logit) for part in parts)
    spread = [k * u / 2 * (max(a) + max(b)) for a, b in zip(evou, pvou, strict=True)]
    eupu = [[v + more for v in row] for row, more in zip(eupu, spread, strict=True)]
    return token, place, evou, pvou, eupu


def test_errors_of_executions_are_those_derived(weights: Weights) -> None:
    executed = Execution(weights)
    token, place, evou, pvou, eupu = _errors(weights)
    assert scaled_rows(executed.token_error, executed.score_exponent) == token
    assert scaled_rows(executed.place_error, executed.score_exponent) == place
    assert scaled_rows(executed.evou_error, executed.exponent) == evou
    assert scaled_rows(executed.pvou_error, executed.exponent) == pvou
    unit = Fraction(1, 2**executed.exponent)
    for got, least in zip(scaled_rows(executed.eupu_error, executed.exponent), eupu, strict=True):
        assert all(a < b <= a + unit for a, b in zip(least, got, strict=True))


def test_doubts_are_the_derived_radii(weights: Weights) -> None:
    executed = Execution(weights)
    ctx.prec = 200
    unit = executed.score_unit()
    q, m = 1, 2
    for balls, scores, errors in zip(
        executed.doubts(q, m),
        (executed.token[q][: m + 1], executed.place[q]),
        (executed.token_error[q][: m + 1], executed.place_error[q]),
        strict=True,
    ):
        assert len(balls) == len(scores)
        most = max(scores) + max(errors)
        for ball, score, error in zip(balls, scores, errors, strict=True):
            radius = arb(error) * unit + (arb(most - score + error) * unit + 33) * arb(2) ** -24
            assert ball.contains(radius)
            assert ball.contains(-radius)
            assert ball.rad() < radius * (1 + arb(2) ** -20)


def test_scores_beyond_all_bounds_say_nothing(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = Execution(weights)
    monkeypatch.setattr(execution, "MAX_DOUBT", 0)
    with pytest.raises(Finding) as caught:
        executed.doubts(0, 1)
    assert (caught.value.verdict, caught.value.rule) == ("undecided", "float32")
    assert caught.value.where == "the scores are so large that binary32 says nothing"


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROUNDINGS", 16), ("MAX_REACH", 1)])
def test_models_too_large_for_binary32(
    limit: str, value: int, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, limit, value)
    with pytest.raises(Finding) as caught:
        Execution(weights)
    assert (caught.value.verdict, caught.value.rule) == ("refused", "float32")
    assert caught.value.where == "weights so many or so large that binary32 could overflow"


def test_the_reach_is_the_product_of_the_largest_sums() -> None:
    matrices = {name: Matrix([[3, -5]], 1) for name in ("W_E", "W_pos", "W_Q")}
    # 2·side·5/2 = 35, and one more; W_E and W_pos count twice
    assert execution._reach(Weights(matrices, ""), 7) == 36**5
    assert execution._reach(Weights({"W_Q": Matrix([[0]], 3)}, ""), 7) == 1


def test_the_limits_may_be_reached(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    d, h, k = (len(weights.matrices[name].rows) for name in ("W_U", "W_O", "W_pos"))
    most = max(2 * (d + 2) + h + 6, 2 * d + h + 3 * k + 8)
    monkeypatch.setattr(execution, "MAX_ROUNDINGS", most)
    monkeypatch.setattr(execution, "MAX_REACH", execution._reach(weights, max(d, h)))
    Execution(weights)


def test_weights_of_attention_are_enclosed(weights: Weights) -> None:
    exact = Model(weights)
    for bits in (64, 200):
        attention = Attention(exact, 1, 2, bits)
        ctx.prec = 500
        unit = exact.score_unit()
        scores = [exact.token[1][:3], exact.place[1]]
        assert attention.top == sum(map(max, scores))
        for row, balls in zip(scores, (attention.token, attention.place), strict=True):
            for score, ball in zip(row, balls, strict=True):
                true = (arb(score - max(row)) * unit).exp()
                assert ball.overlaps(true)
                assert ball.rad() < arb(2) ** (8 - bits)


def test_one_common_exponent() -> None:
    tables, exponent = align(Matrix([[1, -3]], 2), Matrix([[5]], 0))
    assert (tables, exponent) == ([[[1, -3]], [[20]]], 2)


def test_terms_of_executions_use_the_most_above_and_the_least_below(weights: Weights) -> None:
    executed, entry = Execution(weights), rule(1, 2, "sets")
    view = Terms(executed, entry, 0, 64)
    for sign, bounds in ((1, view.high), (-1, view.low)):
        tokens, places = executed.gains(1, 2, 0, sign)
        attention = Attention(executed, 1, 2, 64)
        for p, t in product(range(executed.k), range(3)):
            ball = attention.token[t] * attention.place[p] * (tokens[t] + places[p])
            assert bounds[p][t] == (ball.upper() if sign > 0 else ball.lower())
            assert enclose(executed, entry, (0,), 64, sign)[p][t].overlaps(ball)


def test_gains_of_executions_are_wider_by_the_errors_of_both_outputs(weights: Weights) -> None:
    executed = Execution(weights)
    for q, m, x in ((0, 1, 2), (2, 2, 0), (1, 2, 1)):
        exact = Model.gains(executed, q, m, x)
        for sign in (1, -1):
            tokens, places = executed.gains(q, m, x, sign)
            assert (len(tokens), len(places)) == (m + 1, executed.k)
            for t, gain in enumerate(tokens):
                error = executed.evou_error[x][t] + executed.evou_error[m][t]
                assert gain == exact[0][t] + sign * error
            for p, gain in enumerate(places):
                error = executed.pvou_error[x][p] + executed.pvou_error[m][p]
                error += executed.eupu_error[x][q] + executed.eupu_error[m][q]
                assert gain == exact[1][p] + sign * error
        assert executed.gains(q, m, x) == executed.gains(q, m, x, 1)


SIZES = {
    "W_E": (3, 2),
    "W_pos": (3, 2),
    "W_Q": (2, 2),
    "W_K": (2, 2),
    "W_V": (2, 2),
    "W_O": (2, 2),
    "W_U": (2, 3),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("kind", "largest"),
    [(Model, (2**24 - 1) << 104 + 149), (Execution, 1 << 8 + 149)],
    ids=["real", "float32"],
)
def test_every_term_is_finite_with_the_largest_and_the_least_weights(
    kind: type[Model], largest: int, seed: int
) -> None:
    """The largest term is found by comparing, and something that is not a number would be passed over."""
    draw = random.Random(seed)
    numbers = [sign * size for sign in (1, -1) for size in (largest, 1, 0)]
    exact = kind(
        Weights(
            {
                name: Matrix([[fmpz(draw.choice(numbers)) for _ in range(wide)] for _ in range(high)], 149)
                for name, (high, wide) in SIZES.items()
            },
            "",
        )
    )
    for (q, m), x, bits in product(((0, 2), (2, 2), (1, 1)), (0, 1, 2), (64, 4096)):
        weight = Attention(exact, q, m, bits)
        assert all(ball.is_finite() for ball in (*weight.token, *weight.place))
        view = Terms(exact, rule(q, m, "sets"), x, bits)
        assert all(end.is_finite() for table in (view.high, view.low) for row in table for end in row)
