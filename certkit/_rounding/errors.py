"""Error-free transformations, single steps, and numbers with the sign of (exact − rounded), for every
float64.

The careful half of `certkit.rounding`: right for all finite operands, zeros, subnormals and overflow
included, and with the limits of IEEE-754 for infinite ones. `certkit._rounding.kernels` is the fast half.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

U = 2.0**-53
"""Unit roundoff: a rounded result is ``exact * (1 + d)`` with ``|d| <= U``, while it does not underflow."""
TINY = 2.0**-1074
"""The least positive float64; a product that underflows is off by at most half of it."""
MAX = float.fromhex("0x1.fffffffffffffp+1023")
"""The largest finite float64."""

_SPLITTER = 2.0**27 + 1.0
SAFE_LOW = 2.0**-960  # a product at least this large has an error term that does not underflow
SAFE_HIGH = 2.0**990  # operands at most this large can be split
_EXPONENT_MASK = 0x7FF0000000000000
_ONE_BITS = 0x3FF0000000000000


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The rounded sum and its exact error: ``a + b == s + e`` in the reals.

    The error is NaN where the sum is infinite, and can be NaN where an operand is ±MAX (Boldo et al.).

    >>> s, e = two_sum(torch.tensor(1.0).double(), torch.tensor(2.0**-60).double())
    >>> s.item(), e.item() == 2.0**-60
    (1.0, True)
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _split(a: Tensor) -> tuple[Tensor, Tensor]:
    """Two halves of at most 26 bits each, ``a == high + low`` (Veltkamp); NaN where ``|a| > 2**996``."""
    c = a * _SPLITTER
    high = c - (c - a)
    return high, a - high


def two_prod(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The rounded product and its error: ``a * b == p + e`` in the reals.

    Exact if ``|a|, |b| <= 2**990`` and the product is 0 or ``2**-960 <= |a b| <= 2**1020``; outside this
    range the error can be NaN or rounded.

    >>> x = torch.tensor(1 + 2.0**-52, dtype=torch.float64)
    >>> p, e = two_prod(x, x)
    >>> e.item() == 2.0**-104
    True
    """
    p = a * b
    return p, _prod_error(a, b, p)


