"""From a model to a certificate: claims, costs alone and together, and witnesses verified again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from certkit.certificate import Certificate, CertifiedSet
from certkit.environment import EnvironmentRefused
from certkit.interval import Interval
from proofs.cubic import Cubic
from proofs.model import Model
from proofs.proving import Verified, prove, prove_many, prove_with, reverify, run_verify
from proofs.strategy import StrategyError
from proofs.witness import NoWitness, WitnessError
from proofs.workspace import Workspace, shared
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth

MODEL = tiny_model(Kind.SKILLED, Sizes(5, 3), 0)


def _cost(certificate: Certificate) -> Any:
    return certificate.remarks["cost"]


@pytest.mark.parametrize("strategy", ["cubic", "brute-force"])
def test_the_claim_is_the_content(strategy: str) -> None:
    certificate = prove(MODEL, strategy)
    claim = certificate.claim
    assert claim.correct_at_least == certificate.content.correct_at_least
    assert claim.model_sha256 == MODEL.sha256
    assert (claim.k, claim.vocab, claim.total, claim.semantics) == (3, 5, 125, "real")
    assert certificate.strategy == strategy


def test_only_a_two_sided_proof_claims_an_upper_end() -> None:
    assert prove(MODEL, "cubic").claim.correct_at_most is None
    assert prove(MODEL, "brute-force").claim.correct_at_most == Truth(MODEL).correct_count


def test_together_costs_what_alone_costs() -> None:
    names = ["cubic", "brute-force"]
    together = {certificate.strategy: certificate for certificate in prove_many(MODEL, names)}
    assert sorted(together) == sorted(names)
    for name in names:
        alone = prove(MODEL, name)
        assert _cost(together[name]) == _cost(alone)
        assert together[name].content == alone.content
        assert together[name].claim == alone.claim


def test_costs_are_counted() -> None:
    cost = _cost(prove(MODEL, "cubic"))
    assert cost["flops"] > 1000
    assert cost["comparisons"] > 100
    assert cost["unexplained_dimension"] == 3 * 25 + 2 * 15


def test_one_flop_for_each_sequence_and_output_at_least() -> None:
    """brute-force executes what it says: an addition and a comparison per sequence and output."""
    cost = _cost(prove(MODEL, "brute-force"))
    assert 5**4 < cost["flops"] < 60 * 5**4
    assert 5**4 < cost["comparisons"] < 3 * 5**4


def test_unknown_names_are_refused_before_anything_is_proved() -> None:
    with pytest.raises(StrategyError, match="did you mean 'cubic'"):
        prove_many(MODEL, ["brute-force", "cubik"])
    with pytest.raises(StrategyError, match="did you mean"):
        prove(MODEL, "cubik")
    with pytest.raises(StrategyError, match="unknown semantics"):
        prove(MODEL, "cubic", "bfloat16")


def test_files_and_witnesses_round_trip(tmp_path: Path) -> None:
    for strategy in ("cubic", "brute-force"):
        certificate = prove(MODEL, strategy)
        certificate.save(tmp_path / "a.cert")
        loaded = Certificate.load(tmp_path / "a.cert")
        assert loaded.content == certificate.content
        assert reverify(MODEL, loaded).certified == certificate.content


def test_reverify_refuses_other_models_versions_and_witnesses() -> None:
    certificate = prove(MODEL, "cubic")
    with pytest.raises(StrategyError, match="about model"):
        reverify(tiny_model(Kind.SKILLED, Sizes(5, 3), 1), certificate)
    with pytest.raises(StrategyError, match="by version 99"):
        reverify(MODEL, attrs.evolve(certificate, version=99))
    with pytest.raises(WitnessError):
        reverify(MODEL, attrs.evolve(certificate, witness={"offset": 3}))


class WrongTask(Cubic):
    """Returns content of another task."""

    def verify(self, model: Model, witness: object) -> CertifiedSet:
        return CertifiedSet(model.n_ctx + 1, model.vocab, ())


def test_rule_another_task_is_refused() -> None:
    with pytest.raises(StrategyError, match="certified k=4, vocab=5; the model has k=3"):
        run_verify(WrongTask(), MODEL, NoWitness(), Workspace(MODEL))


class Poisoner(Cubic):
    """Its search leaves a lie where the verification will look for a path table."""

    def search(self, model: Model) -> Any:
        nothing_written = Interval.exact(torch.zeros(model.vocab, model.vocab))
        shared(model, ("proofs.paths", "evou"), lambda: nothing_written)
        return super().search(model)


@attrs.frozen(eq=False)
class Flags:
    ready: torch.Tensor


@attrs.frozen
class Flagging(Cubic):
    """Finds a tensor of bools, which no certificate stores."""

    name: str = "flagging"

    def search(self, model: Model) -> Any:
        return Flags(torch.tensor([True]))


def test_a_witness_that_cannot_be_stored_is_named_with_its_strategy() -> None:
    said = (
        r"^strategy 'flagging': witness field ready is a torch\.bool tensor; tensors are float64 or int64.*$"
    )
    with pytest.raises(WitnessError, match=said):
        prove_with(Flagging(), MODEL, Workspace(MODEL), Workspace(MODEL))


def test_what_a_search_keeps_never_reaches_a_verification() -> None:
    honest = prove(MODEL, "cubic").content
    searching, verifying = Workspace(MODEL), Workspace(MODEL)
    for _ in range(2):
        assert prove_with(Poisoner(), MODEL, searching, verifying).content == honest
    same = Workspace(MODEL)
    assert prove_with(Poisoner(), MODEL, same, same).content != honest, "the lie does not lie"


def test_the_doctor_is_asked_first(flush_denormal: None) -> None:
    with pytest.raises(EnvironmentRefused):
        prove(MODEL, "cubic")


def test_the_environment_is_recorded() -> None:
    record: Any = prove(MODEL, "cubic").remarks["environment"]
    assert record["sound"] is True
    assert record["torch"] == torch.__version__


def test_verified_reports_time_and_operations() -> None:
    verified: Verified = run_verify(Cubic(), MODEL, Cubic().search(MODEL), Workspace(MODEL))
    assert verified.seconds > 0
    assert verified.spent.flops > 0
    assert torch.get_default_dtype() is torch.float32
