"""What a strategy, and everything built on intervals, is tested with.

`check_strategy` runs a strategy against models made to fool provers. The modules beside it hold the rest:
Hypothesis strategies for interval tensors (`certkit.testing.intervals`), tiny models
(`certkit.testing.models`), hostile witnesses, mutants, and the IEEE 1788 conformance runner.
"""

from certkit.testing.check import Finding, StrategyReport, check_strategy
from certkit.testing.zoo import Specimen, random_specimens, zoo

__all__ = ["Finding", "Specimen", "StrategyReport", "check_strategy", "random_specimens", "zoo"]
