"""Directed rounding on float64 tensors: the only module that rounds.

Every other file asks this one for a rounded result, and the direction is in the name: ``add_down(a, b)`` is
the largest binary64 number that is not above the real sum, ``add_up`` the smallest that is not below it
(*tightest*). Only one thing is trusted: ``+ - * /`` of the tensor library are the correctly rounded IEEE-754
binary64 operations (to nearest, gradual underflow). No rounding mode is changed, no libm function is called;
the library's square root is a guess that is checked.

How a direction is got from round-to-nearest: let ``s`` be the rounded result and ``e`` a number with the
sign of ``exact - s``. The result rounded up is ``s`` if ``e <= 0`` and the next float above ``s`` if ``e >
0``, because rounding to nearest never jumps over a float. The number ``e`` comes from

* addition: ``two_sum``, whose error term is the exact error (no underflow is possible in an addition);
* product: ``two_prod`` (Veltkamp's splitting, Dekker's product), exact while nothing in it overflows or
  underflows;
* quotient and square root: the residuals ``a - s b`` and ``a - s s``, from ``two_prod``.

Where a split would overflow or an error term would underflow, the few elements concerned are scaled by
powers of two (exactly) and decided there. Infinite operands follow IEEE-754: the limit, and NaN where there
is none.

The work is done in `certkit._rounding`: ``kernels`` for elements of ordinary size, ``errors`` for all,
``chunks`` for the size of the pieces.

Sources: Knuth, TAOCP 2, 4.2.2; Dekker, Numer. Math. 18 (1971); Boldo, Graillat, Muller, ACM TOMS 44 (2017),
on the robustness of TwoSum.
"""

from __future__ import annotations

from torch import Tensor

from certkit._rounding import kernels
from certkit._rounding.errors import (
    MAX,
    TINY,
    U,
    fraction_down,
    fraction_up,
    fused_error,
    next_down,
    next_up,
    root_error,
    stepped_down,
    stepped_up,
    two_prod,
    two_sum,
)

__all__ = [
    "MAX",
    "TINY",
    "U",
    "add_both",
    "add_down",
    "add_up",
    "div_down",
    "div_up",
    "fma_down",
    "fma_up",
    "fraction_down",
    "fraction_up",
    "mul_both",
    "mul_down",
    "mul_up",
    "next_down",
    "next_up",
    "sqrt_down",
    "sqrt_up",
    "sub_down",
    "sub_up",
    "two_prod",
    "two_sum",
]


def add_down(a: Tensor, b: Tensor) -> Tensor:
    """Largest float64 ≤ a + b."""
    return kernels.directed(kernels.SUM, a, b, up=False)


def add_up(a: Tensor, b: Tensor) -> Tensor:
    """Least float64 ≥ a + b."""
    return kernels.directed(kernels.SUM, a, b, up=True)


def sub_down(a: Tensor, b: Tensor) -> Tensor:
    """Largest float64 ≤ a − b."""
    return kernels.directed(kernels.DIFFERENCE, a, b, up=False)


def sub_up(a: Tensor, b: Tensor) -> Tensor:
    """Least float64 ≥ a − b."""
    return kernels.directed(kernels.DIFFERENCE, a, b, up=True)


def mul_down(a: Tensor, b: Tensor) -> Tensor:
    """Largest float64 ≤ a · b."""
    return kernels.directed(kernels.PRODUCT, a, b, up=False)


def mul_up(a: Tensor, b: Tensor) -> Tensor:
    """Least float64 ≥ a · b."""
    return kernels.directed(kernels.PRODUCT, a, b, up=True)


def div_down(a: Tensor, b: Tensor) -> Tensor:
    """Largest float64 ≤ a / b. A zero divisor gives what IEEE-754 gives (the sign of the zero counts)."""
    return kernels.directed(kernels.QUOTIENT, a, b, up=False)


def div_up(a: Tensor, b: Tensor) -> Tensor:
    """Least float64 ≥ a / b. A zero divisor gives what IEEE-754 gives (the sign of the zero counts)."""
    return kernels.directed(kernels.QUOTIENT, a, b, up=True)


def add_both(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """``(add_down(a, b), add_up(a, b))`` for little more than the price of one."""
    jobs = [kernels.Job(a, b, up=False), kernels.Job(a, b, up=True)]
    (down, up), _ = kernels.rounded(kernels.SUM, jobs)
    return down, up


def mul_both(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """``(mul_down(a, b), mul_up(a, b))`` for little more than the price of one."""
    jobs = [kernels.Job(a, b, up=False), kernels.Job(a, b, up=True)]
    (down, up), _ = kernels.rounded(kernels.PRODUCT, jobs)
    return down, up


def fma_down(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Largest float64 ≤ a · b + c, rounded once."""
    return stepped_down(*fused_error(a, b, c))


def fma_up(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Least float64 ≥ a · b + c, rounded once."""
    return stepped_up(*fused_error(a, b, c))


def sqrt_down(a: Tensor) -> Tensor:
    """Largest float64 ≤ √a, for a ≥ 0."""
    return stepped_down(*root_error(a))


def sqrt_up(a: Tensor) -> Tensor:
    """Least float64 ≥ √a, for a ≥ 0."""
    return stepped_up(*root_error(a))
