"""Executions in binary32: what they compute is what IEEE 754 says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.executing import Association, Executor, Order, executors, fused, is_correct
from certkit.testing.models import Kind, Sizes, tiny_weights

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60)
NEAR_ONE = st.integers(-4, 4).map(lambda i: float(np.float32(1.0) + np.float32(i * 2.0**-23)))


def nearest(exact: Fraction) -> np.float32:
    """The float32 nearest to a rational, ties to even, from the neighbours of any guess."""
    guess = np.float32(float(exact))
    infinity = np.float32(np.inf)
    around = (np.nextafter(guess, -infinity), guess, np.nextafter(guess, infinity))
    return min(around, key=lambda f: (abs(Fraction(float(f)) - exact), int(f.view(np.int32)) % 2))


@given(st.lists(st.tuples(FLOATS | NEAR_ONE, FLOATS | NEAR_ONE, FLOATS | NEAR_ONE), min_size=1, max_size=50))
def test_fused_is_rounded_once(cases: list[tuple[float, float, float]]) -> None:
    x, y, z = (np.array(column, np.float32) for column in zip(*cases, strict=True))
    for case, got in zip(cases, fused(x, y, z), strict=True):
        a, b, c = map(Fraction, case)
        assert got == nearest(a * b + c), case


def test_fused_where_double_rounding_shows() -> None:
    """1 + 2⁻¹¹ + 2⁻²⁴ + 2⁻⁶⁰ rounds up; through float64 it becomes a tie and rounds down."""
    x, y, z = np.float32([1.0]), np.float32([2.0**-60]), np.float32([1.0])
    a, b = np.float32([1 + 2.0**-12]), np.float32([1 + 2.0**-12])  # 1 + 2⁻¹¹ + 2⁻²⁴
    assert fused(a, b, y)[0] == np.float32(1 + 2.0**-11 + 2.0**-23)
    assert (a.astype(np.float64) * b + y).astype(np.float32)[0] == np.float32(1 + 2.0**-11)
    assert fused(x, y, z)[0] == 1.0


def test_executions_differ_and_agree_where_nothing_is_rounded() -> None:
    tokens = np.array([[0, 1, 2], [2, 2, 0]])
    rough = tiny_weights(Kind.GAUSSIAN, Sizes(3, 3), 1)
    assert len({run.logits(rough, tokens).tobytes() for run in executors(0)}) > 2
    smooth = {name: torch.ones_like(tensor) for name, tensor in rough.items()}
    results = [run.logits(smooth, tokens) for run in executors(0) if run.exp_ulps == 0]
    assert not any(is_correct(logits, tokens).any() for logits in results)  # ties, all of them


def test_a_tie_and_a_nan_are_wrong() -> None:
    tokens = np.array([[0, 1], [0, 1], [0, 1]])
    logits = np.array([[0, 1, 0], [1, 1, 0], [0, np.nan, 0]], np.float32)
    assert is_correct(logits, tokens).tolist() == [True, False, False]


def test_every_order_and_association_is_among_the_executors() -> None:
    found = {(run.order, run.association) for run in executors(3)}
    assert found == {(order, association) for order in Order for association in Association}
    assert all(isinstance(run, Executor) for run in executors(3))
