"""The same laws on a CUDA device, where fused operations may round differently."""

from __future__ import annotations

import pytest
from flint import arb

from certkit import Interval, elementary
from certkit.affine import Affine
from certkit.relax import row_range, weighted_average

from .oracle import check_points
from .test_exp_log import exp_inputs, log_inputs
from .test_functions import CASES, inputs
from .test_reductions import scores

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("name", CASES)
def test_functions(name: str) -> None:
    case = CASES[name]
    x = inputs(case, 20)
    down, up = case.bounds(x.cuda(), x.cuda())
    check_points(case.truth, x, down.cpu(), up.cpu(), max_ulps=case.ulps)


def test_exp_and_log() -> None:
    for bounds, truth, x in (
        (elementary.exp_bounds, arb.exp, exp_inputs(40).clamp(-1000, 1000)),
        (elementary.log_bounds, arb.log, log_inputs(40)),
    ):
        down, up = bounds(x.cuda(), x.cuda())
        check_points(truth, x, down.cpu(), up.cpu(), max_ulps=2.0)


def test_powers() -> None:
    x = inputs(CASES["sin"], 20)
    x = x[x != 0]
    for n in (3, -2, 17):
        down, up = elementary.pow_bounds(x.cuda(), x.cuda(), n)
        check_points(lambda t, n=n: t**n, x, down.cpu(), up.cpu(), max_ulps=2.0)


def test_both_devices_enclose_one_truth() -> None:
    """Two sound enclosures of the same number meet."""
    x = scores(500, 6, 1)
    y = Interval.hull(x.lo.cuda(), x.hi.cuda())
    for function in (
        lambda v: elementary.softmax(v, -1),
        lambda v: elementary.logsumexp(v, -1),
        lambda v: weighted_average(v, v.abs()),
        lambda v: row_range(v @ v.mT),
        lambda v: Affine.from_interval(v[:20]).tanh().to_interval(),
    ):
        here, there = function(x), function(y)
        assert there.lo.is_cuda
        assert bool(((here.lo <= there.hi.cpu()) & (there.lo.cpu() <= here.hi)).all())
