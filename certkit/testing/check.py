"""``check_strategy``: is this strategy sound? An answer within minutes, with the smallest counterexample.

Every model of the zoo and some random ones are decided completely and exactly (`certkit.exact`);
the strategy proves them with the witness it finds and with hostile ones (`certkit.testing.witnesses`); and
whatever it certifies is compared with the truth, sequence by sequence. The laws:

* **sound**: no certified sequence is misclassified; a claimed number of failures is never below the true
  one, nor a claimed least number above it;
* **refuses cleanly**: a hostile witness is verified or refused with a `ValueError` or `OverflowError`,
  nothing else;
* **survives the file**: the searched witness, written as a certificate stores it and read back, is the same
  to the last bit, and certifies the same;
* **repeatable**: the same model and witness give the same content;
* **audits**: what was certified with the searched witness is verified by the independent auditor.

A pass is evidence, not a proof: the proof is the inequality in the strategy's docstring, and the audit of
each certificate.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import safetensors.torch
from torch import Tensor

from certkit import kernel
from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.display import facts_html, table_html
from certkit.testing.laws import Broken, check_certified, check_executed, stored_and_read
from certkit.testing.witnesses import adversarial_witnesses
from certkit.testing.zoo import Specimen, zoo
from certkit.witness import WitnessError

__all__ = [
    "Finding",
    "StrategyReport",
    "StrategyUnderTest",
    "check_certified",
    "check_specimen",
    "check_strategy",
    "default_model_factory",
]

_CRASHES = (ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError)
"""What shows a mistake in a strategy, where it should have raised a `ValueError` with a clear line."""

MODEL_ENTRY_POINTS = "certkit.models"


class StrategyUnderTest(Protocol):
    """What `check_strategy` needs of a strategy.

    One that proves under other semantics than ``real`` says so in an attribute `semantics`; `witness_type`,
    which registered strategies have, is what a witness is read back as (without it, its own class).
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    def search(self, model: Any) -> Any: ...
    def verify(self, model: Any, witness: Any) -> CertifiedSet: ...


@attrs.frozen
class Finding:
    """One broken law, on one model, with one witness.

    Attributes:
        law: sound, refuses cleanly, survives the file, repeatable or audits.
        model: the specimen's name; `weights` are its tensors.
        witness: how the witness was made.
        message: what is wrong, in one line.
        sequence: the misclassified sequence (query last), where the finding is about one.
    """

    law: str
    model: str
    witness: str
    message: str
    sequence: tuple[int, ...] | None = None
    weights: Mapping[str, Tensor] = attrs.field(factory=dict, repr=False, eq=False)

    def __str__(self) -> str:
        return f"{self.law}: on {self.model}, witness {self.witness}: {self.message}"


@attrs.frozen
class StrategyReport:
    """What was tried and what broke; findings are ordered from the smallest model."""

    strategy: str
    findings: tuple[Finding, ...]
    models: int
    verifications: int
    refusals: int
    certified: int
    seconds: float

    @classmethod
    def together(cls, reports: Iterable[StrategyReport]) -> StrategyReport:
        """One report of several about the same strategy, in their order; one at least."""
        parts = tuple(reports)
        return cls(
            strategy=parts[0].strategy,
            findings=tuple(itertools.chain.from_iterable(part.findings for part in parts)),
            models=sum(part.models for part in parts),
            verifications=sum(part.verifications for part in parts),
            refusals=sum(part.refusals for part in parts),
            certified=sum(part.certified for part in parts),
            seconds=sum(part.seconds for part in parts),
        )

    @property
    def ok(self) -> bool:
        """Whether no law was broken."""
        return not self.findings

    def __repr__(self) -> str:
        found = "no law broken" if self.ok else f"{len(self.findings)} laws broken, first {self.findings[0]}"
        return f"StrategyReport({self.strategy!r}, {self.models} models, {found})"

    def _repr_html_(self) -> str:
        tried = str(self).partition("\n")[0]
        found = [(f.law, f.model, f.witness, f.message) for f in self.findings]
        if not found:
            return facts_html(tried, [("found", "no law broken")])
        return table_html(tried, ("law", "model", "witness", "what is wrong"), found)

    def __str__(self) -> str:
        tried = (
            f"{self.strategy}: {self.models} models, {self.verifications} verifications, "
            f"{self.refusals} refusals, {self.certified} sequences certified, {self.seconds:.1f} s"
        )
        verdict = "no law broken" if self.ok else "\n".join(map(str, self.findings))
        return f"{tried}\n{verdict}"


