"""Tasks of the Max-of-K family: every one is Max-of-K of a model with the same numbers in other places.

Let a task have order o and labels l (`certkit.task.Task`): the answer to a sequence is ``l[t]`` for its token
t that comes last in o. Rename tokens by rank, and logits so that r is the label of the token of rank r:

    W_E'[r] = W_E[o[r]]        W_U'[:, r] = W_U[:, l[o[r]]]        all other tensors as they are.

**Lemma.** On the ranks of a sequence the renamed model computes the logits of the model on the sequence, in
other places: ``logits'[r] = logits[l[o[r]]]``. Hence the model is right about the task on a sequence exactly
if the renamed model is right about Max-of-K on its ranks. *Proof.* Row r of W_E' is the embedding of the
token of rank r, so residuals, scores and attention are the same numbers; a column of W_U' meets them as it
did in W_U. No operation is done, so nothing is rounded: the lemma holds for executions in float32 and for the
reals. r ↦ l[o[r]] is a bijection that takes the largest rank m to the right answer, so ``logits'[m]`` is
strictly the largest exactly if the right logit is. □

Sequences and their ranks correspond one to one, so the two models are right equally often. Therefore every
strategy, sampler and search of Max-of-K serves every task: apply it to `renamed`, and read ranks as tokens.
`restated` carries a certificate over; the auditor renames the weights itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import torch
from torch import Tensor

from certkit.certificate import Certificate
from certkit.task import NAMES, Task, TaskError
from proofs.model import Model

__all__ = ["Task", "TaskError", "as_max_of_k", "parse_task", "renamed", "restated", "targets"]


def renamed(model: Model, task: Task) -> Model:
    """The model that is right about Max-of-K exactly where ``model`` is right about ``task``: see the lemma.

    Raises:
        TaskError: the task is about another number of tokens.

    >>> two = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> one = torch.ones(2, 2)
    >>> model = Model(W_E=two, W_pos=one, W_Q=one, W_K=one, W_V=one, W_O=one, W_U=two)
    >>> renamed(model, Task.min_of_k(2)).W_E.tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    task.check_vocab(model.vocab)
    if task.is_max_of_k:
        return model
    tokens, logits = torch.tensor(task.order), torch.tensor(task.logits)
    return Model.from_tensors(model.tensors() | {"W_E": model.W_E[tokens], "W_U": model.W_U[:, logits]})


def restated(certificate: Certificate, model: Model, task: Task) -> Certificate:
    """A certificate about Max-of-K of ``renamed(model, task)``, as one about ``task`` of ``model``.

    The content stays as it is: it names tokens by rank.

    Raises:
        TaskError: the certificate is about another model or another task.
    """
    claim, subject = certificate.claim, renamed(model, task)
    if not claim.task.is_max_of_k or claim.model_sha256 != subject.sha256:
        raise TaskError(
            f"the certificate is about {claim.task} of model {claim.model_sha256[:12]}…; "
            f"only one about max-of-k of renamed(model, task), {subject.sha256[:12]}…, can be restated"
        )
    if task.is_max_of_k:
        return certificate
    return attrs.evolve(certificate, claim=attrs.evolve(claim, model_sha256=model.sha256, task=task))


def as_max_of_k(model: Model, certificate: Certificate) -> tuple[Model, Certificate]:
    """The renamed model, and the certificate as one about Max-of-K of it: what `restated` undoes.

    Raises:
        TaskError: the certificate is about a task of another size.
    """
    claim = certificate.claim
    subject = renamed(model, claim.task)
    same = attrs.evolve(claim, model_sha256=subject.sha256, task=Task.max_of_k(claim.vocab))
    return subject, attrs.evolve(certificate, claim=same)


def targets(tokens: Tensor, task: Task) -> Tensor:
    """The right answer to each sequence: tokens ``[..., K]`` to logits ``[...]``.

    >>> targets(torch.tensor([[2, 0, 1], [1, 1, 2]]), Task.min_of_k(3)).tolist()
    [0, 1]
    """
    if task.is_max_of_k:
        return tokens.amax(-1).long()
    ranks = torch.tensor(task.ranks, device=tokens.device)
    logits = torch.tensor(task.logits, device=tokens.device)
    answers: Tensor = logits[ranks[tokens.long()].amax(-1)]
    return answers


def parse_task(text: str, vocab: int) -> Task:
    """The task of this name, or the one in this JSON file: ``{"order": […], "labels": […]}``.

    Raises:
        TaskError: neither a name nor a readable file with a task of so many tokens.

    >>> parse_task("min-of-k", 3).order
    (2, 1, 0)
    """
    if text in NAMES:
        return Task.named(text, vocab)
    path = Path(text)
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TaskError(
            f"task {text!r} is neither {' nor '.join(NAMES)} nor a file that can be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TaskError(f'{path}: not JSON ({error}); write {{"order": […], "labels": […]}}') from error
    try:
        return Task.from_json(value, vocab)
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
