"""Interval arithmetic against the plain torch operation in the same run, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.arithmetic [--elements 1000000] [--seconds 1.0]

Prints, for each operation, the plain and the interval time (CPU time, the best of as many runs as fit) and
their ratio; then the same work in python-flint and mpmath.iv, for an element, on fewer elements.
"""

from __future__ import annotations

import argparse
import operator
import time
from collections.abc import Callable
from typing import Any

import mpmath
import torch
from flint import arb, arb_mat
from torch import Tensor

from certkit import Interval, linalg

Work = Callable[[], object]


def best(work: Work, seconds: float) -> float:
    """The least CPU time of one run."""
    work()
    start = time.process_time()
    work()
    runs = max(1, int(0.01 / max(time.process_time() - start, 1e-7)))
    least, end = float("inf"), time.process_time() + seconds
    while time.process_time() < end:
        start = time.process_time()
        for _ in range(runs):
            work()
        least = min(least, (time.process_time() - start) / runs)
    return least


def narrow(*shape: int) -> Interval:
    """Random intervals of relative width about 1e-3."""
    x = torch.randn(*shape, dtype=torch.float64)
    return Interval.hull(x, x + 1e-3 * torch.rand(*shape, dtype=torch.float64))


def report(name: str, plain: Work, ours: Work, seconds: float) -> None:
    """One line of the table."""
    base, rigorous = best(plain, seconds), best(ours, seconds)
    print(f"{name:<34}{base * 1e6:>12.1f}{rigorous * 1e6:>12.1f}{rigorous / base:>8.1f}", flush=True)


def products(seconds: float) -> None:
    """Matrix products of three shapes."""
    for m, k, n in ((64, 32, 64), (256, 256, 256), (1024, 1024, 1024)):
        a, b = torch.randn(m, k, dtype=torch.float64), torch.randn(k, n, dtype=torch.float64)
        point_a, point_b, wide_a, wide_b = Interval.exact(a), Interval.exact(b), narrow(m, k), narrow(k, n)
        cases: list[tuple[str, Interval, Interval]] = [
            ("point @ point", point_a, point_b),
            ("point @ interval", point_a, wide_b),
            ("interval @ point", wide_a, point_b),
            ("interval @ interval", wide_a, wide_b),
        ]
        for name, left, right in cases:
            report(f"{name} {m}×{k}×{n}", lambda a=a, b=b: a @ b, lambda x=left, y=right: x @ y, seconds)
        if m < 1024:
            report(
                f"matmul_tight {m}×{k}×{n}",
                lambda a=a, b=b: a @ b,
                lambda a=a, b=b: linalg.matmul_tight(a, b),
                seconds,
            )


def elementwise(count: int, seconds: float) -> None:
    """Operations on vectors."""
    x, y = torch.randn(count, dtype=torch.float64), torch.randn(count, dtype=torch.float64)
    a, b = narrow(count), narrow(count)
    point, positive, divisor = Interval.exact(x), abs(narrow(count)), abs(narrow(count)) + 0.5
    cases: list[tuple[str, Callable[[Tensor, Tensor], object], Work]] = [
        ("interval + interval", torch.add, lambda: a + b),
        ("interval - interval", torch.sub, lambda: a - b),
        ("point + point", torch.add, lambda: point + point),
        ("interval * interval, mixed signs", torch.mul, lambda: a * b),
        ("interval * interval, one positive", torch.mul, lambda: a * positive),
        ("interval * point", torch.mul, lambda: a * point),
        ("interval * number", torch.mul, lambda: a * 3.0),
        ("interval / interval", torch.div, lambda: a / divisor),
        ("maximum", torch.maximum, lambda: a.maximum(b)),
    ]
    for name, plain, ours in cases:
        report(name, lambda plain=plain: plain(x, y), ours, seconds)
    report("abs", x.abs, a.abs, seconds)
    report("sqr", x.square, a.sqr, seconds)
    report("sum", x.sum, a.sum, seconds)


def others(count: int, seconds: float) -> None:
    """The same work in python-flint and mpmath.iv, microseconds for an element of the result."""
    n, size = 2000, 32
    values = torch.randn(2, n, dtype=torch.float64).tolist()
    entries = torch.randn(2, size, size, dtype=torch.float64).tolist()
    scalars: dict[str, Callable[[float], Any]] = {"python-flint": arb, "mpmath.iv": mpmath.iv.mpf}
    matrices: dict[str, Callable[[list[list[float]]], Any]] = {
        "python-flint": arb_mat,
        "mpmath.iv": mpmath.iv.matrix,
    }
    a, b, c, d = narrow(count), narrow(count), narrow(size, size), narrow(size, size)
    operations: dict[str, Callable[[Any, Any], Any]] = {
        "+": operator.add,
        "*": operator.mul,
        "/": operator.truediv,
    }
    print(f"{'microseconds an element':<34}" + "".join(f"{name:>14}" for name in ("certkit", *scalars)))
    for symbol, apply in operations.items():
        spent = [best(lambda f=apply: f(a, b), seconds) / count]
        for make in scalars.values():
            x, y = ([make(v) for v in row] for row in values)
            spent.append(best(lambda f=apply, x=x, y=y: list(map(f, x, y)), seconds) / n)
        print(f"{symbol:<34}" + "".join(f"{t * 1e6:>14.3f}" for t in spent), flush=True)
    spent = [best(lambda: c @ d, seconds) / size**2]
    for matrix in matrices.values():
        left, right = (matrix(rows) for rows in entries)
        spent.append(best(lambda x=left, y=right: x * y, seconds) / size**2)
    print(f"{f'@ {size}×{size}×{size}':<34}" + "".join(f"{t * 1e6:>14.3f}" for t in spent), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Interval arithmetic against plain torch, one thread.")
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds for each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, {options.elements} elements; microseconds, best run")
    print(f"{'':<34}{'plain':>12}{'interval':>12}{'ratio':>8}")
    products(options.seconds)
    elementwise(options.elements, options.seconds)
    others(options.elements, options.seconds)


if __name__ == "__main__":
    main()
