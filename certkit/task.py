"""Which answer is right: a task of the Max-of-K family, as a certificate states it.

A task is an *order* of the tokens and a *label* for each. The right answer to a sequence is the label of its
token that comes last in the order: the model is right if that logit is strictly the largest. Counting up with
every token its own label is Max-of-K itself.

Both are permutations of ``0 … V−1``, so renaming tokens and logits turns any such task into Max-of-K of a
model with the same numbers in other places (`proofs.task.renamed`). Everything a certificate contains
therefore names tokens by their *rank*, their place in the order; for Max-of-K rank and token are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

__all__ = ["NAMES", "Task", "TaskError", "short_name"]

MAX_OF_K: Final = "max-of-k"
MIN_OF_K: Final = "min-of-k"
NAMES: Final = (MAX_OF_K, MIN_OF_K)
"""The tasks that have a name; every other is spelled by its order and labels."""


def short_name(key: str) -> str:
    """The name of the task with this `Task.key`.

    >>> short_name("max-of-k"), short_name("task-0123456789abcdef")
    ('max-of-k', 'task-01234567')
    """
    return key if key in NAMES else key[: len("task-") + 8]


class TaskError(ValueError):
    """Not a task, or not one of this model's size; the message names the value and the remedy."""


def _tokens(value: Iterable[int]) -> tuple[int, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TaskError(f"{value!r:.40} is not a list of tokens; write for example (2, 1, 0)")
    return tuple(value)


def _permutation(
    instance: object, attribute: attrs.Attribute[tuple[int, ...]], value: tuple[int, ...]
) -> None:
    name, vocab = attribute.name, len(value)
    if not vocab:
        raise TaskError(f"{name} is empty; it must hold every token once")
    seen: set[int] = set()
    for place, token in enumerate(value):
        if type(token) is not int:
            kind = type(token).__name__
            raise TaskError(f"{name}[{place}] is a {kind}; tokens are ints (of a tensor: tensor.tolist())")
        if not 0 <= token < vocab:
            raise TaskError(f"{name}[{place}] = {token}; with {vocab} tokens they are 0 to {vocab - 1}")
        if token in seen:
            raise TaskError(f"{name}[{place}] = {token} is there twice; {name} must hold every token once")
        seen.add(token)


@attrs.frozen(repr=False)
class Task:
    """An order of the tokens and a label for each; the answer is the label of the token that comes last.

    Attributes:
        order: all tokens, from the smallest to the largest: ``order[r]`` is the token of rank r.
        labels: ``labels[t]`` is the right logit for a sequence whose largest token is t.

    Raises:
        TaskError: one of them is not a permutation of ``0 … V−1``, or they have different lengths.

    >>> by_colour = Task(order=(2, 0, 1), labels=(1, 2, 0))
    >>> by_colour.answer((2, 0, 2)), by_colour.answer((0, 1))
    (1, 2)
    """

    order: tuple[int, ...] = attrs.field(converter=_tokens, validator=_permutation)
    labels: tuple[int, ...] = attrs.field(converter=_tokens, validator=_permutation)

    def __attrs_post_init__(self) -> None:
        if len(self.order) != len(self.labels):
            raise TaskError(
                f"order has {len(self.order)} tokens and labels {len(self.labels)}; "
                "a task orders and labels the same tokens"
            )

    @classmethod
    def max_of_k(cls, vocab: int) -> Task:
        """The largest token.

        >>> Task.max_of_k(4).answer((3, 0, 1))
        3
        """
        return cls(range(vocab), range(vocab))

    @classmethod
    def min_of_k(cls, vocab: int) -> Task:
        """The smallest token.

        >>> Task.min_of_k(4).answer((3, 0, 1))
        0
        """
        return cls(range(vocab - 1, -1, -1), range(vocab))

    @classmethod
    def relabelled(cls, labels: Iterable[int]) -> Task:
        """The largest token by number, under other labels.

        >>> Task.relabelled([1, 0, 2]).answer((0, 1, 0))
        0
        """
        given = _tokens(labels)
        return cls(range(len(given)), given)

    @classmethod
    def named(cls, name: str, vocab: int) -> Task:
        """The task of this name for so many tokens.

        Raises:
            TaskError: no task has this name.

        >>> Task.named("min-of-k", 3) == Task.min_of_k(3)
        True
        """
        if name == MAX_OF_K:
            return cls.max_of_k(vocab)
        if name == MIN_OF_K:
            return cls.min_of_k(vocab)
        raise TaskError(
            f"task {name!r} has no such name; there are {' and '.join(NAMES)}, or order and labels"
        )

    @property
    def vocab(self) -> int:
        """V, the number of tokens."""
        return len(self.order)

    @property
    def is_max_of_k(self) -> bool:
        """Whether this is Max-of-K itself."""
        return self.order == self.labels == tuple(range(self.vocab))

    @property
    def name(self) -> str:
        """``max-of-k``, ``min-of-k``, or ``task-`` and eight digits made from order and labels.

        >>> Task.max_of_k(3).name, Task((1, 0), (0, 1)).name, Task((1, 0), (1, 0)).name
        ('max-of-k', 'min-of-k', 'task-df6aa900')
        """
        return short_name(self.key)

    @property
    def key(self) -> str:
        """`name` with all digits: tasks of one size are the same exactly if their keys are.

        >>> Task.min_of_k(3).key, len(Task((1, 0), (1, 0)).key)
        ('min-of-k', 69)
        """
        for name in NAMES:
            if self == Task.named(name, self.vocab):
                return name
        text = json.dumps([self.order, self.labels], separators=(",", ":"))
        return f"task-{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def ranks(self) -> tuple[int, ...]:
        """``ranks[t]`` is the place of token t in the order.

        >>> Task((2, 0, 1), (0, 1, 2)).ranks
        (1, 2, 0)
        """
        places = [0] * self.vocab
        for rank, token in enumerate(self.order):
            places[token] = rank
        return tuple(places)

    @property
    def logits(self) -> tuple[int, ...]:
        """``logits[r]`` is the right logit for a sequence whose largest token has rank r.

        >>> Task((2, 0, 1), (0, 1, 2)).logits
        (2, 0, 1)
        """
        return tuple(self.labels[token] for token in self.order)

    def answer(self, sequence: Sequence[int]) -> int:
        """The right logit for a sequence of tokens."""
        ranks = self.ranks
        return self.logits[max(ranks[token] for token in sequence)]

    def tokens(self, ranks: Iterable[int]) -> tuple[int, ...]:
        """The tokens of these ranks.

        >>> Task.min_of_k(4).tokens((0, 1))
        (3, 2)
        """
        return tuple(self.order[rank] for rank in ranks)

    def in_words(self) -> str:
        """What the right answer is, in a few words.

        >>> Task.min_of_k(4).in_words(), Task((0, 1), (1, 0)).in_words()
        ('the smallest token', 'the label of the largest token')
        """
        upward = tuple(range(self.vocab))
        which = {upward[::-1]: "the smallest token", upward: "the largest token"}
        token = which.get(self.order, "the last token in the order")
        return token if self.labels == upward else f"the label of {token}"

    def check_vocab(self, vocab: int) -> None:
        """Raise `TaskError` unless the task is about so many tokens."""
        if self.vocab != vocab:
            raise TaskError(f"the task has {self.vocab} tokens and the model {vocab}; they must be the same")

    def as_json(self) -> str | dict[str, list[int]]:
        """The task as a certificate states it: ``"max-of-k"``, or order and labels.

        >>> Task.max_of_k(2).as_json(), Task.min_of_k(2).as_json()
        ('max-of-k', {'labels': [0, 1], 'order': [1, 0]})
        """
        if self.is_max_of_k:
            return MAX_OF_K
        return {"labels": [*self.labels], "order": [*self.order]}

    @classmethod
    def from_json(cls, value: Any, vocab: int) -> Task:
        """Read what `as_json` gives: strict, so that a task has one spelling.

        Raises:
            TaskError: anything else.
        """
        if isinstance(value, str):
            if value != MAX_OF_K:
                raise TaskError(f"task={value[:40]!r} is unknown; it is {MAX_OF_K!r}, or order and labels")
            return cls.max_of_k(vocab)
        if not isinstance(value, dict) or value.keys() != {"order", "labels"}:
            raise TaskError(f"task={value!r:.40} must be {MAX_OF_K!r}, or have the fields labels and order")
        for name in ("order", "labels"):
            if not isinstance(value[name], list):
                raise TaskError(f"{name} of the task must be a list")
        task = cls(value["order"], value["labels"])
        task.check_vocab(vocab)
        if task.is_max_of_k:
            raise TaskError(f"this task is spelled {MAX_OF_K!r}")
        return task

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        if self.name in NAMES:
            return f"Task.named({self.name!r}, vocab={self.vocab})"
        return f"Task(order={self.order}, labels={self.labels})"
