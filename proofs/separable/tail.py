"""``separable-tail``: exponential tail bounds on the number of failing sequences, for any context length.

For one pair (m, x) and any finite ``λ ≥ 0`` the indicator of ``Σ_p f_p(t_p) ≥ 0`` is at most ``e^{λ Σ_p
f_p(t_p)}``, and the sum of that over the class (q, m) factorises over positions (Identity 2). With ``a_p(t) =
e^{λ f_p(t)}``, ``Z_p = Σ_{t ≤ m} a_p(t)`` and ``Z'_p = Σ_{t < m} a_p(t)`` it is

    e^{λ f_{K−1}(q)} · Π_p Z_p                                     if q = m,
    e^{λ f_{K−1}(q)} · Σ_p (Π_{i<p} Z_i) · a_p(m) · (Π_{i>p} Z'_i)      if q < m.

The second line is ``Π Z − Π Z'`` written as a sum over the *last* position that holds m: no subtraction, so
an upper bound of every ``a`` gives an upper bound of the whole. A negative λ would turn the inequality round,
and is refused.

The witness is a λ for each pair that may fail. A pair without one leaves its class uncertified.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit.certificate import CertifiedSet, Tail, TailContent, round_up_32
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.alive import alive_terms
from proofs.separable.counted import add_up, exp_up, mul_up, sum_positive_up
from proofs.separable.multipliers import multipliers
from proofs.separable.numerator import Query, Terms
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.witness import WitnessError, require_range, require_tensor

__all__ = ["STRATEGIES", "SeparableTail", "TailWitness", "class_tails", "failing_upper", "tails_of"]


@attrs.frozen(eq=False)
class TailWitness:
    """A multiplier for each of R triples (q, m, x), sorted, none twice.

    Attributes:
        q, m, x: ``[R]`` int64.
        multiplier: ``[R]`` float64, finite and ≥ 0, for f divided by ``e^shift(q, m)`` (`Query.shift`).
    """

    q: Tensor
    m: Tensor
    x: Tensor
    multiplier: Tensor

    def checked(self, vocab: int) -> TailWitness:
        """This witness, if it is one for a vocabulary of this size.

        Raises:
            WitnessError: a wrong shape or type, a token out of range, a multiplier that is not finite or
            negative.
        """
        rows = len(self.q) if isinstance(self.q, Tensor) and self.q.dim() == 1 else 0
        for name in ("q", "m", "x"):
            tensor = require_tensor(name, getattr(self, name), (rows,), torch.int64)
            require_range(name, tensor, 0, vocab - 1)
        require_tensor("multiplier", self.multiplier, (rows,))
        require_range("multiplier", self.multiplier, 0.0, math.inf)
        code = (self.q * vocab + self.m) * vocab + self.x
        if bool((code[1:] <= code[:-1]).any()):
            raise WitnessError("witness triples (q, m, x) are not sorted, or one occurs twice")
        return self

    def for_query(self, q: int, vocab: int) -> Tensor:
        """``[V, V]`` multipliers by (m, x); NaN where there is none."""
        table = torch.full((vocab, vocab), torch.nan, dtype=torch.float64)
        here = self.q == q
        table[self.m[here], self.x[here]] = self.multiplier[here]
        return table


def failing_upper(terms: Terms, multiplier: Tensor, q: int) -> Tensor:
    """``[R]`` upper bounds of the number of sequences of each class on which x is not beaten.

    ``multiplier`` must be finite and ≥ 0. inf where the bound overflows.
    """
    a = exp_up(mul_up(multiplier[:, None, None], terms.upper))
    at_max = terms.m[:, None, None].expand(-1, a.shape[1], 1)
    a_max = a.gather(2, at_max)[..., 0]
    whole = sum_positive_up(a, 2)
    below = sum_positive_up(a.scatter(2, at_max, 0.0), 2)
    number = torch.where(terms.m > q, _last_maximum(a_max, whole, below), _product(whole))
    bound = mul_up(number, exp_up(mul_up(multiplier, terms.query_upper)))
    return bound.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _product(factors: Tensor) -> Tensor:
    out = torch.ones_like(factors[:, :1].sum(1))
    for factor in factors.unbind(1):
        out = mul_up(out, factor)
    return out


def _last_maximum(a_max: Tensor, whole: Tensor, below: Tensor) -> Tensor:
    """``Σ_p (Π_{i<p} whole_i) a_max_p (Π_{i>p} below_i)``, by Horner's scheme over positions."""
    before = torch.ones_like(a_max[:, :1].sum(1))
    out = torch.zeros_like(before)
    for at, total, rest in zip(a_max.unbind(1), whole.unbind(1), below.unbind(1), strict=True):
        out = add_up(mul_up(out, rest), mul_up(before, at))
        before = mul_up(before, total)
    return out


