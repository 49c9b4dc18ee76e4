"""Tables on which roundings show, and what they enclose, in rationals."""

from __future__ import annotations

from fractions import Fraction

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from proofs.paths import Paths, path_tables
from proofs.separable.numerator import Query, query_tables
from tests.support.models import Kind, Sizes, tiny_model

VOCAB, K, Q = 5, 3, 1


def rational(table: Tensor, *index: int) -> Fraction:
    """One number of a table."""
    return Fraction(table[index].item())


def cancelling_tables(seed: int) -> tuple[Paths, Query]:
    """Tables whose sums cancel, so that what is lost on the way is not lost in what is left.

    Large are those of tokens and positions, or of positions and hardly those of tokens, or of queries; or
    those of tokens are all there are.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    paths = path_tables(tiny_model(Kind.SKILLED, Sizes(VOCAB, K), seed))
    far, large = 2.0**20 * drawn(VOCAB).sign(), seed % 4
    logits = {
        "EVOU": drawn(VOCAB, VOCAB) + (far if large == 0 else 0.0),
        "PVOU": drawn(K, VOCAB) - (far if large < 2 else 0.0),
        "EUPU": drawn(VOCAB, VOCAB) + (2.0**20 if large == 2 else 0.0),
    }
    if large in (0, 3):
        logits["EUPU"] *= 0.0
    if large == 3:
        logits["PVOU"] *= 0.0
    if large == 1:
        logits["EVOU"] *= 2.0**-30
    tables = {name: Interval.hull(t, t + 0.1 * drawn(*t.shape).relu()) for name, t in logits.items()}
    weight, position = drawn(VOCAB - Q, VOCAB).exp(), drawn(K).exp()
    if seed % 8 > 3:  # products with these are exact
        weight, position = weight.log2().round().exp2(), position.log2().round().exp2()
    query = attrs.evolve(
        query_tables(paths, Q),
        weight_lower=weight,
        weight_upper=weight * 2.0,
        position_lower=position,
        position_upper=position * 2.0,
    )
    return attrs.evolve(paths, **tables), query


def numerator(paths: Paths, p: int, t: int, x: int, m: int) -> Fraction:
    """The largest numerator of query `Q` in the tables."""
    gain = rational(paths.EVOU.hi, t, x) + rational(paths.PVOU.hi, p, x) + rational(paths.EUPU.hi, Q, x)
    return (
        gain - rational(paths.EVOU.lo, t, m) - rational(paths.PVOU.lo, p, m) - rational(paths.EUPU.lo, Q, m)
    )


def worst(query: Query, row: int, p: int, t: int, value: Fraction) -> Fraction:
    """The largest product of the value with a weight of that row."""
    if value >= 0:
        return rational(query.weight_upper, row, t) * rational(query.position_upper, p) * value
    return rational(query.weight_lower, row, t) * rational(query.position_lower, p) * value
