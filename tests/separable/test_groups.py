"""The terms of rows against rationals: no rounding is forgotten."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from proofs.separable.groups import NONE, Rows, _slack, row_terms
from tests.separable.rationals import VOCAB, K, Q, cancelling_tables, numerator, rational, worst

GROUPS = ((1, (0,)), (1, (2, 3, 4)), (2, (0, 1)), (2, (3, 4)), (3, (0, 1, 2, 4)), (4, (0, 1, 2)), (4, (3,)))
SINGLES = tuple((m, (x,)) for m in range(Q, VOCAB) for x in range(VOCAB) if x != m)


def rows_of(listed: tuple[tuple[int, tuple[int, ...]], ...]) -> Rows:
    """Rows without meets."""
    m = torch.tensor([m for m, _ in listed])
    output = torch.tensor([(i, x) for i, (_, outputs) in enumerate(listed) for x in outputs])
    return Rows(0 * m + Q, m, 0 * m + NONE, 0 * m, output[:, 0].contiguous(), output[:, 1].contiguous())


@pytest.mark.parametrize("listed", [GROUPS, SINGLES], ids=["groups", "singles"])
@pytest.mark.parametrize("seed", range(9))
def test_terms_are_above_rational_ones(listed: tuple[tuple[int, tuple[int, ...]], ...], seed: int) -> None:
    paths, query = cancelling_tables(seed)
    terms = row_terms(paths, query, rows_of(listed).checked(VOCAB))
    for row, (m, outputs) in enumerate(listed):
        at = m - Q

        def truth(p: int, t: int, m: int = m, at: int = at, outputs: tuple[int, ...] = outputs) -> Fraction:
            return max(worst(query, at, p, t, numerator(paths, p, t, x, m)) for x in outputs)

        for p in range(K - 1):
            assert bool((terms.upper[row, p, m + 1 :] == -torch.inf).all())
            assert all(rational(terms.upper, row, p, t) >= truth(p, t) for t in range(m + 1))
        assert rational(terms.query_upper, row) >= truth(K - 1, Q)


@pytest.mark.parametrize("seed", range(3))
def test_slack_is_that_of_five_additions(seed: int) -> None:
    paths, _ = cancelling_tables(seed)
    sizes = [
        max(table.lo.abs().max(), table.hi.abs().max()) for table in (paths.EVOU, paths.PVOU, paths.EUPU)
    ]
    whole = 2 * sum((Fraction(size.item()) for size in sizes), Fraction(0))
    assert Fraction(_slack(paths).item()) >= 5 * whole * Fraction(1, 2**53) * Fraction(1001, 1000)
