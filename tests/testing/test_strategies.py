"""Our Hypothesis strategies: what they draw is what they say, shrinks to something simple, and is found."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from torch import Tensor

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet
from certkit.fileformat import decode, encode
from certkit.interval import Interval
from certkit.testing import strategies as draw
from certkit.testing.models import Sizes
from certkit.testing.mutants import FileMutant
from certkit.testing.zoo import Specimen
from proofs.model import Model
from proofs.mutants.files import write_control

QUIET = settings(database=None, max_examples=2000)


@given(draw.intervals_with_points())
def test_points_lie_in_their_intervals(drawn: tuple[Interval, Tensor]) -> None:
    x, points = drawn
    assert points.shape == x.shape
    assert bool(((x.lo <= points) & (points <= x.hi)).all())
    assert bool(x.lo.isfinite().all())


@given(draw.tensors((2, 3), st.integers(-2, 2).map(float)))
def test_tensors_have_the_shape_and_elements_asked_for(x: Tensor) -> None:
    assert (x.shape, x.dtype) == ((2, 3), torch.float64)
    assert bool((x.abs() <= 2).all())


@given(st.data(), draw.shapes())
def test_shapes_may_be_drawn(data: st.DataObject, shape: tuple[int, ...]) -> None:
    assert tuple(data.draw(draw.tensors(st.just(shape))).shape) == shape
    assert tuple(data.draw(draw.intervals(shape)).shape) == shape


def test_empty_tensors_are_drawn_if_asked_for() -> None:
    shape = find(draw.shapes(min_side=0), lambda shape: 0 in shape, settings=QUIET)
    assert shape == (0,)
    assert find(draw.tensors(shape), lambda _: True, settings=QUIET).shape == (0,)


@pytest.mark.parametrize("ends", [(math.inf, -math.inf), (0.0, math.inf)])
def test_what_has_no_points_is_refused(ends: tuple[float, float]) -> None:
    lo, hi = (torch.tensor([end], dtype=torch.float64) for end in ends)
    with pytest.raises(ValueError, match="element 0"):
        find(draw.points_in(Interval._unchecked(lo, hi)), lambda _: True, settings=QUIET)


def test_failing_examples_shrink_to_simple_ones() -> None:
    """A wrong law of intervals: the counterexample is small enough to read."""
    wide = find(draw.intervals(), lambda x: bool((x.lo < x.hi).any()), settings=QUIET)
    assert (tuple(wide.shape), wide.lo.tolist(), wide.hi.tolist()) == ((), 0.0, 5e-324)
    assert find(draw.tensors(), lambda _: True, settings=QUIET).shape == ()
    large = find(draw.tensors(), lambda x: bool((x > 10.0).any()), settings=QUIET)
    assert large.tolist() == 11.0
    model = find(draw.tiny_models(), lambda model: model.vocab > 1, settings=QUIET)
    assert (model.vocab, model.n_ctx) == (2, 1)
    certificate = find(draw.certificates(), lambda c: c.claim.correct_at_least > 0, settings=QUIET)
    assert (certificate.claim.k, certificate.claim.vocab, certificate.claim.correct_at_least) == (1, 1, 1)


@given(...)
def test_types_are_known(x: Interval, certificate: Certificate, content: CertifiedSet, model: Model) -> None:
    assert bool((x.lo <= x.hi).all())
    assert decode(encode(certificate)) == certificate
    assert content.correct_at_least >= 0
    assert model.vocab >= 1


@given(sizes=st.from_type(Sizes), specimen=st.from_type(Specimen))
def test_more_types_are_known(sizes: Sizes, specimen: Specimen) -> None:
    assert sizes.vocab >= 1
    assert specimen.sequences >= 1


def test_mutants_are_refused(tmp_path: Path) -> None:
    control, model = write_control(tmp_path, "cells")

    @given(draw.mutants(control.read_bytes()))
    def refused(mutant: FileMutant) -> None:
        (tmp_path / "mutant.cert").write_bytes(mutant.data)
        assert kernel.audit(str(tmp_path / "mutant.cert"), str(model)).exit_code != 0

    refused()


@given(st.data())
def test_witnesses_are_hostile_and_keep_their_shape(data: st.DataObject) -> None:
    searched = (torch.tensor([1.0, 2.0]), 3)
    vector, number = data.draw(draw.witnesses(searched))
    assert vector.shape == (2,)
    assert type(number) is int


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_hypothesis_alone_imports_no_torch_and_has_the_profiles() -> None:
    code = (
        "import sys, hypothesis; print('torch' in sys.modules, 'certkit.interval' in sys.modules);"
        "print([hypothesis.settings.get_profile(f'certkit-{n}').max_examples for n in ('dev', 'ci', 'soak')])"
    )
    assert run(code).splitlines() == ["False False", "[25, 50, 2000]"]


@pytest.mark.parametrize("order", ["hypothesis, certkit.interval", "certkit.interval, hypothesis"])
def test_types_are_known_in_either_order_of_imports(order: str) -> None:
    code = (
        f"import {order}; from hypothesis import strategies as st, find;"
        "x = find(st.from_type(certkit.interval.Interval), lambda x: True);"
        "print(tuple(x.shape), float(x.lo), certkit.interval.__loader__.__class__.__name__)"
    )
    assert run(code) == "() 0.0 SourceFileLoader"
