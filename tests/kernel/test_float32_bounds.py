"""Each bound of the auditor's binary32 rule by itself, against executions of every order and association."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flint import arb, ctx

from certkit.executing import Executor, Floats, executors
from certkit.kernel.execution import Execution
from certkit.kernel.model import Model as KernelModel
from certkit.kernel.weights import read_weights
from proofs.model import Model
from tests.kernel.test_float32 import every_sequence
from tests.support.certs import saved
from tests.support.models import Kind, Sizes, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bounds")


def _scores(executor: Executor, model: Model, tokens: Any) -> Floats:
    w = {name: tensor.numpy() for name, tensor in model.tensors().items()}
    scores: Floats = executor._scores(w, w["W_E"][tokens] + w["W_pos"])
    return scores


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.INTEGER, Kind.HUGE])
@pytest.mark.parametrize("seed", range(2))
def test_scores_stay_within_their_bound(kind: Kind, seed: int, folder: Path) -> None:
    model = tiny_model(kind, Sizes(3, 2, 8, 5), seed)
    execution = Execution(read_weights(saved(model, folder)))
    tokens, closest = every_sequence(model), 0.0
    ctx.prec = 300
    unit = execution.score_unit()
    for executor in executors(seed)[::3]:
        for sequence, computed in zip(tokens, _scores(executor, model, tokens), strict=True):
            q = int(sequence[-1])
            for p, t in enumerate(map(int, sequence)):
                score = execution.token[q][t] + execution.place[q][p]
                error = execution.token_error[q][t] + execution.place_error[q][p]
                off = abs(arb(float(computed[p])) - arb(score) * unit)
                assert off < arb(error) * unit
                closest = max(closest, float(off / (arb(error) * unit)))
    if kind in (Kind.SKILLED, Kind.GAUSSIAN):
        assert closest > 0.005, "a bound hundreds of times too wide tests nothing"


def _mixture(execution: Execution, exponentials: Any, sequence: list[int], x: int) -> tuple[arb, arb]:
    """The exact logit for given exponentials, and the bound on what an execution may be off by."""
    q = sequence[-1]
    total, value, error = sum(map(arb, exponentials), arb(0)), arb(0), arb(0)
    for p, (t, e) in enumerate(zip(sequence, exponentials, strict=True)):
        share = arb(e) / total
        value += share * (execution.evou[x][t] + execution.pvou[x][p] + execution.eupu[x][q])
        off = execution.evou_error[x][t] + execution.pvou_error[x][p] + execution.eupu_error[x][q]
        error += share * off
    unit = arb(2) ** -execution.exponent
    return value * unit, error * unit


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.HUGE])
def test_logits_stay_within_their_bound(kind: Kind, folder: Path) -> None:
    model = tiny_model(kind, Sizes(3, 3, 8, 4), 1)
    execution = Execution(read_weights(saved(model, folder)))
    tokens, closest = every_sequence(model), 0.0
    ctx.prec = 300
    for executor in executors(1):
        scores = _scores(executor, model, tokens)
        exponentials = executor._exp(scores - scores.max(1, keepdims=True))
        logits = executor.logits(model.tensors(), tokens)
        for sequence, weights, computed in zip(tokens.tolist(), exponentials, logits, strict=True):
            for x in range(model.vocab):
                value, error = _mixture(execution, list(map(float, weights)), sequence, x)
                off = abs(arb(float(computed[x])) - value)
                assert off < error
                closest = max(closest, float(off / error))
    assert closest > 0.005, "a bound hundreds of times too wide tests nothing"


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN])
def test_exponentials_stay_within_their_balls(kind: Kind, folder: Path) -> None:
    """Some one factor takes the computed exponentials of a sequence into exp(s_p ± Δ_p)."""
    model = tiny_model(kind, Sizes(3, 3, 8, 4), 0)
    execution = Execution(read_weights(saved(model, folder)))
    tokens = every_sequence(model)
    ctx.prec = 300
    unit = execution.score_unit()
    compared = 0
    for executor in executors(0):
        scores = _scores(executor, model, tokens)
        exponentials = executor._exp(scores - scores.max(1, keepdims=True))
        for sequence, computed in zip(tokens.tolist(), exponentials, strict=True):
            q = sequence[-1]
            by_token, by_place = execution.doubts(q, max(sequence))
            shifts = []
            for p, (t, e) in enumerate(zip(sequence, map(float, computed), strict=True)):
                if e >= 2.0**-125:
                    score = (execution.token[q][t] + execution.place[q][p]) * unit
                    shifts.append(arb(e).log() - score + by_token[t] + by_place[p])
            assert all(a.overlaps(b) for a in shifts for b in shifts)
            compared += len(shifts) > 1
    assert compared > 0


def test_a_ball_around_nothing_has_at_least_its_radius() -> None:
    """What the auditor relies on: arb(0, r) contains ±r, also where r is no short dyadic."""
    ctx.prec = 64
    for number in range(3, 200, 7):
        radius = arb(1) / arb(number)
        ball = arb(0, radius)
        assert ball.contains(radius)
        assert ball.contains(-radius)


def test_executions_have_the_tables_of_the_reals(folder: Path) -> None:
    """The gains of an execution exceed the real ones, by little; the scores are the same numbers."""
    weights = read_weights(saved(tiny_model(Kind.SKILLED, Sizes(4, 3), 1), folder))
    real, executed = KernelModel(weights), Execution(weights)
    shift = executed.exponent - real.exponent
    for q, m, x in ((0, 3, 1), (2, 2, 0), (1, 3, 2)):
        exact, widest = real.gains(q, m, x), executed.gains(q, m, x)
        for a, b in zip(exact, widest, strict=True):
            assert len(a) == len(b)
            assert all(one << shift < two for one, two in zip(a, b, strict=True))
    shift = executed.score_exponent - real.score_exponent
    assert executed.token == [[n << shift for n in row] for row in real.token]
    for q, m, x in ((0, 3, 1), (2, 2, 0)):
        for sign, found in ((1, executed.gains(q, m, x)), (-1, executed.gains(q, m, x, -1))):
            exact = KernelModel.gains(executed, q, m, x)
            for t in range(m + 1):
                error = executed.evou_error[x][t] + executed.evou_error[m][t]
                assert found[0][t] - exact[0][t] == sign * error
            for p in range(3):
                error = executed.pvou_error[x][p] + executed.pvou_error[m][p]
                error += executed.eupu_error[x][q] + executed.eupu_error[m][q]
                assert found[1][p] - exact[1][p] == sign * error


def test_doubts_grow_with_the_distance_to_the_largest_score(folder: Path) -> None:
    """Δ is at least ε + u·D + 65u, also where D is far larger than what computed exponentials can show."""
    execution = Execution(read_weights(saved(tiny_model(Kind.HUGE, Sizes(3, 3, 8, 4), 1), folder)))
    ctx.prec = 300
    unit = execution.score_unit()
    for q, m in ((0, 2), (1, 1), (2, 2)):
        by_token, by_place = execution.doubts(q, m)
        places = list(product(range(m + 1), range(3)))
        score = {(t, p): execution.token[q][t] + execution.place[q][p] for t, p in places}
        error = {(t, p): execution.token_error[q][t] + execution.place_error[q][p] for t, p in places}
        most = max(score[at] + error[at] for at in places)
        for at in places:
            needed = error[at] * unit + ((most - score[at] + error[at]) * unit + 65) * arb(2) ** -24
            assert (by_token[at[0]] + by_place[at[1]]).contains(needed)
