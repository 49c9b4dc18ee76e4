"""Every registered strategy against the laws every strategy obeys; a new one is picked up by itself.

`check_strategy` compares certified content with exact enumeration, tries hostile witnesses, and has the
auditor decide the certificates. Each strategy meets a few models of the zoo here, different ones from
strategy to strategy.
"""

from __future__ import annotations

import itertools

import pytest

from certkit.testing.check import check_strategy
from certkit.testing.zoo import Specimen, zoo
from proofs.strategy import AnyStrategy, Semantics, strategies

SPECIMENS = tuple(specimen for specimen in zoo() if 1 < specimen.sequences <= 64)
REAL = [strategy for strategy in strategies() if strategy.semantics is Semantics.REAL]


def _some(strategy: AnyStrategy, count: int) -> tuple[Specimen, ...]:
    """``count`` specimens, spread over the zoo, beginning at a place of the strategy's own."""
    start, step = REAL.index(strategy), max(1, len(SPECIMENS) // count)
    turned = itertools.islice(itertools.cycle(SPECIMENS), start, start + len(SPECIMENS), step)
    return tuple(itertools.islice(turned, count))


CASES = [pytest.param(strategy, id=strategy.name) for strategy in REAL]


@pytest.mark.parametrize("strategy", CASES)
def test_obeys_every_law(strategy: AnyStrategy) -> None:
    report = check_strategy(strategy, specimens=_some(strategy, 1), hostile=1)
    assert report.ok, str(report)
    assert report.models == 1


@pytest.mark.extended
@pytest.mark.parametrize("strategy", CASES)
def test_obeys_every_law_on_more_models(strategy: AnyStrategy) -> None:
    report = check_strategy(strategy, specimens=_some(strategy, 10), hostile=3)
    assert report.ok, str(report)
    assert report.models == 10
