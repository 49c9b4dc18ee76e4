"""What a certificate claims, what proves it, and who made it; sampled estimates are kept apart.

The classes are small and frozen. A `Certificate` cannot claim more than its own content adds up to; whether
the content is true is decided by the strategy that made it and, independently, by `certkit.kernel`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import attrs

from certkit.content import (
    Bound,
    BoundContent,
    Box,
    Cell,
    CertifiedSet,
    Content,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
    gap_cell,
    round_up_32,
)
from certkit.display import facts_html, grouped, grouped_up, percent_down, percent_up, short_digest
from certkit.kernel import Verdict
from certkit.runs import (
    Runs,
    check_int,
    check_task,
    run_intersection,
    run_size,
    run_tokens,
    runs_from_mask,
    runs_from_tokens,
)
from certkit.task import Task

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "Bound",
    "BoundContent",
    "Box",
    "Cell",
    "Certificate",
    "CertifiedSet",
    "Claim",
    "Content",
    "Count",
    "CountContent",
    "Estimate",
    "Json",
    "PoolContent",
    "Runs",
    "SetContent",
    "Tail",
    "TailContent",
    "Verdict",
    "class_size",
    "full_content",
    "gap_cell",
    "round_up_32",
    "run_intersection",
    "run_size",
    "run_tokens",
    "runs_from_mask",
    "runs_from_tokens",
]

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

SEMANTICS = ("real", "float32")


@attrs.frozen
class Claim:
    """The statement: of `total` sequences, at least (and at most, if given) so many are correct.

    The default task is Max-of-K.
    """

    k: int
    vocab: int
    model_sha256: str
    correct_at_least: int
    correct_at_most: int | None = None
    semantics: str = "real"
    task: Task = attrs.field()

    @task.default
    def _max_of_k(self) -> Task:
        check_task(self.k, self.vocab)
        return Task.max_of_k(self.vocab)

    def __attrs_post_init__(self) -> None:
        check_task(self.k, self.vocab)
        if len(self.model_sha256) != 64 or not set(self.model_sha256) <= set("0123456789abcdef"):
            raise ValueError(f"model_sha256={self.model_sha256!r} must be 64 lower-case hexadecimal digits")
        if self.semantics not in SEMANTICS:
            raise ValueError(f"semantics={self.semantics!r} must be one of {SEMANTICS}")
        if not isinstance(self.task, Task):
            raise TypeError(f"task={self.task!r} must be a Task, such as Task.min_of_k({self.vocab})")
        self.task.check_vocab(self.vocab)
        check_int(self.correct_at_least, "correct_at_least", 0, self.total)
        if self.correct_at_most is not None:
            check_int(self.correct_at_most, "correct_at_most", self.correct_at_least, self.total)

    @property
    def total(self) -> int:
        """The number of all sequences, ``vocab^k``."""
        return int(self.vocab**self.k)


@attrs.frozen
class Certificate:
    """A claim, the content that proves it, and where it came from.

    `witness` and `parameters` document the search; `remarks` (cost, times, …) are only the producer's word.
    The claim must equal what the content adds up to: no certificate object overclaims its own content.
    """

    claim: Claim
    strategy: str
    version: int
    content: CertifiedSet
    parameters: Mapping[str, Json] = attrs.field(factory=dict)
    witness: Json = None
    remarks: Mapping[str, Json] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if (self.claim.k, self.claim.vocab) != (self.content.k, self.content.vocab):
            raise ValueError(
                f"the claim is about k={self.claim.k}, vocab={self.claim.vocab}, the content is not"
            )
        if self.claim.correct_at_least != self.content.correct_at_least:
            total = self.content.correct_at_least
            raise ValueError(
                f"correct_at_least={self.claim.correct_at_least}, but the content sums to {total}"
            )
        if self.claim.correct_at_most not in (None, self.content.correct_at_most):
            total = self.content.correct_at_most
            raise ValueError(f"correct_at_most={self.claim.correct_at_most}, but the content sums to {total}")
        if not self.strategy:
            raise ValueError("strategy must be named")
        check_int(self.version, "version", 1)

    @property
    def bound(self) -> Fraction:
        """The certified lower bound on the accuracy."""
        return Fraction(self.claim.correct_at_least, self.claim.total)

    @property
    def bound_upper(self) -> Fraction | None:
        """The certified upper bound on the accuracy, if the certificate claims one."""
        most = self.claim.correct_at_most
        return None if most is None else Fraction(most, self.claim.total)

    def _claimed(self) -> tuple[str, str]:
        """How many sequences, and what share of all, in words; the share is rounded outward."""
        count, upper = f"at least {grouped(self.claim.correct_at_least)}", self.bound_upper
        if self.claim.correct_at_most is not None:
            count += f" and at most {grouped_up(self.claim.correct_at_most)}"
        share = percent_down(self.bound) + ("" if upper is None else f" to {percent_up(upper)}")
        return f"{count} of {grouped(self.claim.total)} correct", share

    def __repr__(self) -> str:
        (count, share), claim = self._claimed(), self.claim
        executed = "" if claim.semantics == "real" else f", {claim.semantics}"
        task = "" if claim.task.name == "max-of-k" else f", {claim.task}"
        model = f"model {short_digest(claim.model_sha256)}"
        return f"Certificate({self.strategy!r}, {count} ({share}){executed}{task}, {model})"

    def _repr_html_(self) -> str:
        (count, share), claim = self._claimed(), self.claim
        facts = [
            ("claim", f"{count}: {share}"),
            ("task", f"{claim.task}: {claim.task.in_words()} of {claim.k}, each one of {claim.vocab}"),
            ("semantics", claim.semantics),
            ("model", short_digest(claim.model_sha256)),
            ("strategy", f"{self.strategy}, version {self.version}"),
            ("content", f"{grouped(len(self.content.entries))} classes (query, maximum)"),
        ]
        return facts_html("Certificate", facts, "What the file says. To check it: certkit audit")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the certificate file (all of it or none)."""
        from certkit.fileformat import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Certificate:
        """Read a certificate file; `ValueError` with one clear line if it is not one."""
        from certkit.fileformat import load

        return load(path)


