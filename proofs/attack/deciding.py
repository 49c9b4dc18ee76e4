"""Deciding what a search found, in the semantics of the certificate.

Under ``real`` a sequence is decided exactly (`certkit.exact`). Under ``float32`` a certificate says that
*every* execution that follows the rules gets a sequence right, so one that gets it wrong refutes it: the
sequence is run (`certkit.executing`) in several orders and associations, fused or not, and the computed
logits are compared exactly. A sequence that is wrong in the reals is no counterexample to such a certificate
on its own, and one that all tried executions get right may go wrong in another.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from certkit.exact import Truth
from certkit.executing import Executor, executors
from proofs.attack.regions import Region
from proofs.model import Model
from proofs.strategy import Semantics

__all__ = ["Call", "Decider", "Executions", "Reals", "decider"]

_POOR_EXP: Final = 15
"""Units in the last place that an attack spoils exponentials by: at a power of two they are twice as long
above as below, and 32 of the shorter ones are allowed."""

_BATCH: Final = 4096
"""Sequences that are executed at once."""


@attrs.frozen(order=True)
class Call:
    """A sequence, how close x comes to winning on it, and the region that certifies it."""

    margin: float
    others: tuple[int, ...]
    x: int
    region: Region = attrs.field(order=False, eq=False)

    @property
    def sequence(self) -> tuple[int, ...]:
        """K tokens, the query last."""
        return (*self.others, self.region.view.q)

    def suspects(self, vocab: int) -> list[int]:
        """The outputs the certificate speaks of, the most suspicious first."""
        outputs = self.region.outputs
        spoken_of = set(range(vocab) if outputs is None else outputs) - {self.region.view.m}
        return [x for x in (self.x,) if x in spoken_of] + sorted(spoken_of - {self.x})


@attrs.frozen
class Decided:
    """A call, an output that is not beaten there (None if there is none), and by which arithmetic."""

    call: Call
    x: int | None
    how: str


class Decider(abc.ABC):
    """Says of sequences whether an output is not beaten."""

    close: float
    """Relative margins above this may have the wrong sign in a float64 search."""
    most: int
    """How many sequences it can decide in a reasonable time."""

    @abc.abstractmethod
    def decide(self, calls: Sequence[Call]) -> Iterator[Decided]:
        """Each call decided, in order."""


@attrs.frozen(eq=False)
class Reals(Decider):
    """Exact arithmetic."""

    truth: Truth
    close: float = -1e-6
    most: int = 1_000_000

    def decide(self, calls: Sequence[Call]) -> Iterator[Decided]:
        """The suspect is asked first."""
        for call in calls:
            outputs = call.suspects(self.truth.vocab)
            x = next((x for x in outputs if self.truth.sign(call.sequence, x) >= 0), None)
            yield Decided(call, x, "exactly")


@attrs.frozen(eq=False)
class Executions(Decider):
    """Executions in float32; the closest calls of float64 may be a rounding error of float32 off."""

    model: Model
    runs: tuple[Executor, ...]
    close: float = -1e-3
    most: int = 10_000

    def decide(self, calls: Sequence[Call]) -> Iterator[Decided]:
        """All runs of a batch, then its calls one by one."""
        weights, vocab = self.model.tensors(), self.model.vocab
        for start in range(0, len(calls), _BATCH):
            batch = calls[start : start + _BATCH]
            tokens = np.array([call.sequence for call in batch], np.int64)
            with np.errstate(all="ignore"):  # what overflows becomes NaN, and that is wrong
                logits = [run.logits(weights, tokens) for run in self.runs]
            for row, call in enumerate(batch):
                m, outputs = call.region.view.m, call.suspects(vocab)
                found = (
                    (x, run)
                    for run, computed in zip(self.runs, logits, strict=True)
                    for x in outputs
                    if not computed[row, m] > computed[row, x]
                )
                x, run = next(found, (None, None))
                yield Decided(call, x, "" if run is None else f"in float32, executed as {run}")


def decider(model: Model, semantics: str, seed: int) -> Decider:
    """What decides under the semantics of a certificate.

    Raises:
        StrategyError: semantics that are not known here.
    """
    if Semantics(semantics) is Semantics.REAL:
        return Reals(Truth(model.tensors()))
    runs = (run for s in range(seed, seed + 3) for run in executors(s, worst_ulps=_POOR_EXP))
    return Executions(model, tuple(dict.fromkeys(runs)))
