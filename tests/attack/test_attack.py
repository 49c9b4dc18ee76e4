"""Attacks find what is wrong with wrong certificates, and nothing in right ones."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import attrs
import pytest
import torch

from certkit.certificate import Certificate, CertifiedSet, Claim, Content
from certkit.cli.main import main
from certkit.content import Box, Cell, SetContent, Tail, TailContent, full_content
from certkit.exact import Truth
from certkit.executing import executors
from certkit.testing.zoo import Specimen, zoo
from proofs.attack import AttackReport, attack, search
from proofs.attack.deciding import Call, Executions, Reals
from proofs.attack.regions import BoxRegion, CellRegion, FloatClass
from proofs.attack.search import EXACT_TRIES
from proofs.explain import ExplainError
from proofs.model import Model, save_model
from proofs.paths import path_tables
from proofs.proving import prove


def specimen(name: str) -> Specimen:
    return next(member for member in zoo() if member.name == name)


def certificate(model: Model, *entries: Content) -> Certificate:
    content = CertifiedSet(model.n_ctx, model.vocab, tuple(entries))
    claim = Claim(model.n_ctx, model.vocab, model.sha256, content.correct_at_least)
    return Certificate(claim, "forged", 1, content)


def whole(name: str) -> tuple[Model, Truth]:
    found = specimen(name)
    return Model.from_tensors(found.weights), found.truth


@pytest.mark.parametrize("name", ["cubic", "brute-force"])
@pytest.mark.parametrize("where", ["direct-path-v6-k4", "near-twin-v6-k4-s1", "one-position", "one-token"])
def test_a_true_certificate_survives(where: str, name: str) -> None:
    model, _ = whole(where)
    report = attack(model, prove(model, name), tries=2000)
    assert report.counterexample is None
    assert report.tried > 0


@pytest.mark.parametrize(
    "where", ["direct-path-v6-k4", "bad-query-v5-k3", "equal-columns-v5-k3", "huge-v6-k4-s0"]
)
def test_a_certificate_of_everything_is_refuted_exactly(where: str) -> None:
    model, truth = whole(where)
    classes = [(q, m) for q, m in product(range(model.vocab), repeat=2) if q <= m]
    forged = certificate(model, *(full_content(q, m, model.n_ctx) for q, m in classes))
    found = attack(model, forged, tries=100).counterexample
    assert found is not None
    assert found.x in truth.failing[found.sequence]


def test_every_single_dropped_exception_is_found() -> None:
    """A brute-force certificate with one exception missing: a needle per haystack."""
    model, truth = whole("twin-v6-k4-s0")
    true = prove(model, "brute-force")
    for index, entry in enumerate(true.content.entries):
        assert isinstance(entry, SetContent)
        for box in entry.boxes:
            for dropped in box.exceptions:
                kept = tuple(e for e in box.exceptions if e != dropped)
                forged = attrs.evolve(entry, boxes=(attrs.evolve(box, exceptions=kept),))
                entries = (*true.content.entries[:index], forged, *true.content.entries[index + 1 :])
                found = attack(model, certificate(model, *entries), tries=0).counterexample
                assert found is not None
                assert found.sequence == (*dropped, entry.q)
                assert found.x in truth.failing[found.sequence]


def test_a_tail_that_leaves_out_an_output_is_refuted() -> None:
    model, truth = whole("skilled-v4-k3-s1")
    sequence, wrong = next(iter(truth.failing.items()))
    q, m = sequence[-1], max(sequence)
    rows = tuple(Tail(x, 1.0, 10**6) for x in range(model.vocab) if x not in (m, min(wrong)))
    assert attack(model, certificate(model, TailContent(q, m, 0.0, rows))).counterexample is not None
    everything = tuple(Tail(x, 1.0, 10**6) for x in range(model.vocab) if x != m)
    assert attack(model, certificate(model, TailContent(q, m, 0.0, everything))).counterexample is None


def test_proposals_are_members_and_the_worst_is_the_worst() -> None:
    """Against plain enumeration of a cell and a box, on a model without ties."""
    model, _ = whole("gaussian-v6-k4-s1")
    view = FloatClass.of(path_tables(model), 2, 4)
    generator = torch.Generator().manual_seed(0)
    everything = torch.tensor(list(product(range(5), repeat=3)))
    for region in (
        CellRegion(view, None, Cell(2, (0, 1, 3, 3))),
        BoxRegion(view, None, Box(((0, 2), (1, 4), (0, 4)), True, ((0, 4, 0),))),
    ):
        assert bool(region.contains(region.draw(50, generator)[:0]).all())
        members = everything[region.contains(everything)]
        sums = view.f[-1, 2] + sum(view.slots[p, members[:, p]] for p in range(3))
        worst = region.worst()
        totals = view.f[-1, 2] + sum(view.slots[p, worst[:, p]] for p in range(3))
        for x in (0, 1, 2, 3, 5):
            if bool(region.contains(worst[x : x + 1])):
                assert totals[x, x] == sums[:, x].max()


def under_float32(proof: Certificate) -> Certificate:
    return attrs.evolve(proof, claim=attrs.evolve(proof.claim, semantics="float32"))


@pytest.mark.parametrize(
    "where", ["one-ulp-columns-v5-k3", "near-twin-v4-k3-s1", "edge-of-attention+1-v5-k3"]
)
def test_what_holds_in_the_reals_is_refuted_where_float32_gets_it_wrong(where: str) -> None:
    model, truth = whole(where)
    proof = prove(model, "brute-force")
    report = attack(model, proof, tries=100)
    assert report.counterexample is None
    assert report.semantics == "real"
    report = attack(model, under_float32(proof), tries=100)
    found = report.counterexample
    assert found is not None
    assert found.sequence not in truth.failing
    assert "in float32" in found.how
    assert report.semantics == "float32"


@pytest.mark.parametrize("where", ["one-ulp-columns-v5-k3", "zero-attention-v3-k2", "cancelling-v4-k3-s0"])
def test_a_true_certificate_under_float32_survives(where: str) -> None:
    model, _ = whole(where)
    report = attack(model, prove(model, "brute-force", "float32"), tries=500)
    assert report.counterexample is None
    assert report.decided > 0


def test_the_reals_do_not_decide_about_float32() -> None:
    """A sequence that is wrong in the reals is no counterexample unless an execution gets it wrong."""
    model, truth = whole("zero-attention-v3-k2")
    calls = []
    for (*others, q), wrong in truth.failing.items():
        view = FloatClass.of(path_tables(model), q, max(q, *others))
        calls.append(Call(0.0, tuple(others), min(wrong), CellRegion(view, None, Cell(0, ()))))
    assert all(found.x is not None for found in Reals(truth).decide(calls))
    runs = tuple(executors(0))
    by_run = [[found.x is None for found in Executions(model, (run,)).decide(calls)] for run in runs]
    right_in_some = [any(column) and not all(column) for column in zip(*by_run, strict=True)]
    assert any(right_in_some)
    assert all(found.x is None for found in Executions(model, ()).decide(calls))


def test_the_command_says_what_it_attacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, _ = whole("one-ulp-columns-v3-k2")
    save_model(model, tmp_path / "model.safetensors")
    proof = prove(model, "brute-force")
    arguments = [str(tmp_path / "x.cert"), str(tmp_path / "model.safetensors"), "--tries", "100"]
    proof.save(tmp_path / "x.cert")
    assert main(["attack", *arguments]) == 0
    assert "of them decided exactly" in capsys.readouterr().out
    under_float32(proof).save(tmp_path / "x.cert")
    assert main(["attack", *arguments]) == 1
    out = capsys.readouterr().out
    assert "executed in float32" in out
    assert "in float32, executed as Executor(" in " ".join(out.split())
    assert main(["attack", *arguments, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["semantics"] == "float32"


def test_a_foreign_certificate_is_refused() -> None:
    model, _ = whole("direct-path-v5-k3")
    other, _ = whole("bad-query-v5-k3")
    with pytest.raises(ExplainError, match="about model"):
        attack(model, prove(other, "cubic"))


def test_reports_are_repeatable() -> None:
    model, _ = whole("direct-path-v5-k3")
    proof = prove(model, "cubic")
    first: AttackReport = attack(model, proof, tries=500, seed=3)
    assert first == attack(model, proof, tries=500, seed=3)


def test_the_closest_calls_are_kept() -> None:
    """However many sequences are looked at, and in whatever order, the closest are decided."""
    model, truth = whole("direct-path-v6-k4")
    region = BoxRegion(FloatClass.of(path_tables(model), 0, 0), None, full_content(0, 0, 4).boxes[0])
    calls = [Call(-1.0 + i / 2000, (0, 0, 0), 1, region) for i in range(3 * EXACT_TRIES)]
    for order in (calls, calls[::-1], random.Random(0).sample(calls, len(calls))):
        found = search._Search(torch.Generator(), Reals(truth))
        for call in order:
            found._keep(call)
        assert sorted(call.margin for call in found.calls) == [c.margin for c in calls[-EXACT_TRIES:]]


def test_an_execution_that_overflows_is_wrong() -> None:
    """∞ · 0 is no number, and no number is the largest logit; in the reals token 0 is right by 2^128."""
    one = torch.ones(1, 1)
    embed, unembed = 2.0**127 * torch.ones(2, 1), torch.tensor([[1.0, 0.0]])
    model = Model(W_E=embed, W_pos=embed[:1], W_Q=one, W_K=one, W_V=0 * one, W_O=one, W_U=unembed)
    true = certificate(model, full_content(0, 0, 1))
    assert attack(model, true, tries=10).counterexample is None
    found = attack(model, under_float32(true), tries=10).counterexample
    assert found is not None
    assert "in float32, executed as" in found.how
