"""Elementary functions with proved bounds, from trusted operations only."""

from certkit.elementary.exponential import exp_bounds
from certkit.elementary.logarithm import log_bounds

__all__ = ["exp_bounds", "log_bounds"]
