"""The hundred sub-cubic strategies, as compositions of three choices: `proofs.subcubic.family`."""

from proofs.subcubic.family import SUB_CUBIC, SubCubic, SubCubicWitness

STRATEGIES = SUB_CUBIC
"""What the registry reads."""

__all__ = ["STRATEGIES", "SubCubic", "SubCubicWitness"]
