"""Random tasks, models that are good at them, and the truth by enumeration of the unrenamed model."""

from __future__ import annotations

import functools
import random
from itertools import product

from hypothesis import strategies as st

from certkit.task import Task
from proofs.model import Model
from proofs.task import renamed
from tests.support.certs import oracle_of


def tasks(vocab: int) -> st.SearchStrategy[Task]:
    """All tasks of so many tokens (shrinks to Max-of-K)."""
    tokens = list(range(vocab))
    return st.builds(Task, st.permutations(tokens), st.permutations(tokens))


def random_task(vocab: int, seed: int) -> Task:
    """Some task, by seed."""
    draw, tokens = random.Random(seed), list(range(vocab))
    return Task(draw.sample(tokens, vocab), draw.sample(tokens, vocab))


def solving(model: Model, task: Task) -> Model:
    """The model that ``renamed(·, task)`` turns into ``model``: good at the task if that is at Max-of-K."""
    where = [task.logits.index(logit) for logit in range(task.vocab)]
    undo = Task(task.ranks, [where[task.order[token]] for token in range(task.vocab)])
    return renamed(model, undo)


def definition(task: Task, sequence: tuple[int, ...]) -> int:
    """The answer in other words than the code's: of two tokens keep the later one; label what is left."""
    last = sequence[0]
    for token in sequence[1:]:
        if task.order.index(token) > task.order.index(last):
            last = token
    return task.labels[last]


@functools.lru_cache(maxsize=64)
def failing(model: Model, task: Task) -> frozenset[tuple[int, ...]]:
    """Every sequence the model gets wrong: the model's definition in ball arithmetic, nothing renamed."""
    oracle = oracle_of(model)
    sequences = product(range(model.vocab), repeat=model.n_ctx)
    return frozenset(s for s in sequences if not oracle.correct(s, definition(task, s)))
