"""Claims about execution in binary32: what the auditor accepts, every execution gets right."""

from __future__ import annotations

import random
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import (
    Bound,
    BoundContent,
    Box,
    CertifiedSet,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
)
from certkit.executing import executors, is_correct
from certkit.fileformat import load
from certkit.kernel import Verdict, audit
from certkit.kernel.counting import Entry
from certkit.kernel.execution import Execution
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import read_weights
from certkit.testing import zoo
from proofs.model import Model, load_model
from proofs.proving import prove
from proofs.strategy import StrategyError
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Box as KernelBox
from tests.support.rows import decide, rule
from tests.support.sampling import sample_members

NAMES = ["brute-force", "cubic"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("float32")


def every_sequence(model: Model) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(list(product(range(model.vocab), repeat=model.n_ctx)))


def _entry(sequence: Any) -> Entry:
    """The class and the box of one sequence."""
    *others, q = map(int, sequence)
    return rule(q, max(*others, q), "sets", (), (KernelBox(tuple((t, t) for t in others), False, ()),))


def _accepted(model: Model, folder: Path) -> list[bool]:
    """Which sequences the auditor accepts on their own."""
    execution = Execution(read_weights(saved(model, folder)))
    return [decide(execution, _entry(s), False).finding is None for s in every_sequence(model)]


# ------------------------------------------------------------------------------------------- soundness


@pytest.mark.parametrize("kind", Kind)
def test_what_is_accepted_is_right_in_every_execution(kind: Kind, folder: Path) -> None:
    accepted = 0
    for seed, sizes in enumerate((Sizes(3, 2), Sizes(3, 3, 8, 4), Sizes(4, 2, 2, 2), Sizes(2, 4, 3, 1))):
        model = tiny_model(kind, sizes, seed)
        try:
            passed = np.array(_accepted(model, folder))
        except Finding:  # weights that may overflow
            continue
        tokens = every_sequence(model)
        with np.errstate(all="ignore"):
            for executor in executors(seed):
                right = is_correct(executor.logits(model.tensors(), tokens), tokens)
                assert not (passed & ~right).any(), (executor, tokens[passed & ~right][0])
        accepted += int(passed.sum())
    if kind in (Kind.SKILLED, Kind.GAUSSIAN, Kind.TWIN):
        assert accepted > 0


@given(kind=st.sampled_from(Kind), seed=st.integers(0, 10**6))
def test_a_set_passes_only_if_each_execution_is_right_on_all_of_it(
    kind: Kind, seed: int, folder: Path
) -> None:
    """Whole certificates: claims of the prover verify, and so does no more than any execution allows."""
    model = tiny_model(kind, Sizes(2 + seed % 3, 1 + seed % 3, 1 + seed % 8, 1 + seed % 5), seed)
    path = saved(model, folder)
    entries = whole_content(model)
    tokens = every_sequence(model)
    cert = certificate(model, entries, semantics="float32")
    verdict = audit(write(document(cert), folder), path)
    assert verdict.verdict in ("verified", "undecided", "refused")
    if verdict.verdict == "verified":
        inside = np.array([_is_inside(entries, tuple(map(int, s))) for s in tokens])
        with np.errstate(all="ignore"):
            for executor in executors(seed):
                assert is_correct(executor.logits(model.tensors(), tokens), tokens)[inside].all()


def _is_inside(entries: list[SetContent], sequence: tuple[int, ...]) -> bool:
    box = next(e.boxes[0] for e in entries if (e.q, e.m) == (sequence[-1], max(sequence)))
    return sequence[:-1] not in box.exceptions


# -------------------------------------------------------------------------- what is not proved is not passed


def test_margins_within_rounding_are_undecided(tmp_path: Path) -> None:
    """Output columns one unit in the last place apart: a real claim, relabelled, is not verified."""
    outcomes = set()
    for seed in range(20):
        model = tiny_model(Kind.NEAR_TWIN, Sizes(4, 3), seed)
        path, real = saved(model, tmp_path), certificate(model, whole_content(model))
        assert audit(write(document(real), tmp_path), path).verdict == "verified"
        edited = document(real)
        edited["statement"]["semantics"] = "float32"
        verdict = audit(write(edited, tmp_path), path)
        executed = prove(model, "brute-force", "float32").claim.correct_at_least
        if verdict.verdict == "verified":
            assert executed <= real.claim.correct_at_least
        else:
            assert (verdict.verdict, verdict.exit_code) == ("undecided", 3)
            assert verdict.counterexample is None
            assert executed < real.claim.correct_at_least
        outcomes.add(verdict.verdict)
    assert "undecided" in outcomes


def test_ties_are_never_verified(tmp_path: Path) -> None:
    """Nothing is excepted, though some sequences are exact ties."""
    seen = 0
    for seed in range(12):
        model = tiny_model(Kind.TWIN, Sizes(3, 2), seed)
        entries = whole_content(model)
        if not any(e.boxes[0].exceptions for e in entries):
            continue
        bare = [
            SetContent(e.q, e.m, boxes=(Box(b.positions, b.contains_max),)) for e in entries for b in e.boxes
        ]
        cert = certificate(model, bare, semantics="float32")
        verdict = audit(write(document(cert), tmp_path), saved(model, tmp_path))
        assert verdict.verdict in ("refuted", "undecided")
        seen += verdict.verdict == "undecided"
    assert seen > 0


@pytest.mark.parametrize("kind", Kind)
def test_what_is_refuted_is_wrong_in_every_execution(kind: Kind, folder: Path) -> None:
    refuted = 0
    for seed in range(4):
        model = tiny_model(kind, Sizes(3, 2 + seed % 2), seed)
        try:
            execution = Execution(read_weights(saved(model, folder)))
        except Finding:  # weights that may overflow
            continue
        tokens = every_sequence(model)
        findings = [decide(execution, _entry(s), False).finding for s in tokens]
        wrong = np.array([f is not None and f.verdict == "refuted" for f in findings])
        with np.errstate(all="ignore"):
            for executor in executors(seed):
                assert not (wrong & is_correct(executor.logits(model.tensors(), tokens), tokens)).any(), (
                    executor
                )
        refuted += int(wrong.sum())
    if kind in (Kind.SKILLED, Kind.GAUSSIAN, Kind.INTEGER):
        assert refuted > 0


def test_an_exception_must_fail_in_every_execution_for_an_upper_bound(tmp_path: Path) -> None:
    """Ties of the reals are listed as failing: some execution may still get them right."""
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
    path, entries = saved(model, tmp_path), whole_content(model)
    cert = certificate(model, entries, upper=True, semantics="float32")
    assert audit(write(document(cert), tmp_path), path).verdict == "verified"
    listed = next(e for e in entries if e.q == e.m == 2).boxes[0]
    right = next(s for s in product(range(3), repeat=2) if s not in listed.exceptions)
    more = Box(listed.positions, listed.contains_max, tuple(sorted([right, *listed.exceptions])))
    edited = [SetContent(2, 2, boxes=(more,)) if e.q == e.m == 2 else e for e in entries]
    cert = certificate(model, edited, upper=True, semantics="float32")
    verdict = audit(write(document(cert), tmp_path), path)
    assert (verdict.verdict, verdict.rule) == ("refuted", "exception")
    outcomes = set()
    for seed in range(12):
        model = tiny_model(Kind.TWIN, Sizes(3, 2), seed)
        cert = certificate(model, whole_content(model), upper=True, semantics="float32")
        outcomes.add(audit(write(document(cert), tmp_path), saved(model, tmp_path)).verdict)
    assert outcomes <= {"verified", "undecided"}
    assert "undecided" in outcomes


@pytest.mark.parametrize("name", ["harmful-attention-v3-k2", "integer-v4-k3-s0"])
def test_any_wrong_token_may_confirm_an_exception(name: str, tmp_path: Path) -> None:
    """Some exceptions are open for one token at every precision, and certainly fail for a later one."""
    (weights,) = (specimen.weights for specimen in zoo() if specimen.name == name)
    model = Model.from_tensors(weights)
    cert = prove(model, "brute-force", "float32")
    assert cert.claim.correct_at_most is not None
    verdict = audit(write(document(cert), tmp_path), saved(model, tmp_path))
    assert (verdict.verdict, verdict.audited_correct) == ("verified", cert.claim.correct_at_least)


def test_rows_are_refused(tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
    path, entries = saved(model, tmp_path), whole_content(model)
    others = [x for x in range(4) if x != 3]
    tails = TailContent(3, 3, 0.0, tuple(Tail(x, 0.0, 16) for x in others))
    counts = CountContent(3, 3, 0.0, tuple(Count(x, 1.0, 0.0, 16, 0) for x in others))
    pool = PoolContent(3, 3, 0.0, (), 0.0, 1, 48)
    bounds = BoundContent(3, 3, 0.0, (Bound(tuple(others), None, 1.0, 0.0, 16),))
    for rows in (tails, pool, counts, bounds):
        cert = certificate(model, [*entries[:-1], rows], semantics="float32")
        verdict = audit(write(document(cert), tmp_path), path)
        assert (verdict.verdict, verdict.rule, verdict.exit_code) == ("refused", "semantics", 2)
        assert "cells and boxes" in verdict.where


@pytest.mark.parametrize("name", ["W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U"])
def test_weights_that_could_overflow_are_refused(name: str, tmp_path: Path) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
    loud = model.tensors()[name] + (model.tensors()[name] == 0)
    model = Model(**{**model.tensors(), name: loud * 2.0**110})
    cert = certificate(model, [], semantics="float32")
    verdict = audit(write(document(cert), tmp_path), saved(model, tmp_path))
    assert (verdict.verdict, verdict.rule, verdict.exit_code) == ("refused", "float32", 2)


def test_one_vocabulary_token_needs_no_margin(tmp_path: Path) -> None:
    model = tiny_model(Kind.GAUSSIAN, Sizes(1, 3), 0)
    cert = certificate(model, whole_content(model), semantics="float32")
    assert audit(write(document(cert), tmp_path), saved(model, tmp_path)).audited_correct == 1


@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.INTEGER, Kind.TWIN])
@pytest.mark.parametrize("name", NAMES)
def test_claims_of_the_prover_are_verified(kind: Kind, name: str, tmp_path: Path) -> None:
    claimed = 0
    for seed in range(5):
        model = tiny_model(kind, Sizes(2 + seed % 3, 1 + seed % 4, 4, 3), seed)
        try:
            cert = prove(model, name, "float32")
        except StrategyError:
            continue
        verdict = audit(write(document(cert), tmp_path), saved(model, tmp_path))
        assert (verdict.verdict, verdict.audited_correct) == ("verified", cert.claim.correct_at_least)
        claimed += cert.claim.correct_at_least
    assert claimed > 0


