"""Checking many strategies at once: `certkit.testing.check_strategy` for a whole registry, in minutes.

The unit of work is one model of the zoo with all strategies: its exact truth is computed once, and what
strategies have in common on it (path tables, searched directions, score splits) is computed once, in the
workspaces that `prove_many` and the sweep use. The second verification of the law *repeatable* shares
nothing, so that a wrongly shared result shows. Otherwise nothing is left out: the verdicts are those of
`check_strategy` on each strategy.

Units are independent, the largest start first, and what is finished is written to a journal, so a run that
was interrupted goes on where it was. An entry of the journal holds for one strategy version, on one model,
and for one state of the source code.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import cattrs
import torch

import certkit
import proofs
from certkit.atomic import write_atomically
from certkit.certificate import CertifiedSet
from certkit.testing.check import Finding, StrategyReport, check_specimen
from certkit.testing.zoo import Specimen, zoo
from proofs.model import Model
from proofs.strategy import AnyStrategy, Semantics, StrategyError, find, select
from proofs.workspace import Workspace

__all__ = ["CheckPlan", "Checked", "Key", "check_many", "selected"]

Key = tuple[str, Semantics]
"""What names a strategy: its name and what it proves under."""


@attrs.frozen
class Checked:
    """What became of one strategy on one model."""

    key: Key
    version: int
    model: str
    report: StrategyReport


@attrs.frozen
class CheckPlan:
    """Which strategies are checked, and how.

    Attributes:
        keys: the strategies.
        hostile: hostile witnesses tried on each model, of the seven kinds in turn.
        largest: models with more sequences are left out.
        workers: processes; 1 works in this one.
        journal: where finished work is kept and found again; None keeps nothing.
    """

    keys: tuple[Key, ...]
    hostile: int = 2
    largest: int = 8**4
    workers: int = 1
    journal: Path | None = None

    def __attrs_post_init__(self) -> None:
        for name, least in (("hostile", 0), ("largest", 1), ("workers", 1)):
            if getattr(self, name) < least:
                raise StrategyError(f"{name}={getattr(self, name)} must be at least {least}")

    @property
    def specimens(self) -> tuple[Specimen, ...]:
        """The models, the smallest first: the zoo up to some index."""
        return tuple(specimen for specimen in zoo() if specimen.sequences <= self.largest)


def selected(patterns: Iterable[str]) -> tuple[Key, ...]:
    """The strategies any of the patterns names, under every semantics that they prove under.

    Raises:
        StrategyError: a pattern that names none.

    >>> [(name, str(semantics)) for name, semantics in selected(["cubic"])]
    [('cubic', 'real'), ('cubic', 'float32')]
    """
    found: dict[Key, None] = {}
    for pattern in patterns:
        missing = []
        for semantics in Semantics:
            try:
                found |= {(s.name, semantics): None for s in select([pattern], semantics)}
            except StrategyError as error:
                missing.append(error)
        if len(missing) == len(Semantics):
            raise missing[0]
    return tuple(found)


@attrs.frozen
class _Together:
    """A strategy that shares work with the others on the same model, as when many are proved at once."""

    alone: AnyStrategy
    searching: Workspace
    verifying: Workspace

    @property
    def name(self) -> str:
        return self.alone.name

    @property
    def version(self) -> int:
        return self.alone.version

    @property
    def semantics(self) -> Semantics:
        return self.alone.semantics

    @property
    def witness_type(self) -> type[Any]:
        kind: type[Any] = self.alone.witness_type
        return kind

    def search(self, model: Model) -> Any:
        with self.searching:
            return self.alone.search(model)

    def verify(self, model: Model, witness: Any) -> CertifiedSet:
        with self.verifying, self.verifying.verification():
            return self.alone.verify(model, witness)


def check_on(index: int, keys: Sequence[Key], hostile: int) -> list[Checked]:
    """Check strategies on one model of the zoo, by its index."""
    specimen = zoo()[index]
    model = Model.from_tensors(specimen.weights)
    searching, verifying = Workspace(model), Workspace(model)
    results = []
    for name, semantics in keys:
        strategy = find(name, semantics)
        together = _Together(strategy, searching, verifying)
        report = check_specimen(together, specimen, model, alone=strategy, hostile=(hostile, index))
        results.append(Checked((name, semantics), strategy.version, specimen.name, report))
    return results


@functools.cache
def code_sha256() -> str:
    """A digest of all source files of this package: results of other code are not reused."""
    digest = hashlib.sha256()
    for package in (certkit, proofs):
        for folder in package.__path__:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    """All but the weights, which the name of the model stands for."""
    return {name: getattr(finding, name) for name in ("law", "model", "witness", "message", "sequence")}


def _finding_from_json(record: dict[str, Any], _: type[Finding]) -> Finding:
    sequence = record.pop("sequence")
    return Finding(**record, sequence=None if sequence is None else tuple(sequence))


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_unstructure_hook(Finding, _finding_to_json)
_CONVERTER.register_structure_hook(Finding, _finding_from_json)


@attrs.frozen
class _Journal:
    """Finished work, one JSON object on each line; a line that was cut short is taken off."""

    path: Path | None
    settings: str

    def read(self) -> Iterator[Checked]:
        """What was finished by the same code with the same settings."""
        if self.path is None or not self.path.exists():
            return
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_atomically(self.path, whole.encode())
        for line in whole.splitlines():
            try:
                record = json.loads(line)
                if record.pop("settings") == self.settings:
                    yield _CONVERTER.structure(record, Checked)
            except (ValueError, LookupError, AttributeError, cattrs.BaseValidationError) as error:
                raise StrategyError(f"{self.path} is not a journal of checks: {line[:60]!r}") from error

    def add(self, finished: Iterable[Checked]) -> None:
        """Keep these."""
        if self.path is None:
            return
        with self.path.open("a") as stream:
            for one in finished:
                record = {"settings": self.settings, **_CONVERTER.unstructure(one)}
                stream.write(json.dumps(record, sort_keys=True) + "\n")


def check_many(plan: CheckPlan, watch: Callable[[int, int], None]) -> list[StrategyReport]:
    """Check every strategy of the plan on every model; one report for each, in the plan's order.

    Findings are in the order of the models, the smallest first. ``watch`` gets how many (strategy, model)
    pairs are done and how many there are.

    Raises:
        StrategyError: a setting out of range, or an unknown strategy.
        OSError: the journal cannot be read or written.
    """
    journal = _Journal(plan.journal, f"{code_sha256()} hostile={plan.hostile}")
    names = [specimen.name for specimen in plan.specimens]
    done = {(one.key, one.model): one for one in journal.read() if one.model in names}
    pairs = len(plan.keys) * len(names)
    for finished in _run(plan, set(done)):
        journal.add(finished)
        done |= {(one.key, one.model): one for one in finished}
        watch(len(done), pairs)
    return [StrategyReport.together(done[key, name].report for name in names) for key in plan.keys]


def _run(plan: CheckPlan, done: set[tuple[Key, str]]) -> Iterator[list[Checked]]:
    units = []
    for index, specimen in enumerate(plan.specimens):
        keys = [key for key in plan.keys if (key, specimen.name) not in done]
        if keys:
            units.append((index, keys, plan.hostile))
    units.reverse()  # the largest first
    if plan.workers == 1:
        yield from (check_on(*unit) for unit in units)
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with ProcessPoolExecutor(
        plan.workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        futures = [pool.submit(check_on, *unit) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise StrategyError(
                "a worker process ended: it was killed, or a strategy crashed the interpreter; "
                "--workers 1 shows which"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
