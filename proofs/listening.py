"""How far long work is, for whoever listens; nobody has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Listener", "listening", "report"]

Listener = Callable[[int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(done: int, total: int) -> None:
    """Say that so many of so many equal parts of the work at hand are done."""
    listener = _listener.get()
    if listener is not None:
        listener(done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(done, total)`` whenever work in the block says how far it is.

    >>> with listening(lambda done, total: print(f"{done}/{total}")):
    ...     report(1, 2)
    1/2
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
