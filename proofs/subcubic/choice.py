"""What the choices that make up a sub-cubic strategy have in common: a name, witness vectors and a size."""

from __future__ import annotations

import abc

from torch import Tensor

from proofs.model import Model

__all__ = ["Choice"]


class Choice(abc.ABC):
    """One part of a sub-cubic strategy, with witness vectors of its own.

    Attributes:
        name: its part of the strategy's name.
        summary: a few words for the description of a strategy.
    """

    name: str
    summary: str

    @abc.abstractmethod
    def unexplained_dimension(self, model: Model) -> int:
        """Parameters of this part that the proof treats one by one."""

    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """Shapes of the witness vectors; none unless a choice says so."""
        return ()

    def propose(self, model: Model) -> tuple[Tensor, ...]:
        """Witness vectors of these shapes. Untrusted."""
        return ()