def _prod_error(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    a_high, a_low = _split(a)
    b_high, b_low = (a_high, a_low) if b is a else _split(b)
    return ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


# --- one float up or down ---


def _bump_up(s: Tensor, where: Tensor) -> Tensor:
    """The next float above ``s`` at the places ``where``; there ``s`` must be neither 0 nor +inf nor NaN.

    The bit pattern of a positive float, read as an integer, grows by one from float to float; of a negative
    one it shrinks. ``(bits >> 63) | 1`` is +1 for a positive float and -1 for a negative one.
    """
    bits = s.view(torch.int64)
    return (bits + ((bits >> 63) | 1) * where).view(torch.float64)


def _bump_down(s: Tensor, where: Tensor) -> Tensor:
    """The next float below ``s`` at the places ``where``; there ``s`` must be neither 0 nor -inf nor NaN."""
    bits = s.view(torch.int64)
    return (bits - ((bits >> 63) | 1) * where).view(torch.float64)


def next_up(x: Tensor) -> Tensor:
    """The least float64 above ``x``; +inf and NaN stay.

    >>> next_up(torch.tensor([0.0, 1.0, -float("inf")]).double()).tolist()[1] == 1 + 2.0**-52
    True
    """
    return torch.where(x == 0, TINY, _bump_up(x, (x < torch.inf) & (x != 0)))


def next_down(x: Tensor) -> Tensor:
    """The largest float64 below ``x``; -inf and NaN stay."""
    return -next_up(-x)


def stepped_up(s: Tensor, error: Tensor) -> Tensor:
    """``s`` or the float above it, by the sign of ``error`` (that of exact − s)."""
    bumped = _bump_up(s, error > 0)
    return torch.where((s == 0) & (error > 0), TINY, bumped)


def stepped_down(s: Tensor, error: Tensor) -> Tensor:
    """``s`` or the float below it, by the sign of ``error`` (that of exact − s)."""
    bumped = _bump_down(s, error < 0)
    return torch.where((s == 0) & (error < 0), -TINY, bumped)


# --- exact scaling by powers of two ---


def _mantissa_exponent(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x == mantissa * 2**exponent`` with ``1 <= |mantissa| < 2``, for finite x other than 0."""
    subnormal = x.abs() < 2.0**-1022
    scaled = torch.where(subnormal, x * 2.0**54, x)
    bits = scaled.view(torch.int64)
    exponent = ((bits & _EXPONENT_MASK) >> 52) - 1023 - 54 * subnormal
    return ((bits & ~_EXPONENT_MASK) | _ONE_BITS).view(torch.float64), exponent


def _power_of_two(k: Tensor) -> Tensor:
    """``2.0**k`` for ``-1022 <= k <= 1023``."""
    return ((k + 1023) << 52).view(torch.float64)


def _scaled_back(s: Tensor, k: Tensor) -> Tensor:
    """``s * 2**-k`` exactly, for ``s`` 0 or of magnitude between about ``2**(k-1)`` and ``2**(k+2)``."""
    k = torch.where(s == 0, 0, k)
    half = k >> 1
    return (s * _power_of_two(-half)) * _power_of_two(half - k)


def _patch(error: Tensor, mask: Tensor, exact_error: Tensor) -> Tensor:
    out = error.clone()
    out[mask] = exact_error
    return out


def _same_shape(*tensors: Tensor) -> list[Tensor]:
    return list(torch.broadcast_tensors(*tensors))


# --- numbers with the sign of (exact - rounded) ---


def sum_error(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    s, e = two_sum(a, b)
    if bool(torch.isfinite(e.sum())):
        return s, e
    a, b = _same_shape(a, b)
    mask = torch.isnan(e)
    return s, _patch(e, mask, _sum_error_near_overflow(a[mask], b[mask], s[mask]))


def _sum_error_near_overflow(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """Halved operands cannot overflow. One below 1 is kept: it is below half an ulp of the other anyway."""
    half_a = torch.where(a.abs() > 1, a * 0.5, a)
    half_b = torch.where(b.abs() > 1, b * 0.5, b)
    _, e = two_sum(half_a, half_b)
    e = torch.where(torch.isinf(s), -s, e)
    genuine = torch.isinf(a) | torch.isinf(b)
    return torch.where(genuine, 0.0, e)


def product_error(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    s = a * b
    e = _prod_error(a, b, s)
    least, _ = torch.aminmax(s.abs()) if s.numel() else (torch.ones(()), None)
    if bool((least >= SAFE_LOW) & torch.isfinite(e.sum())):
        return s, e
    a, b = _same_shape(a, b)
    mask = ~((s.abs() >= SAFE_LOW) & torch.isfinite(e))
    return s, _patch(e, mask, _product_error_scaled(a[mask], b[mask], s[mask]))


def _product_error_scaled(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """The mantissas' product ``p + e`` against ``s`` scaled alike; ``p - s'`` is exact by Sterbenz' lemma."""
    plain = (a != 0) & (b != 0) & torch.isfinite(a) & torch.isfinite(b)
    mantissa_a, exponent_a = _mantissa_exponent(torch.where(plain, a, 1.0))
    mantissa_b, exponent_b = _mantissa_exponent(torch.where(plain, b, 1.0))
    p, e = two_prod(mantissa_a, mantissa_b)
    finite = plain & torch.isfinite(s)
    scaled = _scaled_back(torch.where(finite, s, 0.0), exponent_a + exponent_b)
    error = (p - scaled) + e
    error = torch.where(torch.isinf(s), -s, error)
    return torch.where(plain, error, 0.0)


def quotient_error(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    s = a / b
    p, e = two_prod(s, b)
    residual = (a - p) - e
    error = torch.where(b < 0, -residual, residual)
    size = torch.minimum(s.abs(), a.abs())
    safe = (size >= SAFE_LOW) & (s.abs() <= SAFE_HIGH) & (b.abs() <= SAFE_HIGH) & torch.isfinite(error)
    if bool(safe.all()):
        return s, error
    a, b = _same_shape(a, b)
    mask = ~safe
    return s, _patch(error, mask, _quotient_error_scaled(a[mask], b[mask], s[mask]))


def _quotient_error_scaled(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    plain = (a != 0) & (b != 0) & torch.isfinite(a) & torch.isfinite(b)
    mantissa_a, exponent_a = _mantissa_exponent(torch.where(plain, a, 1.0))
    mantissa_b, exponent_b = _mantissa_exponent(torch.where(plain, b, 1.0))
    finite = plain & torch.isfinite(s)
    scaled = _scaled_back(torch.where(finite, s, 0.0), exponent_a - exponent_b)
    p, e = two_prod(scaled, mantissa_b)
    residual = (mantissa_a - p) - e
    error = torch.where(mantissa_b < 0, -residual, residual)
    error = torch.where(torch.isinf(s), -s, error)
    return torch.where(plain, error, 0.0)


def _root_residual(a: Tensor, root: Tensor) -> Tensor:
    small, large = a < SAFE_LOW, a > SAFE_HIGH
    root = torch.where(small, root * 2.0**100, torch.where(large, root * 2.0**-100, root))
    square = torch.where(small, a * 2.0**200, torch.where(large, a * 2.0**-200, a))
    p, e = two_prod(root, root)
    return (square - p) - e


def root_error(a: Tensor) -> tuple[Tensor, Tensor]:
    s = torch.sqrt(a)  # a guess (MKL's is not correctly rounded): moved until s² ≤ a < next_up(s)²
    fixed = torch.isinf(a) | (a == 0) | torch.isnan(s)
    while True:
        error = torch.where(fixed, 0.0, _root_residual(a, s))
        above = error < 0
        below = ~(fixed | above | (_root_residual(a, next_up(s)) < 0))
        if not bool((above | below).any()):
            return s, error
        s = torch.where(above, next_down(s), torch.where(below, next_up(s), s))


def fused_error(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """``a b + c`` as ``s`` and a number with the sign of the rest.

    ``a b + c = p + e + c`` exactly; three error-free sums put the three numbers in order of size, after
    which ``s`` is within half a gap of the sum, up to a part that is smaller by 2**-50.
    """
    p, e = two_prod(a, b)
    t, f = two_sum(p, c)
    v, w = two_sum(f, e)
    z, y = two_sum(t, v)
    y, w = two_sum(y, w)
    s, y = two_sum(z, y)
    error = y + w
    a, b, c, p = _same_shape(a, b, c, p)
    exact_zero = (a == 0) | (b == 0)
    safe = (exact_zero | (p.abs() >= SAFE_LOW)) & (p.abs() <= SAFE_HIGH) & (c.abs() <= SAFE_HIGH)
    safe = safe & torch.isfinite(error)
    if bool(safe.all()):
        return s, error
    s, error = s.clone(), error.clone()
    rare = ~safe
    s[rare], error[rare] = _fused_error_by_rationals(a[rare], b[rare], c[rare])
    return s, error


def _fused_error_by_rationals(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The same for the few elements at the ends of the range, one by one; infinite operands as IEEE-754."""
    rounded, signs = [], []
    for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
            rounded.append(x * y + z)
            signs.append(0.0)
            continue
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        below = fraction_down(exact)
        rounded.append(below)
        signs.append(0.0 if math.isfinite(below) and Fraction(below) == exact else 1.0)
    return a.new_tensor(rounded), a.new_tensor(signs)


def fraction_up(value: Fraction) -> float:
    """Least float64 ≥ a rational; decided by comparing rationals (``float(Fraction)`` rounds to nearest)."""
    if value > Fraction(MAX):
        return torch.inf
    nearest = torch.tensor(float(max(value, -Fraction(MAX))), dtype=torch.float64)
    return (next_up(nearest) if Fraction(nearest.item()) < value else nearest).item()


def fraction_down(value: Fraction) -> float:
    """Largest float64 ≤ a rational."""
    return -fraction_up(-value)
