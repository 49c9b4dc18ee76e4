"""The separable family: proofs from Identity 1, the numerator that is a sum of one term per position.

See ``docs/explanation/separable.md`` for the mathematics, and the modules for each strategy.
"""

from typing import Final

from proofs.separable import count, exact, gap, pool, tail, union
from proofs.strategy import AnyStrategy

__all__ = ["STRATEGIES"]

STRATEGIES: Final[tuple[AnyStrategy, ...]] = (
    *exact.STRATEGIES,
    *tail.STRATEGIES,
    *pool.STRATEGIES,
    *count.STRATEGIES,
    *union.STRATEGIES,
    *gap.STRATEGIES,
)