def default_model_factory() -> Callable[[Mapping[str, Tensor]], Any]:
    """The installed model class, found by the entry-point group ``certkit.models``."""
    found = importlib.metadata.entry_points(group=MODEL_ENTRY_POINTS)
    if not found:
        raise LookupError("no model class is installed; pass model_factory=…, or reinstall certkit")
    factory: Callable[[Mapping[str, Tensor]], Any] = next(iter(found)).load()
    return factory


@attrs.define
class _Run:
    """One strategy on one model, and what was seen so far."""

    strategy: StrategyUnderTest
    alone: StrategyUnderTest
    specimen: Specimen
    model: Any
    findings: list[Finding] = attrs.field(factory=list)
    verifications: int = 0
    refusals: int = 0
    certified: int = 0

    @property
    def semantics(self) -> str:
        """What the strategy proves under."""
        return str(getattr(self.strategy, "semantics", "real"))

    def report(self, law: str, witness: str, found: Broken) -> None:
        message, sequence = found
        self.findings.append(
            Finding(law, self.specimen.name, witness, message, sequence, self.specimen.weights)
        )

    def check(self, witnesses: Iterable[tuple[str, Any]]) -> None:
        """All laws with these witnesses; the first broken sequence of each is enough."""
        for name, witness in witnesses:
            content = self._verify(self.strategy, name, witness)
            if content is None:
                continue
            broken = next(self._broken(content), None)
            if broken is not None:
                self.report("sound", name, broken)
            if name == "as searched":
                self.certified += content.correct_at_least
                # The second verification has the witness of the file: that costs none of its own.
                if self._verify(self.alone, name, self._from_file(witness)) != content:
                    self.report("repeatable", name, ("a second verification gave other content", None))
                if broken is None:
                    self._audit(content)

    def _from_file(self, witness: Any) -> Any:
        """The same witness, read back; the one given, if it does not survive."""
        try:
            return stored_and_read(witness, getattr(self.strategy, "witness_type", type(witness)))
        except WitnessError as lost:
            self.report(
                "survives the file", "as searched", (f"strategy {self.strategy.name!r}: {lost}", None)
            )
            return witness

    def _broken(self, content: CertifiedSet) -> Iterator[Broken]:
        """What is wrong with the content under the semantics of the strategy.

        Every published way to prove a claim about float32 adds an error to a margin in the reals, so such
        claims are true in the reals as well; a strategy for which that is not so needs an oracle of its own.
        """
        yield from check_certified(content, self.specimen.truth)
        if self.semantics == "float32":
            yield from check_executed(content, self.specimen.weights)

    def _verify(self, strategy: StrategyUnderTest, name: str, witness: Any) -> CertifiedSet | None:
        self.verifications += 1
        try:
            return strategy.verify(self.model, witness)
        except (ValueError, OverflowError) as refusal:
            self.refusals += 1
            if name == "as searched":
                self.report("refuses cleanly", name, (f"refused its own witness: {refusal}", None))
        except _CRASHES as crash:
            self.report("refuses cleanly", name, (f"{type(crash).__name__}: {crash}", None))
        return None

    def _audit(self, content: CertifiedSet) -> None:
        with tempfile.TemporaryDirectory() as folder:
            model, file = Path(folder, "model.safetensors"), Path(folder, "proof.cert")
            tensors = {name: tensor.contiguous() for name, tensor in self.specimen.weights.items()}
            safetensors.torch.save_file(tensors, model)
            claim = Claim(
                k=content.k,
                vocab=content.vocab,
                model_sha256=self.model.sha256,
                correct_at_least=content.correct_at_least,
                correct_at_most=content.correct_at_most if content.two_sided else None,
                semantics=self.semantics,
            )
            Certificate(claim, self.strategy.name, self.strategy.version, content).save(file)
            verdict = kernel.audit(str(file), str(model))
        if verdict.exit_code != 0:
            found = f"{verdict.verdict}: {verdict.rule} {verdict.where}"
            self.report("audits", "as searched", (found, verdict.counterexample))


