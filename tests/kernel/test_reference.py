"""The auditor on trained models, with large certificates from an untrusted prover in floating point."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from certkit.certificate import Cell, Certificate, CertifiedSet, Claim, SetContent
from certkit.kernel import Verdict, audit
from certkit.kernel.weights import read_weights
from tests.support.certs import document, write
from tests.support.float_prover import FloatProver

pytestmark = pytest.mark.shared


def certify(content: CertifiedSet, model: Path, upper: bool = False) -> Certificate:
    most = content.correct_at_most if upper else None
    sha256 = read_weights(str(model)).sha256
    claim = Claim(content.k, content.vocab, sha256, content.correct_at_least, most)
    return Certificate(claim, "float-prover", 1, content)


def judged(cert: Certificate, model: Path, tmp_path: Path, sample: int | None = None) -> Verdict:
    path = tmp_path / "x.cert"
    cert.save(path)
    return audit(str(path), str(model), sample)


def test_brute_force_on_the_k4_model(reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / "k4-v64-a.safetensors"
    cert = certify(FloatProver(str(model)).exceptions(), model, upper=True)
    assert cert.claim.correct_at_least == cert.claim.correct_at_most == 16_772_048
    start = time.process_time()
    verdict = judged(cert, model, tmp_path)
    assert time.process_time() - start < 60
    assert (verdict.verdict, verdict.audited_correct) == ("verified", 16_772_048), verdict
    edited = document(cert)
    edited["statement"]["correct_at_least"] += 1
    assert audit(write(edited, tmp_path), str(model)).rule == "claim"
    (place, entry) = next(
        (i, e) for i, e in enumerate(edited["proof"]["content"]) if e["sets"]["boxes"][0]["exceptions"]
    )
    dropped = edited["proof"]["content"][place]["sets"]["boxes"][0]["exceptions"].pop()
    edited["statement"]["correct_at_most"] += 1
    verdict = audit(write(edited, tmp_path), str(model))
    assert (verdict.verdict, verdict.rule) == ("refuted", "box")
    assert verdict.counterexample == (*dropped, entry["q"])


def test_the_example_on_which_a_published_step_is_unsound(reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / "unsound_mean_diff.safetensors"
    prover = FloatProver(str(model))
    cert = certify(prover.exceptions(), model, upper=True)
    assert (cert.claim.correct_at_least, cert.claim.total) == (485, 1296)
    assert judged(cert, model, tmp_path).verdict == "verified"
    wrong = CertifiedSet(4, 6, (SetContent(2, 2, (Cell(2, (0, 0)),)),))
    verdict = judged(certify(wrong, model), model, tmp_path)
    assert (verdict.verdict, verdict.rule) == ("refuted", "cell")
    assert verdict.counterexample is not None
    assert sorted(verdict.counterexample) == [0, 0, 2, 2]


def wider_cells(content: CertifiedSet) -> list[SetContent]:
    """Each cell that could take one token more, with it, alone in its class."""
    return [
        SetContent(e.q, e.m, (Cell(c.n, (0, c.allowed[1] + 1)),))
        for e in content.entries
        if isinstance(e, SetContent)
        for c in e.cells
        if c.allowed and c.allowed[1] + 1 < e.m
    ]


@pytest.mark.parametrize(
    "name", ["k4-v64-a", "k10-v64-a", pytest.param("k20-v64-a", marks=pytest.mark.extended)]
)
def test_cells_pass_and_with_one_token_more_do_not(name: str, reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / f"{name}.safetensors"
    content = FloatProver(str(model)).cells()
    verdict = judged(certify(content, model), model, tmp_path, sample=100)
    assert (verdict.verdict, verdict.sampled) == ("sampled", (100, len(content.entries))), verdict
    wider = wider_cells(content)
    for entry in wider[:: len(wider) // 5]:
        one = CertifiedSet(content.k, content.vocab, (entry,))
        verdict = judged(certify(one, model), model, tmp_path)
        assert (verdict.verdict, verdict.rule) == ("refuted", "cell"), verdict


def rows_of(kind: str, model: Path) -> CertifiedSet:
    prover = FloatProver(str(model))
    return prover.tails() if kind == "tails" else prover.counts(64)


@pytest.mark.parametrize("kind", ["tails", "counts"])
def test_some_tails_and_counts_of_the_k4_model(kind: str, reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / "k4-v64-a.safetensors"
    content = rows_of(kind, model)
    with_rows = [entry for entry in content.entries if getattr(entry, kind)]
    some = CertifiedSet(content.k, content.vocab, tuple(with_rows[::10]))
    assert judged(certify(some, model, kind == "counts"), model, tmp_path).verdict == "verified"


@pytest.mark.extended
@pytest.mark.parametrize("kind", ["tails", "counts"])
def test_tails_and_counts_enclose_the_accuracy(kind: str, reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / "k4-v64-a.safetensors"
    cert = certify(rows_of(kind, model), model, upper=kind == "counts")
    assert judged(cert, model, tmp_path).verdict == "verified"
    assert cert.claim.correct_at_least <= 16_772_048
    assert cert.claim.correct_at_most is None or cert.claim.correct_at_most >= 16_772_048


@pytest.mark.extended
@pytest.mark.parametrize("name", ["k4-v64-a", "k5-v64-a", "k10-v64-a", "k20-v64-a"])
def test_whole_cell_certificates_in_a_minute(name: str, reference_dir: Path, tmp_path: Path) -> None:
    model = reference_dir / f"{name}.safetensors"
    start = time.process_time()
    assert judged(certify(FloatProver(str(model)).cells(), model), model, tmp_path).verdict == "verified"
    assert time.process_time() - start < 60
