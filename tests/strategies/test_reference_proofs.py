"""The reference models: what must be certified, what was published, and the auditor's word."""

from __future__ import annotations

import functools
import json
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest

import certkit.kernel
from certkit.certificate import Certificate, Estimate
from proofs.model import load_model
from proofs.proving import prove, reverify

pytestmark = pytest.mark.shared

PUBLISHED_CUBIC = {"k4-v64-a": "0.9682", "k5-v64-a": "0.9503", "k10-v64-a": "0.9353", "k20-v64-a": "0.85"}


@functools.cache
def _certificate(folder: Path, name: str, strategy: str) -> Certificate:
    return prove(load_model(folder / f"{name}.safetensors"), strategy)


def test_brute_force_is_exact(reference_dir: Path) -> None:
    expected = json.loads((reference_dir / "k4-v64-a.json").read_text())["exact"]
    claim = _certificate(reference_dir, "k4-v64-a", "brute-force").claim
    assert claim.correct_at_least == claim.correct_at_most == expected["correct"] == 16_772_048
    assert claim.total == expected["total"]


@pytest.mark.parametrize("name", PUBLISHED_CUBIC)
def test_cubic_beats_the_published_bound_and_stays_below_the_truth(reference_dir: Path, name: str) -> None:
    bound = _certificate(reference_dir, name, "cubic").bound
    assert bound >= Fraction(PUBLISHED_CUBIC[name])
    sampled = json.loads((reference_dir / "sampled-accuracy.json").read_text())
    if name in sampled:
        assert bound <= Estimate(sampled[name]["sampled_correct"], sampled[name]["sampled"]).interval[1]
    else:
        assert bound <= _certificate(reference_dir, name, "brute-force").bound


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("unsound_mean_diff", "cubic"),
        ("unsound_mean_diff", "brute-force"),
        ("k4-v64-a", "cubic"),
        ("k4-v64-a", "brute-force"),
        pytest.param("k5-v64-a", "cubic", marks=pytest.mark.extended),
        pytest.param("k10-v64-a", "cubic", marks=pytest.mark.extended),
        pytest.param("k20-v64-a", "cubic", marks=pytest.mark.extended),
    ],
)
def test_the_auditor_verifies(reference_dir: Path, tmp_path: Path, name: str, strategy: str) -> None:
    certificate, path = _certificate(reference_dir, name, strategy), tmp_path / "proof.cert"
    certificate.save(path)
    verdict = certkit.kernel.audit(os.fspath(path), os.fspath(reference_dir / f"{name}.safetensors"))
    assert verdict.verdict == "verified", verdict
    assert verdict.audited_correct == certificate.claim.correct_at_least
    assert path.stat().st_size < 3_000_000


def test_a_witness_verifies_again_after_a_round_trip(reference_dir: Path, tmp_path: Path) -> None:
    certificate, path = _certificate(reference_dir, "unsound_mean_diff", "cubic"), tmp_path / "proof.cert"
    certificate.save(path)
    model = load_model(reference_dir / "unsound_mean_diff.safetensors")
    assert reverify(model, Certificate.load(path)).certified == certificate.content


@pytest.mark.extended
def test_verification_is_fast(reference_dir: Path) -> None:
    """CPU seconds of one thread, best of three: 1 for cubic, 20 for brute-force."""
    model = load_model(reference_dir / "k4-v64-a.safetensors")
    for strategy, limit in (("cubic", 1.0), ("brute-force", 20.0)):
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            prove(model, strategy)
            best = min(best, time.process_time() - started)
        assert best < limit, f"{strategy} took {best:.2f} s"
