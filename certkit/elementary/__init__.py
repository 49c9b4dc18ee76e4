"""Elementary functions with proved bounds, from trusted operations only.

``<name>_bounds(lo, hi)`` takes float64 tensors of one shape with ``lo ≤ hi`` (infinite ends welcome, no
NaN) and returns bounds of the function over these boxes.  The derivation of every error bound is in
docs/explanation/elementary.md.
"""

from certkit.elementary.error_function import erf_bounds
from certkit.elementary.exponential import exp_bounds
from certkit.elementary.hyperbolic import expm1_bounds, sigmoid_bounds, tanh_bounds
from certkit.elementary.logarithm import log_bounds
from certkit.elementary.logarithm1p import log1p_bounds
from certkit.elementary.power import pow_bounds
from certkit.elementary.reductions import logsumexp, softmax
from certkit.elementary.trigonometric import cos_bounds, sin_bounds

__all__ = [
    "cos_bounds",
    "erf_bounds",
    "exp_bounds",
    "expm1_bounds",
    "log1p_bounds",
    "log_bounds",
    "logsumexp",
    "pow_bounds",
    "sigmoid_bounds",
    "sin_bounds",
    "softmax",
    "tanh_bounds",
]
