"""The strategies the mutants are variants of, and what a table of mutants is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from proofs.mutants.patching import Mutant, Patch

_SUB_CUBIC: Final = "EUPU-{}--attn-mean-query+diff--attn-err-{}".format

TABLES: Final = _SUB_CUBIC("max-diff-exact", "exact-EQKE+max-diff-exact")
MEAN_QUERY: Final = _SUB_CUBIC("mean-query+max-diff", "exact-EQKE+max-diff-exact")
LOW_RANK: Final = _SUB_CUBIC("mean-query+max-diff", "max-diff")
SPECTRAL: Final = _SUB_CUBIC("mean-query+max-diff", "svd")
RECURSIVE: Final = _SUB_CUBIC("mean-query+max-diff", "max-diff-subproduct-recursive")


def constant(result: Any) -> Callable[[Any], Any]:
    """Replace a function by another one, whatever it was."""
    return lambda original: result


@attrs.frozen
class Row:
    """A mutant that exchanges one function: `why` is the inequality it breaks."""

    name: str
    strategy: str
    why: str
    target: str
    change: Callable[[Any], Any]

    def mutant(self, prefix: str = "") -> Mutant:
        """The mutant itself."""
        return Mutant(prefix + self.name, self.strategy, self.why, (Patch(self.target, self.change),))
