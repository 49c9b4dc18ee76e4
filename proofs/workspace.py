"""Work that several strategies share for one model, charged in full to each of them.

Proving many strategies of one model would compute the path tables, or the exponentials of a score table,
again and again. Inside ``with Workspace(model):`` a result asked for by `shared` is computed once and
kept. The first time a *verification* uses it, that verification is charged what it costs, whether it was
computed now or long ago; the second time it is free. So the cost of a proof is the same whether it was
made alone or together with a hundred others, and so is the time it reports (the seconds the kept result
took to compute are added).

A result that was computed from other shared results is charged with them, each once. Results must be
immutable. Search and verification never share a workspace: what a search computes is not trusted
(`proofs.proving` opens one for each). With no active workspace for the model, `shared` just computes.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Callable, Hashable, Iterator
from types import TracebackType
from typing import Any, Final, TypeVar, cast

import attrs

from certkit import cost
from certkit.cost import Cost
from proofs.model import Model

T = TypeVar("T")

_ACTIVE: Final[contextvars.ContextVar[Workspace | None]] = contextvars.ContextVar("workspace", default=None)


@attrs.frozen
class _Kept:
    """A kept result, what computing it took without the shared results it used, and which those are."""

    result: object
    spent: Cost
    seconds: float
    uses: tuple[Hashable, ...]


@attrs.define
class _Frame:
    """A computation in progress: the shared results it used, and what they added to its counter and clock."""

    uses: list[Hashable] = attrs.field(factory=list)
    spent: Cost = attrs.field(factory=Cost)
    seconds: float = 0.0


def _without(whole: Cost, part: Cost) -> Cost:
    return Cost(whole.flops - part.flops, whole.comparisons - part.comparisons, whole.int_ops - part.int_ops)


class Workspace:
    """The kept results of one model; active inside its ``with`` block.

    >>> from proofs.model import Model
    >>> import torch
    >>> one = torch.ones(1, 1)
    >>> model = Model(W_E=one, W_pos=one, W_Q=one, W_K=one, W_V=one, W_O=one, W_U=one)
    >>> with Workspace(model):
    ...     first = shared(model, ("doc", "table"), lambda: object())
    ...     second = shared(model, ("doc", "table"), lambda: object())
    >>> first is second
    True
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._kept: dict[Hashable, _Kept] = {}
        self._charged: set[Hashable] = set()
        self._frames: list[_Frame] = []
        self._borrowed_seconds = 0.0
        self._token: contextvars.Token[Workspace | None] | None = None

    def __enter__(self) -> Workspace:
        self._token = _ACTIVE.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _ACTIVE.reset(self._token)
            self._token = None

    @contextlib.contextmanager
    def verification(self) -> Iterator[Callable[[], float]]:
        """Charge shared results anew in this block.

        Yields a function that tells the seconds to add to the block's wall time for results computed
        before it.
        """
        self._charged = set()
        self._borrowed_seconds = 0.0
        yield lambda: self._borrowed_seconds

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The kept result of ``key``; computed if there is none, charged if not yet charged."""
        parent = self._frames[-1] if self._frames else None
        if parent is not None:
            parent.uses.append(key)
        with cost.counting() as seen:
            started = time.perf_counter()
            if key in self._kept:
                self._charge(key)
            else:
                self._compute(key, compute)
            elapsed = time.perf_counter() - started
        if parent is not None:
            parent.spent += seen
            parent.seconds += elapsed
        # The key determines the computation (see `shared`), hence the type.
        return cast(T, self._kept[key].result)

    def _compute(self, key: Hashable, compute: Callable[[], object]) -> None:
        frame = _Frame()
        self._frames.append(frame)
        try:
            with cost.counting() as seen:
                started = time.perf_counter()
                result = compute()
                elapsed = time.perf_counter() - started
        finally:
            self._frames.pop()
        self._charged.add(key)
        spent = _without(seen, frame.spent)
        self._kept[key] = _Kept(result, spent, elapsed - frame.seconds, tuple(frame.uses))

    def _charge(self, key: Hashable) -> None:
        if key in self._charged:
            return
        self._charged.add(key)
        kept = self._kept[key]
        cost.record(kept.spent.flops, kept.spent.comparisons, kept.spent.int_ops)
        self._borrowed_seconds += kept.seconds
        for used in kept.uses:
            self._charge(used)


def active(model: Model) -> Workspace | None:
    """The active workspace if it is one for ``model``."""
    workspace = _ACTIVE.get()
    return workspace if workspace is not None and workspace.model == model else None


def shared(model: Model, key: tuple[str, *tuple[Any, ...]], compute: Callable[[], T]) -> T:
    """The result of ``compute()``, kept in the active workspace of ``model`` under ``key``.

    The key must determine the computation: begin it with the module's name and a word of its own, and let
    it hold every argument the result depends on besides the model (hashable: numbers, strings, enums,
    tuples).

    >>> from proofs.model import Model
    >>> import torch
    >>> one = torch.ones(1, 1)
    >>> model = Model(W_E=one, W_pos=one, W_Q=one, W_K=one, W_V=one, W_O=one, W_U=one)
    >>> shared(model, ("doc", "answer"), lambda: 42)   # no workspace: just computed
    42
    """
    workspace = active(model)
    return compute() if workspace is None else workspace.get(key, compute)
