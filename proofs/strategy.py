"""What a strategy is, and where strategies are found.

A strategy proves a lower bound on the number of sequences a model gets right, in two functions that never
mix:

* ``search(model)`` finds a *witness* with any float trick it likes. It is not trusted and its cost does
  not count.
* ``verify(model, witness)`` turns model and witness into certified content, in outward-rounded arithmetic
  only. It is sound for **every** witness: a bad one can only make the bound worse, and one outside the
  stated ranges raises `WitnessError`. The operations it executes are the cost of the proof.

Adding a strategy takes one file, which offers ``STRATEGIES`` (an iterable of strategies), and one line: in
``_BUILT_IN`` below, or, in another package, an entry point of the group ``certkit.strategies``. The
command line, the sweep, the conformance tests and the documentation find it there. An outside strategy
says ``Family.PLUG_IN``.

A strategy object proves under exactly one semantics. A strategy that can prove under both is offered
twice, under one name; `find` picks by name and semantics.
"""

from __future__ import annotations

import difflib
import enum
import fnmatch
import functools
import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from certkit.certificate import CertifiedSet
from proofs.model import Model

ENTRY_POINT_GROUP: Final = "certkit.strategies"

W = TypeVar("W")


class Family(enum.StrEnum):
    """Where a strategy comes from."""

    PUBLISHED = "published"
    SEPARABLE = "separable"
    PLUG_IN = "plug-in"


class ComplexityClass(enum.StrEnum):
    """How the cost of verification grows with the vocabulary, apart from multiplying out the EVOU table
    (V²d)."""

    BRUTE_FORCE = "brute-force"
    """V^(K+1) or a count of sequences."""
    QUARTIC = "quartic"
    CUBIC = "cubic"
    SUB_CUBIC = "sub-cubic"
    LOW_RANK = "low-rank"
    QUADRATIC = "quadratic"


class Semantics(enum.StrEnum):
    """What a claim is about."""

    REAL = "real"
    """The weights as exact reals, everything else in real arithmetic."""
    FLOAT32 = "float32"
    """The model as executed in IEEE binary32."""


class StrategyError(ValueError):
    """A strategy that is unknown, badly registered, or that cannot prove anything about this model."""


class Strategy(Protocol[W]):
    """A way to prove something about a model; ``W`` is the (frozen attrs) class of its witness.

    Attributes:
        name: unique together with ``semantics``; letters, digits, ``-`` and ``+``.
        version: raised whenever the same model and witness may give other certified content.
        family: published, separable, or plug-in for everything from outside.
        complexity_class: how verification grows with the vocabulary.
        semantics: the one semantics it proves under.
        description: one line for people.
        witness_type: the class ``W``.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def family(self) -> Family: ...
    @property
    def complexity_class(self) -> ComplexityClass: ...
    @property
    def semantics(self) -> Semantics: ...
    @property
    def description(self) -> str: ...
    @property
    def witness_type(self) -> type[W]: ...

    def search(self, model: Model) -> W:
        """Find a witness for ``model``. Untrusted: any result is acceptable to ``verify``.

        Raises:
            StrategyError: the model is out of reach of this strategy; the message names another one.
        """
        ...

    def verify(self, model: Model, witness: W) -> CertifiedSet:
        """The content this witness certifies for ``model``; every sequence in it is classified correctly.

        Raises:
            WitnessError: a witness value has the wrong shape or type, or is outside its range.
            StrategyError: the model is out of reach of this strategy.
        """
        ...

    def unexplained_dimension(self, model: Model) -> int:
        """Number of real parameters of the model's behaviour that the proof leaves uncompressed."""
        ...


AnyStrategy = Strategy[Any]

_BUILT_IN: Final = (
    "proofs.brute_force:STRATEGIES",
    "proofs.cubic:STRATEGIES",
    "proofs.subcubic:STRATEGIES",
    "proofs.separable:STRATEGIES",
)
"""The strategies of this package, one line each: ``module:name of an iterable of strategies``."""

_NAME = re.compile(r"[A-Za-z0-9]+([+-]+[A-Za-z0-9]+)*")


def checked(strategies: Iterable[AnyStrategy], source: str, *, built_in: bool) -> tuple[AnyStrategy, ...]:
    """``strategies`` after checking what the registry relies on; ``source`` is named in messages.

    Raises:
        StrategyError: a bad name or version, or a family that is not open to outside packages.
    """
    result = tuple(strategies)
    for strategy in result:
        if not _NAME.fullmatch(strategy.name) or strategy.name in {"all", *Family}:
            raise StrategyError(
                f"{source}: bad strategy name {strategy.name!r}; use letters, digits, '-' and '+', "
                f"and none of the reserved words all, {', '.join(Family)}"
            )
        if strategy.version < 1:
            raise StrategyError(
                f"{source}: strategy {strategy.name!r} has version {strategy.version}; use at least 1"
            )
        if (strategy.family is Family.PLUG_IN) is built_in:
            raise StrategyError(
                f"{source}: strategy {strategy.name!r} has family {strategy.family}; "
                "strategies from outside this package use Family.PLUG_IN, and only they do"
            )
    return result


