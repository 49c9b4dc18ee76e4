"""What a sweep is made of: jobs, their limits, and how each ended. Plain data that travels as JSON."""

from __future__ import annotations

import enum
import json
from typing import Any, Final

import attrs
import cattrs

from certkit.task import MAX_OF_K, Task
from proofs.strategy import AnyStrategy


class Status(enum.StrEnum):
    """How a job ended; only the first is a proof."""

    PROVED = "proved"
    OUT_OF_REACH = "out of reach"
    """The strategy says that it cannot prove anything about this model."""
    BAD_MODEL = "bad model"
    TIME = "time limit"
    MEMORY = "memory limit"
    CRASHED = "crashed"


FINAL: Final = frozenset({Status.PROVED, Status.OUT_OF_REACH})
"""Ends that another attempt would only repeat."""


@attrs.frozen
class Limits:
    """What one job may use, and how many run at once.

    Attributes:
        seconds: wall time of one job.
        megabytes: data memory of one worker process.
    """

    seconds: float = 600.0
    megabytes: int = 4096

    def __attrs_post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"seconds={self.seconds}: a time limit must be positive")
        if self.megabytes < 512:
            raise ValueError(f"megabytes={self.megabytes}: a worker needs at least 512 to start")


@attrs.frozen
class ModelFile:
    """A model of the sweep: where it is and what it is (empty sizes if it could not be read)."""

    path: str
    sha256: str
    k: int = 0
    vocab: int = 0


@attrs.frozen
class Job:
    """One strategy on one task of one model.

    An empty strategy name asks for the facts of the model at the task (accuracy, EQKE). No task is Max-of-K.
    """

    model: ModelFile
    strategy: str
    version: int
    semantics: str
    task: Task | None = None

    @classmethod
    def proof(cls, model: ModelFile, strategy: AnyStrategy, task: Task | None = None) -> Job:
        """The job of proving with ``strategy``."""
        return cls(model, strategy.name, strategy.version, str(strategy.semantics), task)

    @classmethod
    def facts(cls, model: ModelFile, task: Task | None = None) -> Job:
        """The job of measuring what reports compare bounds with."""
        return cls(model, "", 0, "", task)

    @property
    def subject(self) -> tuple[str, str]:
        """Which model at which task: jobs of one subject share work."""
        return (self.model.sha256, MAX_OF_K if self.task is None else self.task.key)

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """What a result is kept under: the same weights, task and strategy version are never proved twice."""
        return (*self.subject, self.strategy, self.version, self.semantics)


@attrs.frozen
class Proof:
    """The numbers of a proof (integers that may pass 2⁶³ are strings)."""

    certificate: str
    correct: str
    correct_at_most: str | None
    total: str
    family: str
    complexity_class: str
    search_us: int
    verify_us: int
    flops: int
    comparisons: int
    int_ops: int
    unexplained_dimension: int


@attrs.frozen
class Facts:
    """What a model is compared with: float values, no proofs.

    Attributes:
        correct: sequences counted or sampled correct.
        total: sequences counted or sampled.
        sampled: whether they were sampled.
        accuracy_lower: the exact accuracy, or the lower end of its 99.99 % confidence interval.
        accuracy_upper: the exact accuracy, or the upper end of that interval.
        sigma_1: largest singular value of EQKE.
        sigma_2: second largest.
    """

    correct: str
    total: str
    sampled: bool
    accuracy_lower: float
    accuracy_upper: float
    sigma_1: float
    sigma_2: float


@attrs.frozen
class Outcome:
    """How a job ended, with its proof or facts, or the reason why there are none."""

    job: Job
    status: Status
    seconds: float
    reason: str = ""
    proof: Proof | None = None
    facts: Facts | None = None


_CONVERTER: Final = cattrs.Converter(forbid_extra_keys=True)


def to_json(value: Job | Outcome | Limits) -> str:
    """One line of JSON."""
    return json.dumps(_CONVERTER.unstructure(value))


def job_from_json(text: str) -> Job:
    """The job in a line of `to_json`."""
    return _CONVERTER.structure(json.loads(text), Job)


def outcome_from_json(text: str) -> Outcome:
    """The outcome in a line of `to_json`."""
    return _CONVERTER.structure(json.loads(text), Outcome)


@attrs.frozen
class Audited:
    """What the auditor found in one certificate of a sweep.

    Attributes:
        certificate: digest of statement and proof, the certificate's name in the store.
        auditor: digest of the auditor's code.
        verdict: ``verified``, or what else `certkit.kernel.audit` says.
        place: rule and place of what was found, empty if verified.
        seconds: of one processor, that the audit took.
    """

    certificate: str
    auditor: str
    verdict: str
    place: str
    seconds: float


def as_row(value: Proof | Facts) -> dict[str, Any]:
    """The fields by name, for the ledger."""
    return attrs.asdict(value)
