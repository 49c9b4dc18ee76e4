"""Rigorous elementary functions against the plain torch operation in the same run, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.elementary [--elements 1000000] [--repeat 9]

Prints one line per function: seconds of the plain operation, of the interval operation on two different
ends and on points, and their ratios (CPU time, best of the repetitions); for exp also python-flint and
mpmath.iv on fewer elements.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import mpmath
import torch
from flint import arb, ctx
from torch import Tensor

from certkit import Interval, elementary

Bounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

FUNCTIONS: list[tuple[str, Callable[[Tensor], Tensor], Bounds]] = [
    ("exp", torch.exp, elementary.exp_bounds),
    ("log", torch.log, elementary.log_bounds),
    ("expm1", torch.expm1, elementary.expm1_bounds),
    ("log1p", torch.log1p, elementary.log1p_bounds),
    ("tanh", torch.tanh, elementary.tanh_bounds),
    ("sigmoid", torch.sigmoid, elementary.sigmoid_bounds),
    ("erf", torch.erf, elementary.erf_bounds),
    ("sin", torch.sin, elementary.sin_bounds),
    ("cos", torch.cos, elementary.cos_bounds),
    ("pow 3", lambda x: x**3, lambda lo, hi: elementary.pow_bounds(lo, hi, 3)),
]


def best(function: Callable[[], object], repeat: int) -> float:
    """The least CPU time of several runs."""
    least = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        function()
        least = min(least, time.process_time() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    lo = 4 * torch.rand(options.elements, generator=generator, dtype=torch.float64) + 0.1
    hi = lo + 0.1
    print(f"{options.elements} elements, torch {torch.__version__}, best of {options.repeat}")
    print(f"{'':10}{'plain':>10}{'interval':>10}{'ratio':>8}{'points':>10}{'ratio':>8}")
    for name, plain, bounds in FUNCTIONS:
        base = best(lambda f=plain: f(lo), options.repeat)
        both = best(lambda f=bounds: f(lo, hi), options.repeat)
        same = best(lambda f=bounds: f(lo, lo), options.repeat)
        print(f"{name:10}{base:10.4f}{both:10.4f}{both / base:8.1f}{same:10.4f}{same / base:8.1f}")
    rows = (lo.reshape(-1, 10), hi.reshape(-1, 10))
    base = best(lambda: torch.softmax(rows[0], -1), options.repeat)
    both = best(lambda: elementary.softmax(Interval.hull(*rows), -1), options.repeat)
    print(f"{'softmax 10':10}{base:10.4f}{both:10.4f}{both / base:8.1f}")
    fewer = lo[:2000].tolist()
    ctx.prec = 53
    balls = [arb(v) for v in fewer]
    flint_time = best(lambda: [b.exp() for b in balls], 3) / len(fewer)
    intervals = [mpmath.iv.mpf(v) for v in fewer]
    mpmath_time = best(lambda: [mpmath.iv.exp(v) for v in intervals], 3) / len(fewer)
    ours = best(lambda: elementary.exp_bounds(lo, hi), options.repeat) / options.elements
    print(f"seconds per exp: ours {ours:.2e}, python-flint {flint_time:.2e}, mpmath.iv {mpmath_time:.2e}")


if __name__ == "__main__":
    main()