def _load(entry: importlib.metadata.EntryPoint, *, built_in: bool) -> tuple[AnyStrategy, ...]:
    try:
        offered = entry.load()
    except (ImportError, AttributeError) as error:
        raise StrategyError(
            f"cannot load the strategies of {entry.value!r} ({error}); repair or uninstall that package"
        ) from error
    return checked(offered, entry.value, built_in=built_in)


@functools.cache
def strategies() -> tuple[AnyStrategy, ...]:
    """Every registered strategy: this package's own in order, then those of entry points.

    Raises:
        StrategyError: a registration is broken, or two strategies share name and semantics.
    """
    own = [importlib.metadata.EntryPoint("built-in", value, ENTRY_POINT_GROUP) for value in _BUILT_IN]
    outside = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    found = [strategy for entry in own for strategy in _load(entry, built_in=True)]
    found += [strategy for entry in outside for strategy in _load(entry, built_in=False)]
    seen: set[tuple[str, Semantics]] = set()
    for strategy in found:
        key = (strategy.name, strategy.semantics)
        if key in seen:
            raise StrategyError(
                f"two strategies are called {strategy.name!r} ({strategy.semantics}); rename one"
            )
        seen.add(key)
    return tuple(found)


def _unknown(pattern: str, semantics: Semantics, known: Sequence[str]) -> StrategyError:
    elsewhere = sorted({str(s.semantics) for s in strategies() if fnmatch.fnmatchcase(s.name, pattern)})
    if elsewhere:
        return StrategyError(
            f"strategy {pattern!r} does not prove under semantics {semantics!s}; it does under "
            + ", ".join(elsewhere)
        )
    hint = did_you_mean(pattern, known) or "certkit strategies lists them all"
    return StrategyError(f"unknown strategy {pattern!r}; {hint}")


def did_you_mean(pattern: str, known: Sequence[str]) -> str:
    """The question after the names nearest to a pattern that names nothing, empty if none is near.

    >>> did_you_mean("cubick", ["cubic", "separable-tail"])
    "did you mean 'cubic'?"
    """
    near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def matches(name: str, family: str, pattern: str) -> bool:
    """Whether ``pattern``, as `select` reads it, names a strategy of this name and family, registered or not.

    >>> matches("cubic", "published", "cub*"), matches("cubic", "published", "separable")
    (True, False)
    """
    if pattern in {"all", *Family}:
        return pattern in {"all", family}
    return fnmatch.fnmatchcase(name, pattern)


def select(patterns: Iterable[str], semantics: Semantics | str = Semantics.REAL) -> tuple[AnyStrategy, ...]:
    """The strategies any of ``patterns`` names, in registry order, each once.

    A pattern is a name, a glob (``*``, ``?``, ``[…]``), a family (``published``, ``separable``,
    ``plug-in``), or ``all``.

    Raises:
        StrategyError: a pattern that names no strategy of these semantics; the message suggests near names.

    >>> [strategy.name for strategy in select(["brute*", "cubic"])]
    ['brute-force', 'cubic']
    """
    wanted = parse_semantics(semantics)
    pool = [strategy for strategy in strategies() if strategy.semantics is wanted]
    chosen: set[str] = set()
    for pattern in patterns:
        names = {strategy.name for strategy in pool if matches(strategy.name, strategy.family, pattern)}
        if not names:
            raise _unknown(pattern, wanted, sorted({strategy.name for strategy in pool}))
        chosen |= names
    return tuple(strategy for strategy in pool if strategy.name in chosen)


def find(name: str, semantics: Semantics | str = Semantics.REAL) -> AnyStrategy:
    """The strategy called exactly ``name`` that proves under ``semantics``.

    Raises:
        StrategyError: there is none; the message suggests near names.

    >>> find("cubick")
    Traceback (most recent call last):
    proofs.strategy.StrategyError: unknown strategy 'cubick'; did you mean 'cubic'?
    """
    wanted = parse_semantics(semantics)
    for strategy in strategies():
        if strategy.name == name and strategy.semantics is wanted:
            return strategy
    raise _unknown(name, wanted, sorted({s.name for s in strategies() if s.semantics is wanted}))


def parse_semantics(text: Semantics | str) -> Semantics:
    """``text`` as `Semantics`.

    Raises:
        StrategyError: not one of ``real`` and ``float32``.
    """
    if text not in set(Semantics):
        raise StrategyError(f"unknown semantics {text!r}; use {' or '.join(Semantics)}")
    return Semantics(text)
