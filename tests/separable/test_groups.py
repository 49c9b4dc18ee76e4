"""The terms of rows against rationals: no rounding is forgotten."""

from __future__ import annotations

from fractions import Fraction

import attrs
import pytest
import torch

from proofs.separable.groups import NONE, Rows, _slack, meet_terms, row_terms
from proofs.separable.numerator import terms_of
from tests.separable.rationals import VOCAB, K, Q, cancelling_tables, numerator, rational, worst

GROUPS = ((1, (0,)), (1, (2, 3, 4)), (2, (0, 1)), (2, (3, 4)), (3, (0, 1, 2, 4)), (4, (0, 1, 2)), (4, (3,)))
SINGLES = tuple((m, (x,)) for m in range(Q, VOCAB) for x in range(VOCAB) if x != m)


def rows_of(listed: tuple[tuple[int, tuple[int, ...]], ...]) -> Rows:
    """Rows without meets."""
    m = torch.tensor([m for m, _ in listed])
    output = torch.tensor([(i, x) for i, (_, outputs) in enumerate(listed) for x in outputs])
    return Rows(0 * m + Q, m, 0 * m + NONE, 0 * m, output[:, 0].contiguous(), output[:, 1].contiguous())


@pytest.mark.parametrize("listed", [GROUPS, SINGLES], ids=["groups", "singles"])
@pytest.mark.parametrize("seed", range(16))
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


@pytest.mark.parametrize("seed", range(16))
def test_a_part_of_the_terms_of_an_earlier_output_is_rounded_up(seed: int) -> None:
    """So is the whole of −f, both for the output that is met and for the own one."""
    paths, query = cancelling_tables(seed)
    singles, parts = rows_of(SINGLES), (13, 64, 77)
    met = torch.tensor([i for i, (m, (x,)) in enumerate(SINGLES) if x > 0 and (m, x) != (1, 2)])
    meet = torch.zeros_like(singles.m)
    meet[met] = torch.tensor(parts)[met % 3]
    rows = attrs.evolve(singles, earlier=(meet > 0).long() - 1, meet=meet)  # output 0 of the same class
    own, other = meet_terms(paths, query, rows, met)
    for place, row in enumerate(met.tolist()):
        m, (x,) = SINGLES[row]
        for found, y, part in ((own, x, Fraction(1)), (other, 0, Fraction(int(meet[row]), 64))):
            for p in range(K - 1):
                for t in range(m + 1):
                    truth = worst(query, m - Q, p, t, numerator(paths, p, t, m, y))
                    assert rational(found.upper, place, p, t) >= part * truth
            truth = worst(query, m - Q, K - 1, Q, numerator(paths, K - 1, Q, m, y))
            assert rational(found.query_upper, place) >= part * truth
    negated = terms_of(paths, query, rows.m[met], 0 * met, sign=-1)
    for scaled, whole in (
        (other.query_upper, negated.query_upper),
        (other.upper[..., 0], negated.upper[..., 0]),
    ):
        for bound, k, value in zip(scaled.tolist(), meet[met].tolist(), whole.tolist(), strict=True):
            pairs = zip(bound, value, strict=True) if isinstance(bound, list) else [(bound, value)]
            assert all(Fraction(b) >= Fraction(k, 64) * Fraction(v) for b, v in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_slack_is_that_of_five_additions(seed: int) -> None:
    paths, _ = cancelling_tables(seed)
    sizes = [
        max(table.lo.abs().max(), table.hi.abs().max()) for table in (paths.EVOU, paths.PVOU, paths.EUPU)
    ]
    whole = 2 * sum((Fraction(size.item()) for size in sizes), Fraction(0))
    assert Fraction(_slack(paths).item()) >= 5 * whole * Fraction(1, 2**53) * Fraction(1001, 1000)
