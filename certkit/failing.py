"""Content that bounds how many sequences of a class (q, m) fail, from above and perhaps from below.

A wrong token x is in some row, or never fails in the class: it never has ``logit[x] ≥ logit[m]`` there. Tails
and counts are about one token each. Bounds are counts for groups of tokens, and may leave out what fails for
a token of an earlier bound. A pool is one number for the tails of all tokens together.
``docs/reference/certificate-format.md`` defines and proves all four.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs

from certkit.runs import Runs, check_dyadic, check_int, check_runs, positive_zero

__all__ = [
    "Bound",
    "BoundContent",
    "Count",
    "CountContent",
    "PoolContent",
    "Tail",
    "TailContent",
    "class_size",
    "covered_outputs",
    "round_up_32",
]

MAX_LEVELS = 64
"""So many multipliers a pool may have."""


def round_up_32(count: int) -> int:
    """Return the least integer ``≥ count`` with at most 32 significant bits (``count ≥ 0``).

    >>> round_up_32(2**40 + 1) - 2**40
    512
    """
    check_int(count, "count", 0)
    shift = max(0, count.bit_length() - 32)
    # Rounding up may carry into a 33rd bit, but then the 32 bits below it are 0.
    return -(-count >> shift) << shift


def class_size(q: int, m: int, k: int) -> int:
    """Return N(q,m), the number of sequences with query `q` and maximum `m`.

    ``(m+1)^(k-1) − [q<m]·m^(k-1)``: if the query is m, the other tokens are any of the m+1; if it is not,
    at least one of them must be m.

    >>> class_size(2, 2, 3), class_size(0, 2, 3)
    (9, 5)
    """
    return int((m + 1) ** (k - 1) - (m ** (k - 1) if q < m else 0))


@attrs.frozen
class Tail:
    """At most `failing_at_most` sequences of the class have ``logit[x] ≥ logit[m]``, shown by `multiplier`.

    `failing_at_most` has at most 32 significant bits (`round_up_32`).
    """

    x: int
    multiplier: float = attrs.field(converter=positive_zero)
    failing_at_most: int

    def __attrs_post_init__(self) -> None:
        check_int(self.x, "x", 0)
        check_dyadic(self.multiplier, "multiplier")
        if not self.multiplier >= 0:
            raise ValueError(f"multiplier={self.multiplier} must be at least 0: a negative one is unsound")
        check_int(self.failing_at_most, "failing_at_most", 0)
        if round_up_32(self.failing_at_most) != self.failing_at_most:
            raise ValueError(
                f"failing_at_most={self.failing_at_most} has more than 32 significant bits; use round_up_32"
            )


@attrs.frozen
class Count:
    """Between `failing_at_least` and `failing_at_most` sequences of the class have ``logit[x] ≥ logit[m]``.

    `width` > 0 and `offset` (any finite number) fix the bins in which the auditor recounts, in units of
    ``exp(shift)`` of the `CountContent`; ``docs/reference/certificate-format.md`` defines and proves them.
    """

    x: int
    width: float
    offset: float = attrs.field(converter=positive_zero)
    failing_at_most: int
    failing_at_least: int

    def __attrs_post_init__(self) -> None:
        check_int(self.x, "x", 0)
        check_dyadic(self.width, "width")
        check_dyadic(self.offset, "offset")
        if not self.width > 0:
            raise ValueError(f"width={self.width} must be above 0")
        check_int(self.failing_at_most, "failing_at_most", 0)
        check_int(self.failing_at_least, "failing_at_least", 0, self.failing_at_most)


def _check_class(q: int, m: int, shift: float) -> None:
    check_int(m, "m", 0)
    check_int(q, "q", 0, m)
    check_dyadic(shift, "shift")


def _check_rows(rows: Sequence[Tail] | Sequence[Count], m: int) -> None:
    previous = -1
    for row in rows:
        if row.x <= previous or row.x == m:
            raise ValueError(f"x={row.x} after {previous} (m={m}): rows need increasing x ≠ m")
        previous = row.x


@attrs.frozen
class Bound:
    """At most `failing_at_most` sequences fail for one of `outputs` and for no output of an earlier bound.

    They are counted in bins of `width` and `offset`, as in a `Count`, with the largest term of the outputs
    for each position and token. With a `meet` (y, k), where y is an output of an earlier bound, sequences are
    left out that fail for y, as ``k/64`` of its terms show in the same bins. `failing_at_least` sequences
    fail; only a bound of one output without a meet can say so.
    """

    outputs: tuple[int, ...]
    meet: tuple[int, int] | None
    width: float
    offset: float = attrs.field(converter=positive_zero)
    failing_at_most: int
    failing_at_least: int = 0

    def __attrs_post_init__(self) -> None:
        for x in self.outputs:
            check_int(x, "x", 0)
        if not self.outputs or any(a >= b for a, b in pairwise(self.outputs)):
            raise ValueError(f"outputs={self.outputs} must be tokens in increasing order")
        if self.meet is not None:
            y, multiple = self.meet
            check_int(y, "meet", 0)
            check_int(multiple, "multiple of a meet", 1)
        Count(0, self.width, self.offset, self.failing_at_most, self.failing_at_least)
        if self.failing_at_least and (len(self.outputs) > 1 or self.meet is not None):
            raise ValueError(f"failing_at_least={self.failing_at_least} needs one output and no meet")


@attrs.frozen
class TailContent:
    """Tails of one class (q, m); a wrong token without a row never beats m there.

    All f of Identity 1 are divided by ``exp(shift)``; any value is sound, a good one keeps multipliers small.
    """

    q: int
    m: int
    shift: float = attrs.field(converter=positive_zero)
    tails: tuple[Tail, ...]

    def __attrs_post_init__(self) -> None:
        _check_class(self.q, self.m, self.shift)
        _check_rows(self.tails, self.m)

    def check(self, k: int, vocab: int) -> None:
        """Raise unless the content fits a task with `k` positions and `vocab` tokens."""
        if self.tails:
            check_int(self.tails[-1].x, "x", 0, vocab - 1)

    def correct_at_least(self, k: int) -> int:
        """Return max(0, N(q,m) − Σ_x failing_at_most): a union fails at most as often as its parts do."""
        return max(0, class_size(self.q, self.m, k) - sum(tail.failing_at_most for tail in self.tails))

    def failing_at_least(self, k: int) -> int:
        """Return 0: a tail bounds failures from above only."""
        return 0


@attrs.frozen
class CountContent:
    """Two-sided counts of one class (q, m); a wrong token without a row never beats m there.

    All f of Identity 1 are divided by ``exp(shift)`` before they are binned.
    """

    q: int
    m: int
    shift: float = attrs.field(converter=positive_zero)
    counts: tuple[Count, ...]

    def __attrs_post_init__(self) -> None:
        _check_class(self.q, self.m, self.shift)
        _check_rows(self.counts, self.m)

    def check(self, k: int, vocab: int) -> None:
        """Raise unless the content fits a task with `k` positions and `vocab` tokens."""
        if self.counts:
            check_int(self.counts[-1].x, "x", 0, vocab - 1)

    def correct_at_least(self, k: int) -> int:
        """Return max(0, N(q,m) − Σ_x failing_at_most)."""
        return max(0, class_size(self.q, self.m, k) - sum(count.failing_at_most for count in self.counts))

    def failing_at_least(self, k: int) -> int:
        """Return max_x failing_at_least: a union fails at least as often as each part."""
        return max((count.failing_at_least for count in self.counts), default=0)


@attrs.frozen
class BoundContent:
    """Bounds of one class (q, m), in an order that counts; an output in none of them never beats m there.

    A failing sequence is counted by the first bound that has an output it fails for. All f of Identity 1 are
    divided by ``exp(shift)``.
    """

    q: int
    m: int
    shift: float = attrs.field(converter=positive_zero)
    bounds: tuple[Bound, ...]

    def __attrs_post_init__(self) -> None:
        _check_class(self.q, self.m, self.shift)
        before: set[int] = set()
        for bound in self.bounds:
            if before & set(bound.outputs) or self.m in bound.outputs:
                raise ValueError(f"outputs={bound.outputs} must not occur before, nor hold m={self.m}")
            if bound.meet is not None and bound.meet[0] not in before:
                raise ValueError(f"meet={bound.meet} must be with an output of an earlier bound")
            before.update(bound.outputs)

    def check(self, k: int, vocab: int) -> None:
        """Raise unless the content fits a task with `k` positions and `vocab` tokens."""
        for bound in self.bounds:
            check_int(bound.outputs[-1], "x", 0, vocab - 1)

    def correct_at_least(self, k: int) -> int:
        """Return max(0, N(q,m) − Σ failing_at_most)."""
        return max(0, class_size(self.q, self.m, k) - sum(bound.failing_at_most for bound in self.bounds))

    def failing_at_least(self, k: int) -> int:
        """Return the largest failing_at_least of a bound."""
        return max((bound.failing_at_least for bound in self.bounds), default=0)


@attrs.frozen
class PoolContent:
    """At most `failing_at_most` sequences of one class (q, m) fail, by a tail for each wrong token.

    Each wrong token has the best of `levels` multipliers ``multiplier·(1, 2, 3, 4, 6, 8, …)``. The tokens of
    `light`, below m and of little attention, share one power. All f of Identity 1 are divided by
    ``exp(shift)``. `failing_at_most` has at most 32 significant bits (`round_up_32`).
    """

    q: int
    m: int
    shift: float = attrs.field(converter=positive_zero)
    light: Runs
    multiplier: float = attrs.field(converter=positive_zero)
    levels: int
    failing_at_most: int

    def __attrs_post_init__(self) -> None:
        _check_class(self.q, self.m, self.shift)
        check_runs(self.light, "light")
        if self.light and self.light[-1] >= self.m:
            raise ValueError(f"light={self.light} must lie below m={self.m}")
        Tail(0, self.multiplier, self.failing_at_most)
        check_int(self.levels, "levels", 1, MAX_LEVELS)

    def check(self, k: int, vocab: int) -> None:
        """Every pool fits: it is about all wrong tokens there are."""

    def correct_at_least(self, k: int) -> int:
        """Return max(0, N(q,m) − failing_at_most)."""
        return max(0, class_size(self.q, self.m, k) - self.failing_at_most)

    def failing_at_least(self, k: int) -> int:
        """Return 0: a tail bounds failures from above only."""
        return 0


def covered_outputs(
    content: TailContent | CountContent | BoundContent | PoolContent, vocab: int
) -> Iterator[int]:
    """Yield the outputs that have a row; the others never fail in the class."""
    if isinstance(content, PoolContent):
        yield from (x for x in range(vocab) if x != content.m)
    elif isinstance(content, BoundContent):
        for bound in content.bounds:
            yield from bound.outputs
    else:
        rows: Sequence[Tail] | Sequence[Count]
        rows = content.tails if isinstance(content, TailContent) else content.counts
        yield from (row.x for row in rows)
