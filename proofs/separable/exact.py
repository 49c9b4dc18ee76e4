"""``separable-exact``: the failing sequences of every class (q, m), by an enumeration that sums cut short.

For each pair (m, x) that may fail (`proofs.separable.alive`) the sequences with ``Σ_p f_p(t_p) ≥ 0`` are
enumerated position by position. With ``best_p = max_t f_p(t)``, a prefix goes on only if its partial sum plus
the best the remaining positions can add is not proved negative; if q < m and the prefix has no m yet, one of
the remaining positions must take m, and the best is taken under that condition. Every sequence that may fail
for some x is listed; all others of the class are correct for every x. Hence a class is one box minus its
*exceptions* (the union over x), and the bound equals that of brute force, apart from sequences whose margin
straddles 0 in one computation and not in the other.

A listed sequence certainly fails if ``Σ_p −f_p(t_p) ≤ 0`` is proved for one x. If that holds for every listed
sequence, and no class is left out, the accuracy is enclosed (`CertifiedSet.two_sided`); a tie that rounding
leaves open prevents it.

Work is proportional to the failures: a class with more than `LIMIT` of them is left uncertified, and beyond
`REACH` sequences in all the strategy refuses; ``separable-tail`` and ``separable-count`` have no such bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost
from certkit.certificate import CertifiedSet, Content, full_content
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import alive_terms
from proofs.separable.counted import add_up, amax, sum_up
from proofs.separable.numerator import Query, Terms, terms_of
from proofs.strategy import ComplexityClass, Family, Semantics, StrategyError
from proofs.witness import NoWitness

__all__ = ["LIMIT", "REACH", "STRATEGIES", "SeparableExact", "failing_sequences"]

LIMIT: Final = 2**20
"""A class (q, m) with more failing sequences than this is left out."""

REACH: Final = 2**36
"""Models with more sequences than this are refused."""

_STATES: Final = 2**20
"""Prefixes extended at once; bounds memory, changes no result."""


@attrs.frozen(eq=False)
class _Rest:
    """The most that positions p … K−2 can add, ``[R, K]``: freely, and if one of them must hold m (−inf if
    none can).
    """

    free: Tensor
    holding: Tensor


def _rest(terms: Terms) -> _Rest:
    best, at_max = amax(terms.upper, 2), terms.at_max()
    rows, slots = best.shape
    free = [best.new_zeros(rows)]
    holding = [best.new_full((rows,), -torch.inf)]
    for p in reversed(range(slots)):
        holding.append(torch.maximum(add_up(at_max[:, p], free[-1]), add_up(best[:, p], holding[-1])))
        free.append(add_up(best[:, p], free[-1]))
        cost.record(comparisons=rows)
    return _Rest(torch.stack(free[::-1], 1), torch.stack(holding[::-1], 1))


@attrs.frozen(eq=False)
class _Prefixes:
    """Partial sequences: which pair they belong to, their tokens, their partial sums, whether they still need
    an m.
    """

    row: Tensor
    tokens: Tensor
    total: Tensor
    needs_max: Tensor

    def __len__(self) -> int:
        return len(self.row)

    def split(self, size: int) -> Iterator[_Prefixes]:
        parts = (
            self.row.split(size),
            self.tokens.split(size),
            self.total.split(size),
            self.needs_max.split(size),
        )
        return (_Prefixes(*part) for part in zip(*parts, strict=True))


def _joined(parts: list[_Prefixes]) -> _Prefixes:
    return _Prefixes(
        torch.cat([part.row for part in parts]),
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.total for part in parts]),
        torch.cat([part.needs_max for part in parts]),
    )


def _extended(prefixes: _Prefixes, terms: Terms, rest: _Rest, p: int) -> _Prefixes:
    """The prefixes one token longer that may still fail."""
    vocab = terms.upper.shape[2]
    row, last = prefixes.row, terms.m[prefixes.row][:, None]
    needs = prefixes.needs_max[:, None] & (torch.arange(vocab) != last)
    # t cannot fail if f(t) < −(prefix + rest), a comparison of exact numbers
    free = -add_up(prefixes.total, rest.free[row, p + 1])
    holding = -add_up(prefixes.total, rest.holding[row, p + 1])
    value = terms.upper[row, p]
    possible = ~(value < torch.where(needs, holding[:, None], free[:, None])) & (torch.arange(vocab) <= last)
    cost.record(comparisons=value.numel())
    parent, token = possible.nonzero(as_tuple=True)
    total = add_up(prefixes.total[parent], value[parent, token])
    tokens = torch.cat((prefixes.tokens[parent], token[:, None]), 1)
    return _Prefixes(row[parent], tokens, total, needs[parent, token])


def failing_sequences(terms: Terms, q: int, limit: int = LIMIT) -> tuple[Tensor, Tensor, Tensor]:
    """All sequences that may fail, for each pair of ``terms``, unless there are more than ``limit`` for one
    pair.

    Returns:
        ``(row [N], tokens [N, K−1], open [R])``: the pair and the non-query tokens of each sequence, and
        which pairs were given up (none of their sequences is returned).
    """
    slots = terms.upper.shape[1]
    rest = _rest(terms)
    gone = torch.zeros(len(terms.m), dtype=torch.bool)
    start = torch.arange(len(terms.m))
    prefixes = _Prefixes(start, start.new_empty((len(start), 0)), terms.query_upper, terms.m > q)
    size = max(1, _STATES // terms.upper.shape[2])
    for p in range(slots):
        longer = [_extended(part, terms, rest, p) for part in prefixes.split(size)]
        prefixes = _joined(longer) if longer else prefixes
        gone |= torch.bincount(prefixes.row, minlength=len(gone)) > limit
        keep = ~gone[prefixes.row]
        if p + 1 == slots:
            keep &= ~prefixes.needs_max  # not of the class; only unbounded terms let one come so far
        prefixes = _Prefixes(
            prefixes.row[keep], prefixes.tokens[keep], prefixes.total[keep], prefixes.needs_max[keep]
        )
    return prefixes.row, prefixes.tokens, gone


def _certainly_fail(paths: Paths, query: Query, terms: Terms, row: Tensor, tokens: Tensor) -> Tensor:
    """``[N]`` whether ``Σ_p f_p ≥ 0`` is proved for the sequences ``tokens`` and the x of their pair."""
    used, pair = torch.unique(row, return_inverse=True)
    negated = terms_of(paths, query, terms.m[used], terms.x[used], sign=-1)
    slots = negated.upper.shape[1]
    parts = negated.upper[pair[:, None], torch.arange(slots), tokens]
    return add_up(sum_up(parts, 1), negated.query_upper[pair]) <= 0


@attrs.define(eq=False)
class _Found:
    """The classes of one query: sequences that may fail, whether they do, classes given up."""

    codes: dict[int, list[Tensor]] = attrs.field(factory=lambda: defaultdict(list))
    certain: dict[int, list[Tensor]] = attrs.field(factory=lambda: defaultdict(list))
    open: set[int] = attrs.field(factory=set)


def _enumerated(paths: Paths, query: Query, blocks: Iterable[Terms]) -> _Found:
    found = _Found()
    powers = torch.tensor([paths.vocab**i for i in reversed(range(paths.n_ctx - 1))], dtype=torch.int64)
    for terms in blocks:
        row, tokens, gone = failing_sequences(terms, query.q)
        found.open.update(terms.m[gone].tolist())
        certain = _certainly_fail(paths, query, terms, row, tokens)
        code = (tokens * powers).sum(1)
        for m in terms.m[row].unique().tolist():
            here = terms.m[row] == m
            found.codes[m].append(code[here])
            found.certain[m].append(code[here & certain])
    return found


def _decoded(codes: Tensor, vocab: int, slots: int) -> tuple[tuple[int, ...], ...]:
    digits = [(codes // vocab**i) % vocab for i in reversed(range(slots))]
    columns = torch.stack(digits, 1) if digits else codes.new_empty((len(codes), 0))
    return tuple(map(tuple, columns.tolist()))


def _contents(paths: Paths, query: Query, blocks: Iterable[Terms]) -> tuple[list[Content], bool]:
    """The content of every class of one query, and whether all listed exceptions certainly fail."""
    found, q = _enumerated(paths, query, blocks), query.q
    contents: list[Content] = []
    two_sided = True
    for m in range(q, q + query.weight_upper.shape[0]):
        if m in found.open:
            continue
        codes = torch.cat([*found.codes[m], torch.empty(0, dtype=torch.int64)]).unique()
        certain = torch.cat([*found.certain[m], torch.empty(0, dtype=torch.int64)]).unique()
        cost.record(int_ops=int(codes.numel()))
        if len(codes) > LIMIT:
            continue
        two_sided &= len(certain) == len(codes)
        contents.append(full_content(q, m, paths.n_ctx, _decoded(codes, paths.vocab, paths.n_ctx - 1)))
    return contents, two_sided


def _require_reach(model: Model) -> None:
    if model.vocab**model.n_ctx > REACH:
        raise StrategyError(
            f"separable-exact lists failing sequences one by one and reaches V^K up to {REACH}; "
            f"this model has V={model.vocab}, K={model.n_ctx}: use separable-tail or separable-count"
        )


@attrs.frozen
class SeparableExact:
    """The strategy ``separable-exact``; see the module."""

    name: str = "separable-exact"
    version: int = 1
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.QUARTIC
    semantics: Semantics = Semantics.REAL
    description: str = "every failing sequence listed: the exact accuracy for short contexts"
    witness_type: type[NoWitness] = NoWitness

    def search(self, model: Model) -> NoWitness:
        """Nothing to search: the enumeration is the proof.

        Raises:
            StrategyError: more than `REACH` sequences.
        """
        _require_reach(model)
        return NoWitness()

    def verify(self, model: Model, witness: NoWitness) -> CertifiedSet:
        """Every class as one box minus the sequences that may fail.

        Raises:
            StrategyError: more than `REACH` sequences.
        """
        _require_reach(model)
        paths = path_tables(model)
        contents: list[Content] = []
        two_sided = True
        for query, blocks in alive_terms(paths):
            entries, decided = _contents(paths, query, blocks)
            contents += entries
            two_sided &= decided
        return CertifiedSet(model.n_ctx, model.vocab, tuple(contents), two_sided=two_sided)

    def unexplained_dimension(self, model: Model) -> int:
        """All five path tables: nothing is compressed."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (SeparableExact(),)
