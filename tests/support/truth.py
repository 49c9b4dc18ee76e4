"""The truth about a tiny `proofs.Model`: `certkit.exact` and `certkit.testing.laws`, asked about models.

`tests/testing/test_truth.py` holds `certkit.exact` against a plain forward pass in ball arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

from certkit import exact
from certkit.certificate import CertifiedSet, SetContent
from certkit.testing import laws
from certkit.testing.laws import members
from proofs.model import Model

__all__ = ["Truth", "check_certified", "members"]


class Truth(exact.Truth):
    """Exact path tables of a model, and whether each sequence is classified correctly."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.tensors())

    def correct(self, sequence: Sequence[int]) -> bool:
        """Whether ``logit[m] > logit[x]`` for every x ≠ m."""
        return not self.wrong_outputs(sequence)


def check_certified(certified: CertifiedSet, truth: Truth) -> list[tuple[int, ...]]:
    """All sequences in the certified sets; asserts that each is right, in its class, and listed once."""
    assert list(laws.check_certified(certified, truth)) == []
    entries = [entry for entry in certified.entries if isinstance(entry, SetContent)]
    assert len(entries) == len(certified.entries)
    found = [sequence for entry in entries for sequence in members(entry, certified.k)]
    assert len(found) == len(set(found)) == certified.correct_at_least
    return found
