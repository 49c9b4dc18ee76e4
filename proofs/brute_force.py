"""brute-force: every sequence decided; the bound is the exact accuracy up to sequences too close to call.

By Identity 1 the model is right on a sequence iff, for every x ≠ m, ``N[m] > N[x]`` with the *numerators*

    N[x] = Σ_p F_p[t_p, x],      F_p[t, x] = w_p(q,t) · (EVOU[t,x] + PVOU[p,x] + EUPU[q,x])

(any common positive factor may be divided out per query). There is one small interval table ``F_p`` for
each query and position; a sequence costs one addition of table rows per prefix and a maximum over x.

**First look: plain floats with a proved error.** Let ``c_p`` be the floats in the middle of the table,
with ``|F_p − c_p| ≤ r_p``. K numbers summed in floating point, in any order, are off by at most ``γ_{K−1}
Σ|c_p|`` (additions do not underflow). So with ``ε_p[t] = max_x (r_p[t,x] + γ_{K−1} |c_p[t,x]|)`` every
computed numerator is within ``ε = Σ_p ε_p[t_p]`` of the exact one. The difference ``D`` of two computed
numerators is rounded once more, but rounding is monotone: if the float ``fl(D)`` exceeds a float ``T ≥
2ε``, so does ``D``. Hence ``fl(S[m] − max_{x≠m} S[x]) > T`` proves the sequence correct, and
``fl(max_{x≠m} S[x] − S[m]) > T`` proves it wrong. NaN proves nothing.

**Second look: tightest interval arithmetic**, for the few sequences left open, with weights scaled to the
sequence and differences to m taken in the tables. What stays open is not certified and is listed among
the exceptions.

Certified content: one box per class (q, m), all of it but the exceptions. When nothing stays open, every
exception is proved wrong, and the claim is two-sided and exact. Operations: about ``V^(K+1)`` additions
and as many comparisons (prefixes of sequences share their sums), nothing is pruned: this is the baseline
other proofs are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import CertifiedSet, SetContent, full_content
from certkit.interval import Interval
from certkit.linalg import gamma
from proofs.execution import check_executable, tables
from proofs.model import Model
from proofs.paths import Paths
from proofs.strategy import ComplexityClass, Family, Semantics, StrategyError
from proofs.weights import ScaledWeights
from proofs.witness import NoWitness

MOST_SEQUENCES: Final = 2**27
"""Models with more sequences are refused: deciding them one by one would take many minutes."""
MOST_EXCEPTIONS: Final = 2**20
"""Models with more sequences that are not certified are refused: the certificate would be too large."""

_BLOCK: Final = 2**18
_SECOND_LOOK: Final = 2**18


@attrs.frozen(eq=False)
class _QueryTables:
    """Float numerators of one query: ``rows[p]`` is ``[V, V]`` (token, x) for p < K−1; the last is one
    row ``[1, V]``.

    ``errors[p]`` (``[V]`` or ``[1]``) bounds, for each token, the distance of any numerator computed from
    these rows to the exact one that is due to this position.
    """

    query: int
    rows: tuple[Tensor, ...]
    errors: tuple[Tensor, ...]


def _centre(table: Interval, terms: int) -> tuple[Tensor, Tensor]:
    """A float table, and for each row a bound of radius plus rounding when ``terms`` such rows are summed."""
    centre = table.lo / 2 + table.hi / 2
    radius = torch.maximum(rounding.sub_up(table.hi, centre), rounding.sub_up(centre, table.lo))
    growth = torch.tensor(rounding.fraction_up(gamma(max(terms - 1, 0))), dtype=torch.float64)
    return centre, rounding.add_up(radius, rounding.mul_up(growth, centre.abs())).amax(-1)


def _query_tables(paths: Paths, weights: ScaledWeights, q: int) -> _QueryTables:
    k, of_query = paths.n_ctx, weights[q]
    own = of_query.exponent[q, -1]
    reference = torch.maximum(own, of_query.exponent[:, :-1].amax()) if k > 1 else own
    rows, errors = [], []
    for p in range(k):
        tokens = slice(None) if p < k - 1 else slice(q, q + 1)
        logits = paths.EVOU[tokens] + (paths.PVOU[p] + paths.EUPU[q])
        centre, error = _centre(of_query[tokens, p].over(reference)[:, None] * logits, k)
        rows.append(centre)
        errors.append(error)
    return _QueryTables(q, tuple(rows), tuple(errors))


def _row_sums(tables: tuple[Tensor, ...]) -> Tensor:
    """``[V^n, V]``: the sums of one row from each of n tables, the last table varying fastest."""
    total = tables[0]
    for table in tables[1:]:
        total = (total[:, None] + table).reshape(-1, table.shape[-1])
        cost.record(flops=total.numel())
    return total


def _error_sums(errors: tuple[Tensor, ...]) -> Tensor:
    """``[V^n]``: upper bounds of the sums of one error from each of n tables, in the order of `_row_sums`."""
    total = errors[0]
    for error in errors[1:]:
        total = rounding.add_up(total[:, None], error).reshape(-1)
    return total


def _largest(tokens: Tensor, positions: int) -> Tensor:
    """``[V^n]``: the largest token of each tuple, in the order of `_row_sums`."""
    total = tokens
    for _ in range(positions - 1):
        total = torch.maximum(total[:, None], tokens).reshape(-1)
    return total


@attrs.frozen(eq=False)
class _Verdicts:
    """Sequences of one query that are not certified by the first look, as indices into ``[V^(K−1)]``."""

    wrong: Tensor
    open: Tensor


def _first_look(tables: _QueryTables, vocab: int) -> _Verdicts:
    """Decide all sequences of one query with plain floats; see the module's docstring."""
    q, others = tables.query, len(tables.rows) - 1
    if others == 0:
        blocks: Iterator[tuple[Tensor, Tensor, Tensor]] = iter(
            [(tables.rows[0], tables.errors[0], torch.tensor([q]))]
        )
    else:
        blocks = _blocks(tables, vocab)
    wrong, left, start = [], [], 0
    for numerators, error, largest in blocks:
        at_max = numerators.gather(1, largest[:, None])
        best_other = numerators.scatter_(1, largest[:, None], -torch.inf).amax(1)
        lead = at_max[:, 0] - best_other
        threshold = error * 2  # exact, or inf
        certified, refuted = lead > threshold, -lead > threshold
        cost.record(flops=lead.numel(), comparisons=numerators.numel() + lead.numel())
        wrong.append(refuted.nonzero()[:, 0] + start)
        left.append((~(certified | refuted)).nonzero()[:, 0] + start)
        start += numerators.shape[0]
    return _Verdicts(torch.cat(wrong), torch.cat(left))


