"""What counts as finished, what replaces what, and what a worker refuses: without proving anything."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from certkit.environment import EnvironmentRefused
from certkit.kernel import kernel_sha256
from proofs import load_model
from proofs.strategy import StrategyError, did_you_mean, select
from proofs.sweep import Audited, Job, Ledger, ModelFile, Outcome, Proof, Status
from proofs.sweep.audits import AuditPlan, audit_results
from proofs.sweep.store import Store
from proofs.sweep.worker import run

MODEL = ModelFile("/one.safetensors", "a" * 64, 3, 5)
JOB = Job(MODEL, "cubic", 2, "real")
PROOF = Proof("c" * 64, "110", None, "125", "published", "cubic", 1, 2, 3, 4, 5, 6)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        opened.add_models([MODEL])
        yield opened


def test_another_version_or_semantics_is_another_job(ledger: Ledger) -> None:
    ledger.record(Outcome(JOB, Status.PROVED, 1.0, proof=PROOF))
    others = [
        attrs.evolve(JOB, version=3),
        attrs.evolve(JOB, version=1),
        attrs.evolve(JOB, semantics="float32"),
        attrs.evolve(JOB, model=attrs.evolve(MODEL, sha256="b" * 64)),
    ]
    assert ledger.unfinished([JOB, *others]) == others
    for other in others[:2]:
        ledger.record(Outcome(other, Status.TIME, 9.0, "slow"))
    assert [(row["version"], row["status"]) for row in ledger.rows("results")] == [
        (1, "time limit"),
        (2, "proved"),
        (3, "time limit"),
    ]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PROVED])
def test_a_proof_is_never_replaced(ledger: Ledger, status: Status) -> None:
    """A job that is tried again, or twice, may fail the second time; what was proved stays proved."""
    ledger.record(Outcome(JOB, status, 1.0, "first try"))
    ledger.record(Outcome(JOB, Status.PROVED, 2.0, proof=PROOF))
    ledger.record(Outcome(JOB, status, 3.0, "third try"))
    ledger.record(Outcome(JOB, Status.PROVED, 4.0, proof=attrs.evolve(PROOF, certificate="d" * 64)))
    (row,) = ledger.rows("results")
    assert (row["status"], row["certificate"], row["seconds"]) == ("proved", "c" * 64, 2.0)


@pytest.fixture
def varied(ledger: Ledger) -> Ledger:
    """Certificates of three strategies, one of them registered nowhere and one twice; of a fourth none."""
    for letter, name, version, family in (
        ("a", "cubic", 1, "published"),
        ("b", "cubic", 2, "published"),
        ("c", "separable-pool", 1, "separable"),
        ("d", "published-elsewhere", 1, "plug-in"),
    ):
        proof = attrs.evolve(PROOF, certificate=letter, family=family)
        ledger.record(Outcome(Job(MODEL, name, version, "real"), Status.PROVED, 1.0, proof=proof))
    ledger.record(Outcome(Job(MODEL, "separable-exact", 1, "real"), Status.TIME, 9.0, "slow"))
    return ledger


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("all", "abcd"),
        ("*", "abcd"),
        ("published", "ab"),
        ("published*", "d"),
        ("plug-in", "d"),
        ("cub?c", "ab"),
        ("[!c]*", "cd"),
        ("cubic separable", "abc"),
        ("separable-pool cubic", "abc"),
        ("cubic cubic", "ab"),
        ("published cubic", "ab"),
    ],
)
def test_the_certificates_of_some_strategies(varied: Ledger, patterns: str, expected: str) -> None:
    assert varied.certified(patterns.split()) == dict.fromkeys(expected, MODEL.path)


@pytest.mark.parametrize("wrong", ["separable-exact", "typo", "Cubic", "cub", "", "x*"])
@pytest.mark.parametrize("before", [[], ["cubic"], ["all"]])
def test_a_pattern_that_names_no_certificate_is_refused(
    varied: Ledger, before: list[str], wrong: str
) -> None:
    held = ["cubic", "published-elsewhere", "separable-pool"]
    hint = did_you_mean(wrong, held) or f"it does of {', '.join(held)}"
    for patterns in ([*before, wrong], [wrong, *before]):
        with pytest.raises(StrategyError) as caught:
            varied.certified(patterns)
        assert str(caught.value) == f"{varied.path} holds no certificates of {wrong!r}; {hint}"


def test_of_many_strategies_the_message_names_a_few(varied: Ledger) -> None:
    """The nearest names, or where none is near the first three."""
    with pytest.raises(StrategyError, match=r"'cubical'; did you mean 'cubic'\?$"):
        varied.certified(["cubical"])
    varied.record(Outcome(Job(MODEL, "zz", 1, "real"), Status.PROVED, 1.0, proof=PROOF))
    with pytest.raises(
        StrategyError, match=r"'xx'; it does of cubic, published-elsewhere, separable-pool and 1 more$"
    ):
        varied.certified(["xx"])


def test_without_certificates_no_pattern_is_wrong(ledger: Ledger) -> None:
    ledger.record(Outcome(JOB, Status.TIME, 9.0, "slow"))
    assert ledger.certified() == ledger.certified(["cubic", "typo"]) == {}


def test_the_verdicts_of_another_auditor_do_not_count(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record(Outcome(JOB, Status.PROVED, 1.0, proof=PROOF))
    ledger.record_audit(Audited(PROOF.certificate, "0" * 64, "verified", "", 1.0))
    with pytest.raises(FileNotFoundError):  # it goes to read the certificate, which is not there
        audit_results(ledger, Store(tmp_path / "certificates"), AuditPlan(), lambda *_: None)
    ledger.record_audit(Audited(PROOF.certificate, kernel_sha256(), "refuted", "claim", 1.0))
    summary = audit_results(ledger, Store(tmp_path / "certificates"), AuditPlan(), lambda *_: None)
    assert [one.verdict for one in summary.audited] == ["refuted"]


def test_a_sample_is_drawn_from_all(ledger: Ledger, tmp_path: Path) -> None:
    """Every certificate can be drawn, and another seed draws others."""
    digests = [f"{number:064}" for number in range(30)]
    for number, digest in enumerate(digests):
        proof = attrs.evolve(PROOF, certificate=digest)
        ledger.record(Outcome(attrs.evolve(JOB, version=number), Status.PROVED, 1.0, proof=proof))
        ledger.record_audit(Audited(digest, kernel_sha256(), "verified", "", 1.0))
    store, drawn = Store(tmp_path / "certificates"), []
    for seed in range(40):
        summary = audit_results(ledger, store, AuditPlan(sample=5, seed=seed), lambda *_: None)
        drawn.append(frozenset(one.certificate for one in summary.audited))
    assert {len(one) for one in drawn} == {5}
    assert len(set(drawn)) > 30
    assert frozenset.union(*drawn) == set(digests)


def test_a_worker_proves_with_the_version_it_was_asked_for_or_not_at_all(
    tiny_models: list[Path], tmp_path: Path
) -> None:
    """On a cluster a machine may have another version of a strategy installed."""
    model = load_model(tiny_models[0])
    job = Job.proof(ModelFile(str(tiny_models[0]), model.sha256, 3, 5), select(["cubic"])[0])
    here = run(job, {}, Store(tmp_path))
    assert here.status is Status.PROVED
    other = run(attrs.evolve(job, version=job.version + 1), {}, Store(tmp_path))
    assert other.status is Status.OUT_OF_REACH
    assert other.reason == f"cubic is version {job.version} here, {job.version + 1} was asked for"
    assert other.proof is None


def test_a_worker_on_an_unsound_machine_proves_nothing(
    tiny_models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise EnvironmentRefused("this machine flushes to zero")

    model = load_model(tiny_models[0])
    job = Job.proof(ModelFile(str(tiny_models[0]), model.sha256, 3, 5), select(["cubic"])[0])
    monkeypatch.setattr("certkit.environment.require_sound", refuse)
    with pytest.raises(EnvironmentRefused):
        run(job, {}, Store(tmp_path))
    assert not list(tmp_path.rglob("*.gz"))
