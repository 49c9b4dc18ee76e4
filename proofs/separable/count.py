"""``separable-count``: the number of failing sequences from both sides, by counting binned values.

For one pair (m, x), a width w > 0 and any offset o, with upper bounds of f for the upper count and lower
bounds for the lower one,

    a_p(t) = ⌈(f_p(t) − o)/w⌉,  A = ⌈(−f_{K−1}(q) − (K−1)·o)/w⌉:     a failing sequence has Σ a_p(t_p) ≥ A;
    b_p(t) = ⌊(f_p(t) + o)/w⌋,  B = ⌈(−f_{K−1}(q) + (K−1)·o)/w⌉:     a sequence with Σ b_p(t_p) ≥ B fails.

Every division is rounded away from what is claimed, so the two counts (`proofs.separable.tally`) bound the
number of failures. At most Σ_x of the upper counts fail in the class, and at least the largest lower count. A
small positive offset keeps the many values that are almost 0 from taking a whole bin each.

Counting costs much more than a tail, so the witness says for which classes it is worth it. Every class is
also given its tails (`proofs.separable.tail`), and keeps what certifies more. The result encloses the
accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import CertifiedSet, Content, Count, CountContent
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import alive_terms
from proofs.separable.count_search import CountPlan, plan_counts
from proofs.separable.counted import add_up, sub_up
from proofs.separable.numerator import Query, Terms, terms_of
from proofs.separable.tail import TailWitness, tails_of
from proofs.separable.tally import MAX_ROOM, Bins, tally
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.witness import WitnessError, require_tensor

__all__ = [
    "STRATEGIES",
    "Binned",
    "CountWitness",
    "SeparableCount",
    "binned_down",
    "binned_up",
    "binned_up_inward",
]

_EXACT: Final = 2.0**50
_FAR: Final = 2.0**20


@attrs.frozen(eq=False)
class CountWitness:
    """Bins for some triples (q, m, x), sorted, none twice; multipliers for the same or others.

    Attributes:
        q, m, x: ``[R]`` int64.
        width: ``[R]`` float64, finite and > 0; ``offset``: ``[R]`` float64, finite.
        tails: multipliers.
    """

    q: Tensor
    m: Tensor
    x: Tensor
    width: Tensor
    offset: Tensor
    tails: TailWitness

    def checked(self, vocab: int) -> CountWitness:
        """This witness, if it is one for a vocabulary of this size.

        Raises:
            WitnessError: a wrong shape or type, a token out of range, a width that is not above 0, …
        """
        TailWitness(self.q, self.m, self.x, torch.zeros_like(self.width)).checked(vocab)
        rows = len(self.q)
        require_tensor("width", self.width, (rows,))
        require_tensor("offset", self.offset, (rows,))
        if not bool((self.width > 0).all()):
            raise WitnessError("witness width holds a number that is not above 0")
        self.tails.checked(vocab)
        return self

    def for_query(self, q: int, vocab: int) -> tuple[Tensor, Tensor]:
        """``[V, V]`` widths and offsets by (m, x); NaN where there are none."""
        here = self.q == q
        tables = torch.full((2, vocab, vocab), torch.nan, dtype=torch.float64)
        tables[0, self.m[here], self.x[here]] = self.width[here]
        tables[1, self.m[here], self.x[here]] = self.offset[here]
        return tables[0], tables[1]


@attrs.frozen(eq=False)
class Binned:
    """Integers (as float64) of R rows: ``values [R, P, V]``, −inf where a token is not allowed, and ``least
    [R]``, what they must sum to.
    """

    values: Tensor
    least: Tensor

    def meet(self, other: Binned) -> Binned:
        """What fills both: where the least of the two sums up to the larger need, each reaches its own."""
        cost.record(comparisons=self.values.numel())
        return Binned(torch.minimum(self.values, other.values), torch.maximum(self.least, other.least))

    def bins(self, m: Tensor, q: int) -> tuple[Bins, Tensor]:
        """As bins, and which rows are usable."""
        top = self.values.amax(2)
        room = top.sum(1) - self.least
        usable = (top.abs() < _EXACT).all(1) & (self.least.abs() < _EXACT) & (room <= MAX_ROOM)
        deficit = (top[:, :, None] - self.values).clamp(max=_FAR)
        # the division that made them, the deficits
        cost.record(flops=self.values.numel(), int_ops=self.values.numel())
        deficit = torch.where(usable[:, None, None], deficit, _FAR).to(torch.int64)
        return Bins(deficit, torch.where(usable, room, -1.0).to(torch.int64), m, m > q), usable


def binned_up(terms: Terms, width: Tensor, offset: Tensor) -> Binned:
    """What every failing sequence fills."""
    slots = terms.upper.shape[1]
    gone = terms.upper == -torch.inf
    shifted = sub_up(terms.upper.masked_fill(gone, 0.0), offset[:, None, None])
    values = rounding.div_up(shifted, width[:, None, None]).ceil()
    shift = rounding.mul_up(offset, offset.new_tensor(float(slots)))
    least = rounding.div_down(rounding.sub_down(-terms.query_upper, shift), width).ceil()
    return Binned(values.masked_fill(gone, -torch.inf), least)


def binned_down(negated: Terms, width: Tensor, offset: Tensor) -> Binned:
    """What only failing sequences fill; ``negated`` bounds −f from above."""
    slots = negated.upper.shape[1]
    gone = negated.upper == -torch.inf
    shifted = rounding.sub_down(offset[:, None, None], negated.upper.masked_fill(gone, 0.0))
    values = rounding.div_down(shifted, width[:, None, None]).floor()
    shift = rounding.mul_up(offset, offset.new_tensor(float(slots)))
    least = rounding.div_up(add_up(negated.query_upper, shift), width).ceil()
    return Binned(values.masked_fill(gone, -torch.inf), least)


def binned_up_inward(negated: Terms, width: Tensor, offset: Tensor) -> Binned:
    """`binned_up` with every rounding the other way: not above what exact numbers give, and needing no less."""
    slots = negated.upper.shape[1]
    gone = negated.upper == -torch.inf
    shifted = rounding.sub_down(-negated.upper.masked_fill(gone, 0.0), offset[:, None, None])
    values = rounding.div_down(shifted, width[:, None, None]).ceil()
    shift = rounding.mul_down(offset, offset.new_tensor(float(slots)))
    least = rounding.div_up(rounding.sub_up(negated.query_upper, shift), width).ceil()
    return Binned(values.masked_fill(gone, -torch.inf), least)


@attrs.frozen
class _Row:
    x: int
    width: float
    offset: float
    most: float


def _upper_rows(terms: Terms, width: Tensor, offset: Tensor, q: int) -> Iterator[tuple[int, _Row]]:
    bins, usable = binned_up(terms, width, offset).bins(terms.m, q)
    most = torch.where(usable, tally(bins)[1], torch.inf)
    columns = (terms.m, terms.x, width, offset, most)
    for m, *row in zip(*(column.tolist() for column in columns), strict=True):
        yield m, _Row(*row)


def _least(paths: Paths, query: Query, m: int, row: _Row) -> int:
    """The lower count of one row."""
    negated = terms_of(paths, query, torch.tensor([m]), torch.tensor([row.x]), sign=-1)
    width, offset = (torch.tensor([value], dtype=torch.float64) for value in (row.width, row.offset))
    bins, usable = binned_down(negated, width, offset).bins(negated.m, query.q)
    return math.ceil(float(tally(bins)[0])) if bool(usable) else 0


def _content(paths: Paths, query: Query, m: int, rows: list[_Row]) -> CountContent:
    worst = max(rows, key=lambda row: row.most)
    counts = []
    for row in rows:
        most = math.floor(row.most)
        least = min(_least(paths, query, m, row), most) if row is worst else 0
        counts.append(Count(row.x, row.width, row.offset, most, least))
    return CountContent(query.q, m, query.shift(m), tuple(counts))


def _query_contents(
    paths: Paths, query: Query, alive: Iterable[Terms], witness: CountWitness
) -> list[Content]:
    q = query.q
    width, offset = witness.for_query(q, paths.vocab)
    multiplier = witness.tails.for_query(q, paths.vocab)
    counted: dict[int, list[_Row]] = {}
    incomplete: set[int] = set()  # classes with an output that may fail and has no bins
    blocks: list[Terms] = []
    for terms in alive:
        given = torch.isfinite(width[terms.m, terms.x])
        some = terms.rows(given)
        if len(some.m):
            for m, row in _upper_rows(some, width[some.m, some.x], offset[some.m, some.x], q):
                counted.setdefault(m, []).append(row)
        for m, without in zip(terms.m.tolist(), (~given).tolist(), strict=True):
            if without:
                incomplete.add(m)
        blocks.append(terms)
    contents: dict[int, Content] = dict(tails_of(paths, query, blocks, multiplier))
    for m in counted.keys() - incomplete:
        if all(math.isfinite(row.most) for row in counted[m]):
            content = _content(paths, query, m, counted[m])
            if _correct(content, paths) == 0 and content.failing_at_least(paths.n_ctx) == 0:
                continue  # a class that proves nothing is left out
            if m not in contents or _correct(content, paths) >= _correct(contents[m], paths):
                contents[m] = content
    return [contents[m] for m in sorted(contents)]


def _correct(content: Content, paths: Paths) -> int:
    return content.correct_at_least(paths.n_ctx)


@attrs.frozen
class SeparableCount:
    """The strategy ``separable-count``; see the module."""

    name: str = "separable-count"
    version: int = 1
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.QUARTIC
    semantics: Semantics = Semantics.REAL
    description: str = "binned counts from both sides where they pay, tails elsewhere: encloses the accuracy"
    witness_type: type[CountWitness] = CountWitness

    def search(self, model: Model) -> CountWitness:
        """Multipliers for all pairs, and bins for those of the classes that lose most by their tails."""
        plan: CountPlan = plan_counts(model)
        tails = TailWitness(*plan.tails, plan.multiplier)
        return CountWitness(*plan.counts, plan.width, plan.offset, tails)

    def verify(self, model: Model, witness: CountWitness) -> CertifiedSet:
        """Every class by its counts or by its tails.

        Raises:
            WitnessError: as `CountWitness.checked`.
        """
        witness.checked(model.vocab)
        paths = path_tables(model)
        contents: list[Content] = []
        for query, blocks in alive_terms(paths):
            contents += _query_contents(paths, query, blocks, witness)
        return CertifiedSet(model.n_ctx, model.vocab, tuple(contents), two_sided=True)

    def unexplained_dimension(self, model: Model) -> int:
        """All five path tables: nothing is compressed."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (SeparableCount(),)
