"""Token sets as runs, and the checks that certified content is made with.

Runs ``(a0, b0, a1, b1, …)`` stand for ``{a0…b0} ∪ {a1…b1} ∪ …`` with ``a_i ≤ b_i`` and ``b_i + 1 < a_{i+1}``,
so that a set has one spelling.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Runs: TypeAlias = tuple[int, ...]


def runs_from_tokens(tokens: Iterable[int]) -> Runs:
    """Return the runs of a set of tokens, given in any order, repeats allowed.

    >>> runs_from_tokens([5, 0, 1, 2])
    (0, 2, 5, 5)
    """
    flat: list[int] = []
    for token in sorted(set(tokens)):
        if flat and flat[-1] + 1 == token:
            flat[-1] = token
        else:
            flat += (token, token)
    return tuple(flat)


def runs_from_mask(mask: Iterable[bool]) -> Runs:
    """Return the runs of the tokens at which `mask` is true.

    >>> runs_from_mask([True, True, False, True])
    (0, 1, 3, 3)
    """
    return runs_from_tokens(token for token, inside in enumerate(mask) if inside)


def run_tokens(runs: Runs) -> tuple[int, ...]:
    """Return the tokens of `runs` in increasing order.

    >>> run_tokens((0, 2, 5, 5))
    (0, 1, 2, 5)
    """
    return tuple(token for low, high in run_pairs(runs) for token in range(low, high + 1))


def run_size(runs: Runs) -> int:
    """Return the number of tokens in `runs`.

    >>> run_size((0, 2, 5, 5))
    4
    """
    return sum(runs[1::2]) - sum(runs[::2]) + len(runs) // 2


def run_intersection(first: Runs, second: Runs) -> Runs:
    """Return the runs of the tokens that are in both.

    >>> run_intersection((0, 2, 5, 9), (2, 6))
    (2, 2, 5, 6)
    """
    flat: list[int] = []
    i = j = 0
    while i < len(first) and j < len(second):
        low, high = max(first[i], second[j]), min(first[i + 1], second[j + 1])
        if low <= high:
            flat += (low, high)
        if first[i + 1] < second[j + 1]:
            i += 2
        else:
            j += 2
    return tuple(flat)


def run_mask(runs: Runs) -> int:
    """Return the integer whose bit t is set for each token t of `runs`: sets meet if ``a & b`` is not 0.

    >>> bin(run_mask((0, 2, 5, 5)))
    '0b100111'
    """
    return sum((2 << high) - (1 << low) for low, high in run_pairs(runs))


def run_pairs(runs: Runs) -> Iterator[tuple[int, int]]:
    return zip(runs[::2], runs[1::2], strict=True)


def run_has(runs: Runs, token: int) -> bool:
    return any(low <= token <= high for low, high in run_pairs(runs))


def check_int(value: object, name: str, low: int, high: int | None = None) -> None:
    if type(value) is not int:
        raise TypeError(f"{name}={value!r} must be an int")
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name}={value} must be {bounds}")


def check_task(k: object, vocab: object) -> None:
    """Raise unless `k` positions and `vocab` tokens are a task whose sequences can be counted in a file."""
    check_int(k, "k", 1, 4096)
    check_int(vocab, "vocab", 1, 4096)
    if isinstance(k, int) and isinstance(vocab, int) and k * vocab.bit_length() > 13_000:
        raise ValueError(f"k={k}, vocab={vocab}: more than 10^3900 sequences")


def check_runs(runs: object, name: str) -> None:
    if not isinstance(runs, tuple) or len(runs) % 2:
        raise TypeError(f"{name}={runs!r} must be a tuple of inclusive ranges (a0, b0, a1, b1, …)")
    previous = -2
    for low, high in run_pairs(runs):
        if type(low) is not int or type(high) is not int:
            raise TypeError(f"{name}={runs!r} must hold ints")
        if not previous + 1 < low <= high:
            raise ValueError(f"{name}={runs!r} is not in canonical form; use runs_from_tokens")
        previous = high


def check_dyadic(value: object, name: str) -> None:
    if type(value) is not float:
        raise TypeError(f"{name}={value!r} must be a float")
    if not math.isfinite(value):
        raise ValueError(f"{name}={value} must be finite")


def positive_zero(value: float) -> float:
    return value + 0.0 if type(value) is float else value  # -0.0 and 0.0 must not have two spellings
