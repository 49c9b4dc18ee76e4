"""Attention weights that neither overflow nor underflow: a significand and an integer exponent of two.

The unnormalised attention weight factorises, ``w[q,t,p] = e^EQKE[q,t] · e^EQKP[q,p]``, and spans many
orders of magnitude: normalising the two factors separately would underflow to 0/0. Here each factor is
``f · 2^k`` with an integer ``k`` near ``score / ln 2`` and ``f = e^(score − k ln 2)`` between about 0.7
and 1.42, so a product of weights keeps its relative accuracy whatever the scores. A strategy divides by
``2^r``, with r the largest exponent of the tokens it has at hand, which is exact. Any integers ``k`` and
``r`` are sound; good ones keep the numbers ordinary.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from proofs.model import Model
from proofs.paths import path_tables
from proofs.workspace import shared

_LARGEST_EXPONENT = 2.0**50
_SMALLEST_POWER = -1000


def _power_of_two(exponent: Tensor) -> Tensor:
    """``2^exponent`` exactly, for integers (as float64) from −1022 to 1023: the bit pattern is written
    down."""
    return ((exponent.to(torch.int64) + 1023) << 52).view(torch.float64)


@attrs.frozen(eq=False)
class ScaledWeights:
    """Weights ``significand · 2^exponent``.

    Attributes:
        significand: intervals.
        exponent: integers stored as float64, of the same shape.
    """

    significand: Interval
    exponent: Tensor

    def over(self, reference: Tensor) -> Interval:
        """The weights divided by ``2^reference``, which must be at least ``exponent`` (it broadcasts).

        The scaling is exact down to ``2^-1000``; smaller weights become ``[0, 2^-1000 · significand]``.

        Raises:
            ValueError: a reference below an exponent.
        """
        shift = self.exponent - reference
        if not bool((shift <= 0).all()):
            raise ValueError("reference must be at least every exponent it is subtracted from")
        factor = _power_of_two(shift.clamp(min=_SMALLEST_POWER))
        lower = torch.where(shift < _SMALLEST_POWER, 0.0, factor)
        return self.significand * Interval.hull(lower, factor)

    def __getitem__(self, index: Any) -> ScaledWeights:
        return ScaledWeights(self.significand[index], self.exponent[index])


def _scaled_exp(score: Interval) -> ScaledWeights:
    guess = (score.lo / 2 + score.hi / 2) / math.log(2.0)
    exponent = torch.nan_to_num(guess.round(), nan=0.0, posinf=torch.inf).clamp(
        -_LARGEST_EXPONENT, _LARGEST_EXPONENT
    )
    ln2 = Interval.exact(2.0).log()
    return ScaledWeights((score - Interval.exact(exponent) * ln2).exp(), exponent)


def _compute_weights(model: Model) -> ScaledWeights:
    paths = path_tables(model)
    token, position = _scaled_exp(paths.EQKE), _scaled_exp(paths.EQKP)
    return ScaledWeights(
        token.significand[:, :, None] * position.significand[:, None, :],
        token.exponent[:, :, None] + position.exponent[:, None, :],
    )


def attention_weights(model: Model) -> ScaledWeights:
    """``e^(EQKE[q,t] + EQKP[q,p])``, shape ``[V, V, K]`` (query, token, position); kept in the workspace.

    At the last position only ``t = q`` occurs; leave the others out before comparing exponents.
    """
    return shared(model, ("proofs.weights", "attention_weights"), lambda: _compute_weights(model))