def class_tails(terms: Terms, multiplier: Tensor, q: int) -> dict[int, list[Tail] | None]:
    """By m, the tails of the pairs of ``terms``; None where one lacks a multiplier or a finite bound."""
    missing = torch.isnan(multiplier)
    given = multiplier.masked_fill(missing, 0.0)
    bounds = failing_upper(terms, given, q).masked_fill(missing, torch.inf)
    tails: dict[int, list[Tail] | None] = {}
    for m, x, value, bound in zip(
        terms.m.tolist(), terms.x.tolist(), given.tolist(), bounds.tolist(), strict=True
    ):
        so_far = tails.setdefault(m, [])
        if so_far is None or not math.isfinite(bound):
            tails[m] = None
        else:
            so_far.append(Tail(x, value, round_up_32(math.floor(bound))))
    return tails


def _merge(into: dict[int, list[Tail] | None], more: dict[int, list[Tail] | None]) -> None:
    for m, tails in more.items():
        before = into.get(m, [])
        into[m] = None if before is None or tails is None else before + tails


def tails_of(
    paths: Paths, query: Query, blocks: Iterable[Terms], multiplier: Tensor
) -> dict[int, TailContent]:
    """By m, the content of each class of this query that its tails certify in part.

    ``blocks`` hold the terms of every pair that may fail; ``multiplier [V, V]`` is by (m, x).
    """
    found: dict[int, list[Tail] | None] = {}
    for terms in blocks:
        _merge(found, class_tails(terms, multiplier[terms.m, terms.x], query.q))
    contents = {}
    for m in range(query.q, query.q + query.weight_upper.shape[0]):
        tails = found.get(m, [])
        if tails is None:
            continue
        content = TailContent(query.q, m, query.shift(m) if tails else 0.0, tuple(tails))
        if content.correct_at_least(paths.n_ctx) > 0:
            contents[m] = content
    return contents


@attrs.frozen
class SeparableTail:
    """The strategy ``separable-tail``; see the module."""

    name: str = "separable-tail"
    version: int = 1
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.QUARTIC
    semantics: Semantics = Semantics.REAL
    description: str = "exponential tail bounds on the failing sequences: near-exact at any context length"
    witness_type: type[TailWitness] = TailWitness

    def search(self, model: Model) -> TailWitness:
        """A multiplier for every pair that may fail."""
        paths = path_tables(model)
        columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for query, blocks in alive_terms(paths):
            for terms in blocks:
                q = torch.full_like(terms.m, query.q)
                columns.append((q, terms.m, terms.x, multipliers(terms, query.q)))
        if not columns:
            empty = torch.empty(0, dtype=torch.int64)
            return TailWitness(empty, empty, empty, torch.empty(0, dtype=torch.float64))
        return TailWitness(*(torch.cat(column) for column in zip(*columns, strict=True)))

    def verify(self, model: Model, witness: TailWitness) -> CertifiedSet:
        """Every class with the tail bound of each output that may fail.

        Raises:
            WitnessError: as `TailWitness.checked`.
        """
        witness.checked(model.vocab)
        paths = path_tables(model)
        contents: list[TailContent] = []
        for query, blocks in alive_terms(paths):
            found = tails_of(paths, query, blocks, witness.for_query(query.q, model.vocab))
            contents += [found[m] for m in sorted(found)]
        return CertifiedSet(model.n_ctx, model.vocab, tuple(contents))

    def unexplained_dimension(self, model: Model) -> int:
        """All five path tables: nothing is compressed."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (SeparableTail(),)
