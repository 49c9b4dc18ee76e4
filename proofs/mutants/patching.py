"""How a mutant is planted: functions of the real strategy are exchanged while it searches and verifies.

The search is planted too, so that it finds the witness on which the unsound step shows. Nothing of the
strategies' own code is repeated here.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from certkit.certificate import CertifiedSet
from proofs.model import Model
from proofs.strategy import AnyStrategy, Family, find


@attrs.frozen
class Patch:
    """One function exchanged for another.

    Attributes:
        target: ``module:attribute`` or ``module:Class.attribute``.
        replace: makes the replacement from the original.
    """

    target: str
    replace: Callable[[Any], Any]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The replacement in place, for the time of the block."""
        module, path = self.target.split(":")
        *owners, name = path.split(".")
        holder: Any = importlib.import_module(module)
        for owner in owners:
            holder = getattr(holder, owner)
        original = holder.__dict__[name] if isinstance(holder, type) else getattr(holder, name)
        setattr(holder, name, self.replace(original))
        try:
            yield
        finally:
            setattr(holder, name, original)


@attrs.frozen
class Mutant:
    """An unsound variant of a strategy.

    Attributes:
        name: what it does wrong, in a few words; unique.
        strategy: the strategy it is a variant of.
        why: the inequality it breaks.
        patches: what is exchanged.
    """

    name: str
    strategy: str
    why: str
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """The mutant in place of the original, for the time of the block."""
        with contextlib.ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(patch.applied())
            yield


@attrs.frozen
class Planted:
    """The mutant as a strategy."""

    mutant: Mutant

    @property
    def original(self) -> AnyStrategy:
        """The sound strategy."""
        return find(self.mutant.strategy)

    @property
    def name(self) -> str:
        """A name of its own."""
        return f"mutant-{self.mutant.name.replace(' ', '-')}"

    @property
    def version(self) -> int:
        """That of the original."""
        return self.original.version

    @property
    def family(self) -> Family:
        """It is none of ours."""
        return Family.PLUG_IN

    def search(self, model: Model) -> Any:
        """The witness the mutant likes best."""
        with self.mutant.planted():
            return self.original.search(model)

    def verify(self, model: Model, witness: Any) -> CertifiedSet:
        """The mutant's content."""
        with self.mutant.planted():
            return self.original.verify(model, witness)
