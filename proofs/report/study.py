"""A sweep's ledger as typed rows: what tables and figures are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from certkit.task import MAX_OF_K, short_name
from proofs.strategy import Semantics
from proofs.sweep import Audited, Status, SweepError, open_results

_SUBCUBIC = re.compile(r"EUPU-(?P<direct>.+?)--attn-(?P<attention>.+?)--attn-err-(?P<error>.+)")


@attrs.frozen(order=True)
class Setting:
    """One of the study's settings: sequence length, vocabulary and task (its `certkit.task.Task.key`)."""

    k: int
    vocab: int
    task: str = MAX_OF_K

    def __str__(self) -> str:
        return ", ".join([f"K={self.k}", f"V={self.vocab}", *self._other_task()])

    @property
    def slug(self) -> str:
        """The setting as part of a file's name.

        >>> Setting(4, 64).slug, Setting(4, 64, "min-of-k").slug
        ('k4-v64', 'k4-v64-min-of-k')
        """
        return "-".join([f"k{self.k}", f"v{self.vocab}", *self._other_task()])

    def _other_task(self) -> list[str]:
        """The name of the task, unless it is Max-of-K."""
        return [] if self.task == MAX_OF_K else [short_name(self.task)]


@attrs.frozen
class ModelRow:
    """A model at a task, with what its bounds are compared with (None where it was not measured)."""

    name: str
    sha256: str
    setting: Setting
    accuracy_lower: float | None
    accuracy_upper: Fraction | None
    sampled: bool
    ratio: float | None
    """σ₁/σ₂ of EQKE."""

    @property
    def subject(self) -> tuple[str, str]:
        """Which model at which task: of one subject bounds can be compared."""
        return (self.sha256, self.setting.task)


@attrs.frozen
class ResultRow:
    """A proof."""

    model: ModelRow
    strategy: str
    version: int
    family: str
    complexity_class: str
    semantics: str
    bound: Fraction
    certificate: str
    search_s: float
    verify_s: float
    flops: int
    comparisons: int
    int_ops: int
    unexplained_dimension: int

    @property
    def label(self) -> str:
        """Family and class (and other semantics than real), as legends and tables name a group."""
        semantics = "" if self.semantics == Semantics.REAL else f" ({self.semantics})"
        return f"{self.family} {self.complexity_class}{semantics}"

    @property
    def attention(self) -> str:
        """How a sub-cubic strategy handles attention, or an empty string."""
        match = _SUBCUBIC.fullmatch(self.strategy)
        return match["attention"] if match else ""

    @property
    def attention_error(self) -> str:
        """How a sub-cubic strategy handles the error in attention, or an empty string."""
        match = _SUBCUBIC.fullmatch(self.strategy)
        return match["error"] if match else ""

    @property
    def exceeds_accuracy(self) -> bool:
        """Whether the bound is above what the model is known to reach: then something is wrong."""
        return self.model.accuracy_upper is not None and self.bound > self.model.accuracy_upper


@attrs.frozen
class Study:
    """Everything a sweep folder holds."""

    models: tuple[ModelRow, ...]
    results: tuple[ResultRow, ...]
    failures: tuple[Mapping[str, Any], ...]
    audits: tuple[Audited, ...] = ()
    """The last verdict on each certificate that was audited."""

    @property
    def refused(self) -> list[Audited]:
        """The audits that did not verify their certificate."""
        return [one for one in self.audits if one.verdict != "verified"]

    @property
    def settings(self) -> list[Setting]:
        """The settings in order of K, then V."""
        return sorted({row.setting for row in self.models})


def _model(row: Mapping[str, Any], task: str, facts: Mapping[str, Any] | None) -> ModelRow:
    ratio = None
    if facts is not None and facts["sigma_2"] > 0:
        ratio = facts["sigma_1"] / facts["sigma_2"]
    return ModelRow(
        name=row["name"],
        sha256=row["sha256"],
        setting=Setting(row["k"], row["vocab"], task),
        accuracy_lower=None if facts is None else facts["accuracy_lower"],
        accuracy_upper=None if facts is None else _upper(facts),
        sampled=facts is not None and bool(facts["sampled"]),
        ratio=ratio,
    )


def _upper(facts: Mapping[str, Any]) -> Fraction:
    """The counted accuracy, exactly, or the upper end of the sampled one's interval."""
    if facts["sampled"]:
        return Fraction(facts["accuracy_upper"])
    return Fraction(int(facts["correct"]), int(facts["total"]))


def _result(row: Mapping[str, Any], model: ModelRow) -> ResultRow:
    return ResultRow(
        model=model,
        strategy=row["strategy"],
        version=row["version"],
        family=row["family"],
        complexity_class=row["complexity_class"],
        semantics=row["semantics"],
        bound=Fraction(int(row["correct"]), int(row["total"])),
        certificate=row["certificate"],
        search_s=row["search_us"] / 1e6,
        verify_s=row["verify_us"] / 1e6,
        flops=row["flops"],
        comparisons=row["comparisons"],
        int_ops=row["int_ops"],
        unexplained_dimension=row["unexplained_dimension"],
    )


def _newest(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Of each strategy on each subject the row of its newest version."""
    newest: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: int(row["version"])):
        newest[*_subject(row), row["strategy"], row["semantics"]] = row
    return newest


_Subject: TypeAlias = tuple[str, str]


def _subject(row: Mapping[str, Any]) -> _Subject:
    return row["sha256"], row["task"]


def read_study(*folders: Path) -> Study:
    """The study in the results folders of one sweep or several: what more than one holds is read once.

    Where a model was swept with several versions of a strategy, the newest counts, whatever became of it.

    Raises:
        SweepError: no folder is named, or one holds no sweep.
    """
    if not folders:
        raise SweepError("no results folder is named; certkit sweep makes one")
    files: dict[str, Mapping[str, Any]] = {}
    facts: dict[_Subject, Mapping[str, Any]] = {}
    jobs: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    audits: dict[str, Audited] = {}
    for folder in folders:
        ledger, _ = open_results(folder)
        with ledger:
            files |= {row["sha256"]: row for row in ledger.rows("models")}
            facts |= {_subject(row): row for row in ledger.rows("facts")}
            audits |= {one.certificate: one for one in ledger.audits()}
            for row in ledger.rows("results"):
                key = (*_subject(row), *(row[name] for name in ("strategy", "version", "semantics")))
                if key not in jobs or jobs[key]["status"] != Status.PROVED:
                    jobs[key] = row
    jobs = _newest(jobs.values())
    seen = {*facts, *map(_subject, jobs.values())}
    idle = {(sha256, MAX_OF_K) for sha256 in files.keys() - {sha256 for sha256, _ in seen}}
    models = {one: _model(files[one[0]], one[1], facts.get(one)) for one in seen | idle}
    proved = [row for row in jobs.values() if row["status"] == Status.PROVED]
    failed = [row for row in jobs.values() if row["status"] != Status.PROVED]
    return Study(
        models=tuple(sorted(models.values(), key=lambda m: (m.setting, m.name))),
        results=tuple(_result(row, models[_subject(row)]) for row in proved),
        failures=tuple({**row, "model": models[_subject(row)]} for row in failed),
        audits=tuple(audits.values()),
    )