@attrs.frozen
class Estimate:
    """A sampled accuracy: evidence, never a proof, and never accepted where a `Certificate` is asked for."""

    correct: int
    sampled: int
    confidence: float = 0.9999

    def __attrs_post_init__(self) -> None:
        check_int(self.sampled, "sampled", 1)
        check_int(self.correct, "correct", 0, self.sampled)
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence} must lie between 0 and 1")

    @property
    def accuracy(self) -> Fraction:
        """The share of sampled sequences that were correct."""
        return Fraction(self.correct, self.sampled)

    @property
    def interval(self) -> tuple[float, float]:
        """A confidence interval for the accuracy (floats; Chernoff: at least the stated confidence).

        With p̂ the sampled share, the p with ``sampled · KL(p̂ ‖ p) ≤ log(2/(1−confidence))``: each of the two
        tails has at most half of the remaining probability.

        >>> low, high = Estimate(990, 1000).interval
        >>> 0.96 < low < 0.99 < high < 1
        True
        """
        share = self.correct / self.sampled
        budget = math.log(2 / (1 - self.confidence)) / self.sampled
        return _chernoff_end(share, 0.0, budget), _chernoff_end(share, 1.0, budget)

    def _in_words(self) -> tuple[str, str]:
        low, high = map(Fraction, self.interval)
        confidence = f"{100 * self.confidence:.10g} %"
        share = f"{percent_down(low)} to {percent_up(high)} with {confidence} confidence"
        return f"{grouped(self.correct)} of {grouped(self.sampled)} sampled sequences correct", share

    def __repr__(self) -> str:
        return f"Estimate({'; '.join(self._in_words())}; no proof)"

    def _repr_html_(self) -> str:
        count, share = self._in_words()
        return facts_html("Estimate", [("seen", count), ("accuracy", share)], "A sample is no proof.")


def _chernoff_end(share: float, outside: float, budget: float) -> float:
    """Bisect between `share` and `outside` for the point where the divergence uses up the budget."""

    def divergence(p: float) -> float:
        with_zero = (share, p), (1 - share, 1 - p)
        return sum(a * math.log(a / b) for a, b in with_zero if a > 0)

    inner, outer = share, outside
    for _ in range(80):
        middle = (inner + outer) / 2
        if middle in (inner, outer):
            break
        if divergence(middle) <= budget:
            inner = middle
        else:
            outer = middle
    return outer
