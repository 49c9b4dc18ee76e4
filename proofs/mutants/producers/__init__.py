"""The unsound variants: one wrong step each."""

from proofs.mutants.patching import Mutant
from proofs.mutants.producers.arithmetic import arithmetic_mutants
from proofs.mutants.producers.counting import counting_mutants
from proofs.mutants.producers.pool import pool_mutants
from proofs.mutants.producers.published import published_mutants
from proofs.mutants.producers.separable import separable_mutants
from proofs.mutants.producers.union import union_mutants

__all__ = ["PRODUCERS"]

PRODUCERS: tuple[Mutant, ...] = (
    *arithmetic_mutants(),
    *counting_mutants(),
    *published_mutants(),
    *separable_mutants(),
    *pool_mutants(),
    *union_mutants(),
)
"""Every mutant."""
