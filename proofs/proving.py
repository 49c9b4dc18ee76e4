"""Proving: search, verification, operation counting and the doctor's record, put together.

Each of these is a function of its own; `prove_with` is the only place where they meet. The claim of a
certificate is computed from the certified content with exact integers, never taken from a strategy.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import attrs

from certkit import cost, environment
from certkit.certificate import Certificate, CertifiedSet, Claim, Json
from certkit.cost import Cost
from proofs.model import Model
from proofs.strategy import AnyStrategy, Semantics, Strategy, StrategyError, find, select
from proofs.task import Task, as_max_of_k, renamed, restated
from proofs.witness import WitnessError, witness_from_json, witness_to_json
from proofs.workspace import Workspace

W = TypeVar("W")


@attrs.frozen
class Searched(Generic[W]):
    """A witness and the wall time of the search that found it."""

    witness: W
    seconds: float


@attrs.frozen
class Verified:
    """Certified content, the operations that verified it, and their wall time (shared work included)."""

    certified: CertifiedSet
    spent: Cost
    seconds: float


def run_search(strategy: Strategy[W], model: Model, workspace: Workspace) -> Searched[W]:
    """Search for a witness; ``workspace`` is the one of searches, never that of verifications."""
    started = time.perf_counter()
    with workspace:
        witness = strategy.search(model)
    return Searched(witness, time.perf_counter() - started)


def run_verify(strategy: Strategy[W], model: Model, witness: W, workspace: Workspace) -> Verified:
    """Verify a witness under cost counting.

    Raises:
        StrategyError: the strategy returned content for another task than the model's.
    """
    with workspace, workspace.verification() as borrowed, cost.counting() as spent:
        started = time.perf_counter()
        certified = strategy.verify(model, witness)
        seconds = time.perf_counter() - started + borrowed()
    if (certified.k, certified.vocab) != (model.n_ctx, model.vocab):
        raise StrategyError(
            f"strategy {strategy.name!r} certified k={certified.k}, vocab={certified.vocab}; "
            f"the model has k={model.n_ctx}, vocab={model.vocab}"
        )
    return Verified(certified, spent, seconds)


def claim(model: Model, certified: CertifiedSet, semantics: Semantics) -> Claim:
    """What ``certified`` amounts to, counted with exact integers."""
    return Claim(
        k=model.n_ctx,
        vocab=model.vocab,
        model_sha256=model.sha256,
        correct_at_least=certified.correct_at_least,
        correct_at_most=certified.correct_at_most if certified.two_sided else None,
        semantics=semantics.value,
    )


def remarks(
    strategy: AnyStrategy, model: Model, search_seconds: float, verified: Verified
) -> dict[str, Json]:
    """The producer's word about a proof: its cost, and times in microseconds. It proves nothing."""
    return {
        "cost": {
            "flops": verified.spent.flops,
            "comparisons": verified.spent.comparisons,
            "int_ops": verified.spent.int_ops,
            "unexplained_dimension": strategy.unexplained_dimension(model),
        },
        "time_us": {
            "search": round(search_seconds * 1_000_000),
            "verify": round(verified.seconds * 1_000_000),
        },
        "family": strategy.family.value,
    }


def prove_with(
    strategy: Strategy[W], model: Model, searching: Workspace, verifying: Workspace
) -> Certificate:
    """Ask the doctor, search, verify, and write the certificate; in two different workspaces of ``model``."""
    doctor = environment.require_sound()
    searched = run_search(strategy, model, searching)
    try:
        written = witness_to_json(searched.witness)
    except WitnessError as error:
        raise WitnessError(f"strategy {strategy.name!r}: {error}") from error
    verified = run_verify(strategy, model, searched.witness, verifying)
    return Certificate(
        claim=claim(model, verified.certified, strategy.semantics),
        strategy=strategy.name,
        version=strategy.version,
        content=verified.certified,
        witness=written,
        remarks={**remarks(strategy, model, searched.seconds, verified), "environment": doctor.record()},
    )


def prove(
    model: Model, strategy_name: str, semantics: Semantics | str = Semantics.REAL, task: Task | None = None
) -> Certificate:
    """Prove a lower bound on the accuracy of ``model`` with the strategy of this exact name.

    Args:
        model: what the certificate is about.
        strategy_name: the exact name.
        semantics: what is proved, exact reals or executions.
        task: which answers are right; Max-of-K by default.

    Raises:
        StrategyError: unknown strategy, or a model out of its reach; the message names the remedy.
        WitnessError: the strategy found a witness that no certificate can store; the message names the field.
        TaskError: a task of another number of tokens.
        EnvironmentRefused: this machine's arithmetic is not what proofs rest on (`certkit.environment`).

    >>> import torch
    >>> from proofs.model import Model
    >>> one = torch.ones(1, 1)
    >>> prove(Model(W_E=one, W_pos=one, W_Q=one, W_K=one, W_V=one, W_O=one, W_U=one), "cubic").bound
    Fraction(1, 1)
    """
    (certificate,) = _restated_each(model, [find(strategy_name, semantics)], task)
    return certificate


def prove_many(
    model: Model,
    names: Iterable[str],
    semantics: Semantics | str = Semantics.REAL,
    task: Task | None = None,
) -> Iterator[Certificate]:
    """Prove with every strategy that ``names`` select (names, globs, families, ``all``), one after the other.

    Work that strategies have in common is done once; the cost and time each certificate reports are those
    it would report alone. The selection is checked before the first proof starts.

    Raises:
        StrategyError: as `prove`; an unknown name is reported at the call, before anything is proved.
        TaskError: a task of another number of tokens, likewise.
    """
    chosen = select(names, semantics)
    return _restated_each(model, chosen, task)


def _restated_each(model: Model, chosen: Iterable[AnyStrategy], task: Task | None) -> Iterator[Certificate]:
    stated = Task.max_of_k(model.vocab) if task is None else task
    proofs = _prove_each(renamed(model, stated), chosen)
    return (restated(proof, model, stated) for proof in proofs)


def _prove_each(model: Model, chosen: Iterable[AnyStrategy]) -> Iterator[Certificate]:
    searching, verifying = Workspace(model), Workspace(model)
    for strategy in chosen:
        yield prove_with(strategy, model, searching, verifying)


def reverify(model: Model, certificate: Certificate) -> Verified:
    """Verify the witness of ``certificate`` again, on this machine.

    The auditor needs neither strategy nor witness; this is for developers: the content that comes back
    should equal the certificate's when the strategy's version is the same.

    Raises:
        StrategyError: the certificate is about another model, or its strategy or version is not known here.
        WitnessError: the witness is not one of this strategy.
    """
    if certificate.claim.model_sha256 != model.sha256:
        raise StrategyError(
            f"the certificate is about model {certificate.claim.model_sha256[:12]}…, not {model.sha256[:12]}…"
        )
    strategy = find(certificate.strategy, certificate.claim.semantics)
    if strategy.version != certificate.version:
        raise StrategyError(
            f"the certificate is by version {certificate.version} of {strategy.name!r}; "
            f"this is version {strategy.version}"
        )
    witness = witness_from_json(certificate.witness, strategy.witness_type)
    subject, _ = as_max_of_k(model, certificate)
    return run_verify(strategy, subject, witness, Workspace(subject))


__all__ = [
    "Searched",
    "Verified",
    "WitnessError",
    "claim",
    "prove",
    "prove_many",
    "prove_with",
    "remarks",
    "reverify",
    "run_search",
    "run_verify",
]
