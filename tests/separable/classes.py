"""The truth about each class (q, m) of a tiny model, and the checks that certified content must pass."""

from __future__ import annotations

import itertools
from collections import defaultdict

import torch

from certkit.certificate import BoundContent, CertifiedSet, Content, PoolContent, SetContent
from proofs.model import Model
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth, members


class ClassTruth:
    """Which sequences of which class fail, and for which x."""

    def __init__(self, model: Model) -> None:
        self.truth = Truth(model)
        self.fails: dict[tuple[int, int], dict[int, set[tuple[int, ...]]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self.size: dict[tuple[int, int], int] = defaultdict(int)
        for sequence in self.truth.sequences():
            q, m = sequence[-1], max(sequence)
            self.size[q, m] += 1
            for x in range(model.vocab):
                if x != m and self.truth.sign(sequence, x) >= 0:
                    self.fails[q, m][x].add(sequence[:-1])

    def union(self, q: int, m: int) -> set[tuple[int, ...]]:
        """The non-query tokens of every failing sequence of the class."""
        return set(itertools.chain.from_iterable(self.fails[q, m].values()))

    @property
    def correct(self) -> int:
        """Sequences of the model that are right."""
        return sum(size - len(self.union(*key)) for key, size in self.size.items())


def check_certified(certified: CertifiedSet, truth: ClassTruth) -> None:
    """Every class claims no more than is true of it, and neither does the whole."""
    for entry in certified.entries:
        check_entry(entry, truth, certified.k)
    assert certified.correct_at_least <= truth.correct
    if certified.two_sided:
        assert certified.correct_at_most >= truth.correct


def check_entry(entry: Content, truth: ClassTruth, k: int) -> None:
    """Counts are below the truth; listed members are right; outputs without a row never fail."""
    failing = truth.union(entry.q, entry.m)
    claimed = entry.correct_at_least(k)
    assert claimed <= truth.size[entry.q, entry.m] - len(failing), (entry, failing)
    if isinstance(entry, SetContent):
        wrong = [s for s in members(entry, k) if tuple(s[:-1]) in failing]
        assert not wrong, (entry, wrong)
        return
    if isinstance(entry, PoolContent):
        assert entry.failing_at_most >= sum(map(len, truth.fails[entry.q, entry.m].values())), entry
        return
    if isinstance(entry, BoundContent):
        check_bounds(entry, truth.fails[entry.q, entry.m])
        return
    rows = {row.x: row for row in (entry.tails if hasattr(entry, "tails") else entry.counts)}
    for x, sequences in truth.fails[entry.q, entry.m].items():
        if sequences:
            assert x in rows, (entry, x)
            assert rows[x].failing_at_most >= len(sequences), (entry, x, len(sequences))
    for x, row in rows.items():
        least = getattr(row, "failing_at_least", 0)
        assert least <= len(truth.fails[entry.q, entry.m][x]), (entry, x)


def check_bounds(entry: BoundContent, fails: dict[int, set[tuple[int, ...]]]) -> None:
    """Each failing sequence is counted by the first bound with an output it fails for, and there is one."""
    left = set(itertools.chain.from_iterable(fails.values()))
    for bound in entry.bounds:
        here = left & set(itertools.chain.from_iterable(fails[x] for x in bound.outputs))
        assert bound.failing_at_most >= len(here), (entry, bound, here)
        assert bound.failing_at_least <= len(fails[bound.outputs[0]]), (entry, bound)
        left -= here
    assert not left, (entry, left)


def some_model(seed: int, *, kinds: tuple[Kind, ...] = tuple(Kind)) -> Model:
    """A tiny model of a kind and of sizes chosen by the seed; V up to 6, K up to 4, V^K at most 100."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(v, k) for v in range(1, 7) for k in range(1, 5) if v**k <= 100 and (v, k) != (1, 1)]
    vocab, n_ctx = sizes[int(torch.randint(len(sizes), (), generator=generator))]
    kind = kinds[int(torch.randint(len(kinds), (), generator=generator))]
    return tiny_model(kind, Sizes(vocab, n_ctx), seed)
