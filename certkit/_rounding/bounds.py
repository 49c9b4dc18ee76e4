"""γ_k, the growth of k roundings, as an exact rational."""

from __future__ import annotations

from fractions import Fraction

_U = Fraction(1, 2**53)


def gamma(k: int) -> Fraction:
    """γ_k = k u / (1 − k u), the relative growth of k roundings."""
    if k * _U >= Fraction(1, 2):
        raise ValueError(f"k={k}: too many terms for an a-priori error bound")
    return k * _U / (1 - k * _U)
