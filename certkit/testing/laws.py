"""Certified content against the truth: every sequence of a tiny model, one by one.

What a strategy certifies is compared with what `certkit.exact` knows of the model in the reals, and, for
claims under ``float32``, with executions that follow the rules of those claims (`certkit.executing`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from torch import Tensor

from certkit.certificate import CertifiedSet
from certkit.content import BoundContent, CountContent, PoolContent, SetContent, TailContent
from certkit.exact import Truth
from certkit.executing import executors, is_correct
from certkit.fileformat import canonical
from certkit.runs import run_tokens
from certkit.witness import WitnessError, witness_difference, witness_from_json, witness_to_json

__all__ = ["Broken", "check_certified", "check_executed", "members", "stored_and_read"]

Broken = tuple[str, tuple[int, ...] | None]
"""What is wrong, and the sequence if it is about one."""


def members(content: SetContent, k: int) -> Iterator[tuple[int, ...]]:
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


def _check_sets(content: SetContent, truth: Truth) -> Iterator[Broken]:
    seen: set[tuple[int, ...]] = set()
    for sequence in members(content, truth.k):
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
    content: TailContent | CountContent | BoundContent | PoolContent, truth: Truth
) -> Iterator[Broken]:
    wrong = [w for s, w in truth.failing.items() if (s[-1], max(s)) == (content.q, content.m)]
    if isinstance(content, PoolContent):
        if (failures := sum(map(len, wrong))) > content.failing_at_most:
            where = f"class q={content.q}, m={content.m}"
            yield f"{where}: {failures} failures of all outputs, claimed {content.failing_at_most}", None
        return
    if isinstance(content, BoundContent):
        yield from _check_bounds(content, wrong, truth.vocab)
        return
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


def _check_bounds(content: BoundContent, wrong: Sequence[Collection[int]], vocab: int) -> Iterator[Broken]:
    """Each failing sequence counts for the first bound with an output it fails for, and needs one."""
    left = list(wrong)
    for bound in content.bounds:
        failing = sum(not set(bound.outputs).isdisjoint(outputs) for outputs in left)
        left = [outputs for outputs in left if set(bound.outputs).isdisjoint(outputs)]
        where = f"class q={content.q}, m={content.m}, outputs={bound.outputs}"
        if failing > bound.failing_at_most:
            yield f"{where}: {failing} sequences fail, claimed at most {bound.failing_at_most}", None
        if sum(bound.outputs[0] in outputs for outputs in wrong) < bound.failing_at_least:
            yield f"{where}: fewer sequences fail than {bound.failing_at_least}", None
    for outputs in left:
        yield f"class q={content.q}, m={content.m}: outputs {sorted(outputs)} fail and have no bound", None


def check_certified(certified: CertifiedSet, truth: Truth) -> Iterator[Broken]:
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


def check_executed(certified: CertifiedSet, weights: Mapping[str, Tensor], seed: int = 0) -> Iterator[Broken]:
    """Run what cells and boxes certify in float32, in many orders; yields what an execution gets wrong.

    Tails and counts name no sequences, so nothing is said of them.
    """
    for entry in certified.entries:
        found = list(members(entry, certified.k)) if isinstance(entry, SetContent) else []
        tokens = np.array(found, np.int64).reshape(len(found), certified.k)
        for executor in executors(seed) if found else ():
            wrong = ~is_correct(executor.logits(weights, tokens), tokens)
            if wrong.any():
                sequence = found[int(wrong.argmax())]
                yield f"certified {sequence}, which goes wrong in float32 ({executor})", sequence


def stored_and_read(witness: object, cls: type[Any]) -> Any:
    """The witness as a reader of the certificate gets it, after checking that it is the one that was stored.

    Raises:
        WitnessError: it cannot be written or read back, or is not the same; the message names the field.
    """
    try:
        text = canonical(witness_to_json(witness))
    except TypeError as error:
        raise WitnessError(f"the witness cannot be stored: {error}") from error
    back = witness_from_json(json.loads(text), cls)
    lost = witness_difference(witness, back)
    if lost is not None:
        field = (
            f"witness field {lost.removeprefix('.')}" if lost else f"the witness, a {type(witness).__name__},"
        )
        raise WitnessError(
            f"{field} is not the same when it comes back from the file; declare exactly what it holds "
            "(tensors are float64 or int64, detached)"
        )
    return back