# ------------------------------------------------------------------------------------- the trained model


def _forward(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    rows = model.W_E[tokens] + model.W_pos
    scores = (rows @ model.W_K) @ (rows[:, -1] @ model.W_Q)[:, :, None] / model.d_head**0.5
    mixed = (scores[:, :, 0].softmax(1)[:, None] @ (rows @ model.W_V))[:, 0] @ model.W_O
    return (rows[:, -1] + mixed) @ model.W_U


def _agree(model: Model, content: CertifiedSet) -> None:
    tokens = torch.tensor(list(sample_members(content, 10_000, random.Random(11))))
    for batch in (1, 3, 64, 1000, 10_000):
        for part in (tokens[:500] if batch < 64 else tokens).split(batch):
            assert is_correct(_forward(model, part).numpy(), part.numpy()).all(), batch


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_the_k4_model(name: str, reference_dir: Path, tmp_path: Path) -> None:
    path = reference_dir / "k4-v64-a.safetensors"
    model = load_model(path)
    cert = prove(model, name, "float32")
    cert.save(tmp_path / "x.cert")
    start = time.process_time()
    verdict = audit(str(tmp_path / "x.cert"), str(path))
    assert time.process_time() - start < 60
    assert (verdict.verdict, verdict.audited_correct) == ("verified", cert.claim.correct_at_least), verdict
    assert load(tmp_path / "x.cert").claim.semantics == "float32"
    _agree(model, cert.content)
    raised = document(cert)
    raised["statement"]["correct_at_least"] += 1
    assert audit(write(raised, tmp_path), str(path)).rule == "claim"


@pytest.mark.shared
def test_a_real_claim_of_the_k4_model_is_not_one_about_executions(
    reference_dir: Path, tmp_path: Path
) -> None:
    """A few sequences are right in the reals by less than the rounding."""
    path = str(reference_dir / "k4-v64-a.safetensors")
    relabelled = document(prove(load_model(Path(path)), "brute-force"))
    relabelled["statement"] |= {"semantics": "float32", "correct_at_most": None}
    verdict: Verdict = audit(write(relabelled, tmp_path), path)
    assert (verdict.verdict, verdict.rule, verdict.exit_code) == ("undecided", "box", 3)
