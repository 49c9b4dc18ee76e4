"""``separable-union``: counts for groups of outputs, each failing sequence once.

Where attention misses the maximum, many outputs beat it at once: the failing sequences of one output are
those of many, and a sum over outputs counts them again and again. Here the outputs of a class are put into
rows, each about a group of them (`proofs.separable.groups`), and every failing sequence need be counted once
only, in the first row it fails for:

* a group takes the worst of its outputs for each token, one count for all of them;
* a row may meet an output y of an earlier row: the sequences that fail for the row and for y are counted,
  from below, and taken off. Both counts are made in the same bins: rounding costs what it costs for y alone.

Each row is counted in bins (`proofs.separable.count`). The first row of a class also counts from below if it
is about one output, which encloses the accuracy.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import rounding
from certkit.certificate import Bound, BoundContent, CertifiedSet
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import alive_pairs, pruner
from proofs.separable.count import binned_down, binned_up, binned_up_inward
from proofs.separable.groups import Rows, meet_terms, row_blocks, row_terms
from proofs.separable.numerator import Query, query_tables, terms_of
from proofs.separable.queries import each_query
from proofs.separable.tally import tally
from proofs.separable.union_search import plan_rows
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.witness import WitnessError, require_tensor

__all__ = ["STRATEGIES", "SeparableUnion", "UnionWitness"]


@attrs.frozen(eq=False)
class UnionWitness:
    """Rows with their bins.

    Attributes:
        rows: groups of outputs, by class.
        width: ``[R]`` float64, finite and > 0; ``offset``: ``[R]`` float64, finite.
    """

    rows: Rows
    width: Tensor
    offset: Tensor

    def checked(self, vocab: int) -> UnionWitness:
        """This witness, if it is one for a vocabulary of this size.

        Raises:
            WitnessError: as `Rows.checked`; a width that is not above 0, a number that is not finite.
        """
        self.rows.checked(vocab)
        for name in ("width", "offset"):
            require_tensor(name, getattr(self, name), (len(self.rows.q),))
        if not bool((self.width > 0).all()):
            raise WitnessError("witness width holds a number that is not above 0")
        return self


def _most(paths: Paths, query: Query, rows: Rows, width: Tensor, offset: Tensor) -> Tensor:
    """``[R]`` upper counts of rows of one query; inf where the bins cannot be used."""
    found = [torch.zeros(0, dtype=torch.float64)]
    start = 0
    for block in row_blocks(paths, rows):
        stop = start + len(block.q)
        found.append(_most_of_block(paths, query, block, width[start:stop], offset[start:stop]))
        start = stop
    return torch.cat(found)


def _most_of_block(paths: Paths, query: Query, rows: Rows, width: Tensor, offset: Tensor) -> Tensor:
    terms = row_terms(paths, query, rows)
    bins, usable = binned_up(terms, width, offset).bins(rows.m, query.q)
    most = torch.where(usable, tally(bins)[1], torch.inf)
    met = (usable & (rows.meet > 0)).nonzero()[:, 0]
    if len(met):
        own, other = meet_terms(paths, query, rows, met)
        both = binned_up_inward(own, width[met], offset[met]).meet(
            binned_down(other, width[met], offset[met])
        )
        shared, countable = both.bins(rows.m[met], query.q)
        most[met] = rounding.sub_up(most[met], torch.where(countable, tally(shared)[0], 0.0))
    return most


def _least(
    paths: Paths, query: Query, chosen: tuple[Tensor, Tensor], width: Tensor, offset: Tensor
) -> Tensor:
    """Lower counts of single outputs ``(m, x)``, as float64."""
    if not len(width):
        return width
    negated = terms_of(paths, query, *chosen, sign=-1)
    bins, usable = binned_down(negated, width, offset).bins(negated.m, query.q)
    return torch.where(usable, tally(bins)[0], 0.0)


@attrs.frozen
class _Found:
    """The bounds of the rows of one query by maximum, and by row whether they are finite."""

    bounds: dict[int, list[Bound]]
    covered: set[tuple[int, int]]
    unusable: set[int]


def _found(paths: Paths, query: Query, witness: UnionWitness) -> _Found:
    rows, here = witness.rows.of_query(query.q)
    width, offset = witness.width[here], witness.offset[here]
    most = _most(paths, query, rows, width, offset)
    groups, meets = rows.outputs_of(), rows.meets_of()
    # the first row of each class, if it is about one output
    first = torch.ones_like(rows.m, dtype=torch.bool)
    first[1:] = rows.m[1:] != rows.m[:-1]
    single = torch.bincount(rows.output_row, minlength=len(rows.q)) == 1
    index = (first & single & torch.isfinite(most)).nonzero()[:, 0]
    x = torch.tensor([groups[row][0] for row in index.tolist()], dtype=torch.int64)
    least = torch.zeros_like(most)
    least[index] = _least(paths, query, (rows.m[index], x), width[index], offset[index])
    found = _Found({}, set(), set())
    columns = (rows.m.tolist(), groups, meets, width.tolist(), offset.tolist(), most.tolist(), least.tolist())
    for m, outputs, meet, w, o, high, low in zip(*columns, strict=True):
        found.covered.update((m, x) for x in outputs)
        if math.isfinite(high):
            at_most = math.floor(high)
            bound = Bound(outputs, meet, w, o, at_most, min(math.ceil(low), at_most))
            found.bounds.setdefault(m, []).append(bound)
        else:
            found.unusable.add(m)
    return found


def _contents(paths: Paths, query: Query, alive: tuple[Tensor, Tensor], found: _Found) -> list[BoundContent]:
    """Content for each class of the query all of whose outputs that may fail are covered."""
    missing = {
        m for m, x in zip(*(part.tolist() for part in alive), strict=True) if (m, x) not in found.covered
    }
    contents = []
    for m in range(query.q, query.q + query.weight_upper.shape[0]):
        bounds = tuple(found.bounds.get(m, ()))
        if m not in missing and m not in found.unusable:
            content = BoundContent(query.q, m, query.shift(m) if bounds else 0.0, bounds)
            if content.correct_at_least(paths.n_ctx) or content.failing_at_least(paths.n_ctx):
                contents.append(content)
    return contents


@attrs.frozen
class SeparableUnion:
    """The strategy ``separable-union``; see the module."""

    name: str = "separable-union"
    version: int = 2
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.QUARTIC
    semantics: Semantics = Semantics.REAL
    description: str = "binned counts of groups of outputs, each failure counted once: for large vocabularies"
    witness_type: type[UnionWitness] = UnionWitness

    def search(self, model: Model) -> UnionWitness:
        """Groups of outputs that fail together, found by sampling each class."""
        return UnionWitness(*plan_rows(model))

    def verify(self, model: Model, witness: UnionWitness) -> CertifiedSet:
        """Every class by the counts of its rows.

        Raises:
            WitnessError: as `UnionWitness.checked`.
        """
        witness.checked(model.vocab)
        paths = path_tables(model)
        shared = pruner(paths)

        def of_query(q: int) -> list[BoundContent]:
            query = query_tables(paths, q)
            found = _found(paths, query, witness)
            return _contents(paths, query, alive_pairs(shared, query), found)

        contents = tuple(chain.from_iterable(each_query(of_query, paths.vocab)))
        return CertifiedSet(model.n_ctx, model.vocab, contents, two_sided=True)

    def unexplained_dimension(self, model: Model) -> int:
        """All five path tables: nothing is compressed."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (SeparableUnion(),)
