"""``check_strategy``: is this strategy sound? An answer within minutes, with the smallest counterexample.

Every model of the zoo and some random ones are decided completely and exactly (`certkit.exact`);
the strategy proves them with the witness it finds and with hostile ones (`certkit.testing.witnesses`); and
whatever it certifies is compared with the truth, sequence by sequence. The laws:

* **sound**: no certified sequence is misclassified; a claimed number of failures is never below the true
  one, nor a claimed least number above it;
* **refuses cleanly**: a hostile witness is verified or refused with a `ValueError` or `OverflowError`,
  nothing else;
* **repeatable**: the same model and witness give the same content;
* **audits**: what was certified with the searched witness is verified by the independent auditor.

A pass is evidence, not a proof: the proof is the inequality in the strategy's docstring, and the audit of
each certificate.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import attrs
import safetensors.torch
from torch import Tensor

from certkit import kernel
from certkit.certificate import (
    Certificate,
    CertifiedSet,
    Claim,
    CountContent,
    SetContent,
    TailContent,
    run_tokens,
)
from certkit.display import facts_html, table_html
from certkit.exact import Truth
from certkit.testing.witnesses import adversarial_witnesses
from certkit.testing.zoo import Specimen, zoo

__all__ = ["Finding", "StrategyReport", "StrategyUnderTest", "check_certified", "check_strategy"]

MODEL_ENTRY_POINTS = "certkit.models"


class StrategyUnderTest(Protocol):
    """What `check_strategy` needs of a strategy."""

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
        law: sound, refuses cleanly, repeatable or audits.
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


def _members(content: SetContent, k: int) -> Iterator[tuple[int, ...]]:
    """Every sequence (query last) of the cells and boxes of one class, by plain enumeration."""
    for cell in content.cells:
        for others in product(sorted({*run_tokens(cell.allowed), content.m}), repeat=k - 1):
            if sum(token != content.m for token in others) == cell.n:
                yield (*others, content.q)
    for box in content.boxes:
        excluded = set(box.exceptions)
        for others in product(*map(run_tokens, box.positions)):
            if others not in excluded and (not box.contains_max or content.m in others):
                yield (*others, content.q)


def _check_sets(content: SetContent, truth: Truth) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    seen: set[tuple[int, ...]] = set()
    for sequence in _members(content, truth.k):
        if sequence in truth.failing:
            wrong = min(truth.failing[sequence])
            yield f"certified {sequence}, on which logit[{wrong}] ≥ logit[{max(sequence)}]", sequence
        if sequence in seen or (sequence[-1], max(sequence)) != (content.q, content.m):
            yield f"{sequence} is counted twice or is not of class q={content.q}, m={content.m}", sequence
        seen.add(sequence)
    if len(seen) != content.correct_at_least(truth.k):
        yield (
            f"class q={content.q}, m={content.m} counts {content.correct_at_least(truth.k)}, has {len(seen)}",
            None,
        )


def _check_numbers(
    content: TailContent | CountContent, truth: Truth
) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    wrong = [w for s, w in truth.failing.items() if (s[-1], max(s)) == (content.q, content.m)]
    rows = content.tails if isinstance(content, TailContent) else content.counts
    at_most = {row.x: row.failing_at_most for row in rows}
    at_least = (
        {} if isinstance(content, TailContent) else {row.x: row.failing_at_least for row in content.counts}
    )
    for x in range(truth.vocab):
        failures = sum(x in outputs for outputs in wrong)
        where = f"class q={content.q}, m={content.m}, x={x}"
        if failures > at_most.get(x, 0):
            yield f"{where}: {failures} sequences fail, claimed at most {at_most.get(x, 0)}", None
        if failures < at_least.get(x, 0):
            yield f"{where}: {failures} sequences fail, claimed at least {at_least[x]}", None


def check_certified(certified: CertifiedSet, truth: Truth) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """Compare certified content with the truth; yields what is wrong and the sequence, if it is about one."""
    if (certified.k, certified.vocab) != (truth.k, truth.vocab):
        yield f"content is for k={certified.k}, vocab={certified.vocab}, the model is not", None
        return
    for entry in certified.entries:
        check = _check_sets(entry, truth) if isinstance(entry, SetContent) else _check_numbers(entry, truth)
        yield from check
    if certified.correct_at_least > truth.correct_count:
        yield f"claims {certified.correct_at_least} correct, true are {truth.correct_count}", None
    if certified.two_sided and certified.correct_at_most < truth.correct_count:
        yield f"claims at most {certified.correct_at_most} correct, true are {truth.correct_count}", None


def default_model_factory() -> Callable[[Mapping[str, Tensor]], Any]:
    """The installed model class, found by the entry-point group ``certkit.models``."""
    found = importlib.metadata.entry_points(group=MODEL_ENTRY_POINTS)
    if not found:
        raise LookupError("no model class is installed; pass model_factory=…, or reinstall certkit")
    factory: Callable[[Mapping[str, Tensor]], Any] = next(iter(found)).load()
    return factory


@attrs.define
class _Run:
    """One call of `check_strategy`: the strategy, how models are made, and what was seen so far."""

    strategy: StrategyUnderTest
    factory: Callable[[Mapping[str, Tensor]], Any]
    findings: list[Finding] = attrs.field(factory=list)
    models: int = 0
    verifications: int = 0
    refusals: int = 0
    certified: int = 0

    def report(
        self, law: str, specimen: Specimen, witness: str, found: tuple[str, tuple[int, ...] | None]
    ) -> None:
        message, sequence = found
        self.findings.append(Finding(law, specimen.name, witness, message, sequence, specimen.weights))

    def check(self, specimen: Specimen, seed: int, hostile: int) -> None:
        """All laws on one model; the first broken sequence of each witness is enough."""
        self.models += 1
        model = self.factory(specimen.weights)
        try:
            searched = self.strategy.search(model)
        except ValueError:
            self.refusals += 1  # out of reach of this strategy, by its own word
            return
        for name, witness in self._witnesses(searched, seed, hostile):
            content = self._verify(specimen, model, name, witness)
            if content is None:
                continue
            broken = next(check_certified(content, specimen.truth), None)
            if broken is not None:
                self.report("sound", specimen, name, broken)
            if name == "as searched":
                self.certified += content.correct_at_least
                if self._verify(specimen, model, name, witness) != content:
                    self.report(
                        "repeatable", specimen, name, ("a second verification gave other content", None)
                    )
                if broken is None:
                    self._audit(specimen, model.sha256, content)

    def _witnesses(self, searched: Any, seed: int, hostile: int) -> Iterator[tuple[str, Any]]:
        """The searched witness and `hostile` others, different ones from model to model."""
        first, *others = adversarial_witnesses(searched, seed)
        yield first
        start = self.models * hostile
        for index in range(min(hostile, len(others))):
            yield others[(start + index) % len(others)]

    def _verify(self, specimen: Specimen, model: Any, name: str, witness: Any) -> CertifiedSet | None:
        self.verifications += 1
        try:
            return self.strategy.verify(model, witness)
        except (ValueError, OverflowError) as refusal:
            self.refusals += 1
            if name == "as searched":
                self.report("refuses cleanly", specimen, name, (f"refused its own witness: {refusal}", None))
        except (
            ArithmeticError,
            LookupError,
            TypeError,
            AttributeError,
            RuntimeError,
            AssertionError,
        ) as crash:
            self.report("refuses cleanly", specimen, name, (f"{type(crash).__name__}: {crash}", None))
        return None

    def _audit(self, specimen: Specimen, digest: str, content: CertifiedSet) -> None:
        with tempfile.TemporaryDirectory() as folder:
            model, file = Path(folder, "model.safetensors"), Path(folder, "proof.cert")
            safetensors.torch.save_file({n: t.contiguous() for n, t in specimen.weights.items()}, model)
            claim = Claim(
                k=content.k,
                vocab=content.vocab,
                model_sha256=digest,
                correct_at_least=content.correct_at_least,
                correct_at_most=content.correct_at_most if content.two_sided else None,
            )
            Certificate(claim, self.strategy.name, self.strategy.version, content).save(file)
            verdict = kernel.audit(str(file), str(model))
        if verdict.exit_code != 0:
            found = f"{verdict.verdict}: {verdict.rule} {verdict.where}"
            self.report("audits", specimen, "as searched", (found, verdict.counterexample))


def check_strategy(
    strategy: StrategyUnderTest,
    *,
    specimens: Iterable[Specimen] | None = None,
    model_factory: Callable[[Mapping[str, Tensor]], Any] | None = None,
    hostile: int = 2,
    stop_after: int = 5,
    seed: int = 0,
) -> StrategyReport:
    """Try to break a strategy.

    Args:
        strategy: anything with ``name``, ``version``, ``search`` and ``verify``.
        specimens: models to try, the zoo by default.
        model_factory: makes the strategy's model from seven named tensors; the installed one by default.
        hostile: hostile witnesses tried on each model, of the seven kinds in turn.
        stop_after: how many broken laws are enough.
        seed: for hostile witnesses.

    Returns:
        The report; ``report.ok`` is true if no law was broken.
    """
    started = time.perf_counter()
    run = _Run(strategy, model_factory or default_model_factory())
    for specimen in zoo() if specimens is None else specimens:
        run.check(specimen, seed, hostile)
        if len(run.findings) >= stop_after:
            break
    return StrategyReport(
        strategy=strategy.name,
        findings=tuple(run.findings),
        models=run.models,
        verifications=run.verifications,
        refusals=run.refusals,
        certified=run.certified,
        seconds=time.perf_counter() - started,
    )