def _blocks(tables: _QueryTables, vocab: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Numerators ``[B, V]``, their errors ``[B]`` and the largest token ``[B]``, block by block in
    sequence order."""
    tokens, others = torch.arange(vocab), len(tables.rows) - 1
    tail = 1
    while tail < others and vocab ** (tail + 2) <= _BLOCK:
        tail += 1
    head = others - tail
    tail_rows, tail_errors = _row_sums(tables.rows[head:-1]), _error_sums(tables.errors[head:-1])
    tail_largest = _largest(tokens, tail)
    head_rows, head_errors = tables.rows[-1], tables.errors[-1]
    head_largest = torch.tensor([tables.query])
    if head:
        head_rows = _row_sums((head_rows, *tables.rows[:head]))
        head_errors = _error_sums((head_errors, *tables.errors[:head]))
        head_largest = torch.maximum(head_largest, _largest(tokens, head))
    for row, error, largest in zip(head_rows, head_errors, head_largest, strict=True):
        numerators = tail_rows + row
        cost.record(flops=numerators.numel())
        yield numerators, rounding.add_up(tail_errors, error), torch.maximum(tail_largest, largest)


def _tokens_of(indices: Tensor, vocab: int, others: int) -> Tensor:
    """``[N, K−1]`` tokens of sequences given by index, the first position the most significant digit."""
    powers = vocab ** torch.arange(others - 1, -1, -1)
    return (indices[:, None] // powers) % vocab


def _second_look(paths: Paths, weights: ScaledWeights, q: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Decide the sequences ``tokens [N, K]`` (query last) with tightest arithmetic: proved right, proved
    wrong."""
    positions = torch.arange(paths.n_ctx)
    largest = tokens.amax(1)
    mine = weights[q, tokens, positions]
    scaled = mine.over(mine.exponent.amax(1, keepdim=True))
    logits = paths.EVOU[tokens] + (paths.PVOU + paths.EUPU[q])
    to_max = logits - logits.take_along_dim(largest[:, None, None], 2)
    lead = (scaled[:, :, None] * to_max).sum(1)
    other = torch.ones(tokens.shape[0], paths.vocab, dtype=torch.bool).scatter_(1, largest[:, None], False)
    right = (lead.certainly_lt(0.0) | ~other).all(1)
    wrong = (lead.certainly_ge(0.0) & other).any(1)
    return right, wrong


def _settle(paths: Paths, weights: ScaledWeights, q: int, verdicts: _Verdicts) -> tuple[Tensor, int]:
    """Tokens ``[N, K−1]`` of every sequence of query q that is not certified, in order, and how many stay
    open."""
    others, exceptions, undecided = paths.n_ctx - 1, [verdicts.wrong], 0
    for part in verdicts.open.split(max(1, _SECOND_LOOK // (paths.n_ctx * paths.vocab))):
        tokens = _tokens_of(part, paths.vocab, others)
        full = torch.cat([tokens, torch.full((part.numel(), 1), q)], 1)
        right, wrong = _second_look(paths, weights, q, full)
        exceptions.append(part[~right])
        undecided += int((~(right | wrong)).sum())
    return _tokens_of(torch.cat(exceptions).sort().values, paths.vocab, others), undecided


def _classes(q: int, exceptions: Tensor, vocab: int, k: int) -> Iterator[SetContent]:
    """The classes of one query as boxes without their exceptions (which are in lexicographic order)."""
    by_max: dict[int, list[tuple[int, ...]]] = {}
    for row in exceptions.tolist():
        by_max.setdefault(max((q, *row)), []).append(tuple(row))
    for m in range(q, vocab if k > 1 else q + 1):
        yield full_content(q, m, k, tuple(by_max.get(m, ())))


@attrs.frozen
class BruteForce:
    """The strategy ``brute-force``; see the module's docstring."""

    name: str = "brute-force"
    version: int = 1
    family: Family = Family.PUBLISHED
    complexity_class: ComplexityClass = ComplexityClass.BRUTE_FORCE
    semantics: Semantics = Semantics.REAL
    description: str = "every sequence decided; O(V^(K+1) K), exact"
    witness_type: type[NoWitness] = NoWitness

    def search(self, model: Model) -> NoWitness:
        """Nothing to search for."""
        _check_reach(model)
        check_executable(model, self.semantics)
        return NoWitness()

    def verify(self, model: Model, witness: NoWitness) -> CertifiedSet:
        """One box per class, minus the sequences that are wrong or too close to call.

        Raises:
            StrategyError: more than `MOST_SEQUENCES` sequences, or more than `MOST_EXCEPTIONS` exceptions.
        """
        _check_reach(model)
        of = tables(model, self.semantics)
        paths, weights = of.paths, of.weights
        entries: list[SetContent] = []
        found = undecided = 0
        for q in range(model.vocab):
            verdicts = _first_look(_query_tables(paths, weights, q), model.vocab)
            exceptions, still_open = _settle(paths, weights, q, verdicts)
            found, undecided = found + exceptions.shape[0], undecided + still_open
            if found > MOST_EXCEPTIONS:
                raise StrategyError(
                    f"more than {MOST_EXCEPTIONS} of {model.total} sequences are wrong or undecided; "
                    "brute-force lists them one by one: use 'cubic' for a model this poor"
                )
            entries += _classes(q, exceptions, model.vocab, model.n_ctx)
        return CertifiedSet(model.n_ctx, model.vocab, tuple(entries), two_sided=undecided == 0)

    def unexplained_dimension(self, model: Model) -> int:
        """``V^(K+1)``: every logit of every sequence."""
        return int(model.vocab ** (model.n_ctx + 1))


def _check_reach(model: Model) -> None:
    if model.total > MOST_SEQUENCES:
        raise StrategyError(
            f"brute-force would decide all {model.vocab}^{model.n_ctx} = {model.total} sequences, more than "
            f"{MOST_SEQUENCES}; use 'cubic' or a separable strategy for this model"
        )


STRATEGIES: Final = (BruteForce(), BruteForce(semantics=Semantics.FLOAT32))