def _some(witnesses: Iterable[tuple[str, Any]], hostile: int, turn: int) -> Iterator[tuple[str, Any]]:
    """The searched witness and `hostile` others, different ones from turn to turn."""
    first, *others = witnesses
    yield first
    for index in range(min(hostile, len(others))):
        yield others[(turn * hostile + index) % len(others)]


def check_specimen(
    strategy: StrategyUnderTest,
    specimen: Specimen,
    model: Any,
    *,
    alone: StrategyUnderTest | None = None,
    hostile: tuple[int, int] = (2, 0),
    seed: int = 0,
) -> StrategyReport:
    """Try to break a strategy on one model.

    Args:
        strategy: anything with ``name``, ``version``, ``search`` and ``verify``.
        specimen: the model, and the truth about it.
        model: the specimen as the strategy's model.
        alone: the same strategy for the second verification, where `strategy` shares work with others.
        hostile: how many hostile witnesses are tried, and whose turn it is among their kinds.
        seed: for hostile witnesses.
    """
    started = time.perf_counter()
    run = _Run(strategy, alone or strategy, specimen, model)
    try:
        searched = strategy.search(model)
    except ValueError:
        run.refusals += 1  # out of reach of this strategy, by its own word
    except _CRASHES as crash:
        run.report("refuses cleanly", "none yet", (f"search: {type(crash).__name__}: {crash}", None))
    else:
        run.check(_some(adversarial_witnesses(searched, seed), *hostile))
    return StrategyReport(
        strategy=strategy.name,
        findings=tuple(run.findings),
        models=1,
        verifications=run.verifications,
        refusals=run.refusals,
        certified=run.certified,
        seconds=time.perf_counter() - started,
    )


def check_strategy(
    strategy: StrategyUnderTest,
    *,
    specimens: Iterable[Specimen] | None = None,
    model_factory: Callable[[Mapping[str, Tensor]], Any] | None = None,
    hostile: int = 2,
    stop_after: int = 5,
    seed: int = 0,
) -> StrategyReport:
    """Try to break a strategy. ``certkit check NAME`` does the same from a shell, in several processes.

    Args:
        strategy: anything with ``name``, ``version``, ``search`` and ``verify``.
        specimens: models to try, the zoo by default; one at least.
        model_factory: makes the strategy's model from seven named tensors; the installed one by default.
        hostile: hostile witnesses tried on each model, of the seven kinds in turn.
        stop_after: how many broken laws are enough.
        seed: for hostile witnesses.

    Returns:
        The report; ``report.ok`` is true if no law was broken.

    Raises:
        ValueError: there is no specimen to try.
    """
    factory = model_factory or default_model_factory()
    reports: list[StrategyReport] = []
    for turn, specimen in enumerate(zoo() if specimens is None else specimens):
        model = factory(specimen.weights)
        reports.append(check_specimen(strategy, specimen, model, hostile=(hostile, turn), seed=seed))
        if sum(len(report.findings) for report in reports) >= stop_after:
            break
    if not reports:
        raise ValueError("specimens is empty: a strategy that was tried on nothing has passed nothing")
    return StrategyReport.together(reports)
