"""``separable-pool``: the tails of all outputs of a class in one number; for large vocabularies.

As in `proofs.separable.tail`, for ``λ ≥ 0`` at most ``T_x(λ)`` sequences of a class fail for x, the sum of
``e^{λ Σ_p f_p(t_p)}`` over the class, which factorises over positions. So with any multipliers ``λ_1 … λ_n``
at most ``Σ_{x≠m} min_i T_x(λ_i)`` sequences fail. No output is excluded beforehand and none has a multiplier
of its own: every class has a *ladder* ``λ·(1, 2, 3, 4, 6, 8, …)``, each step from the fourth on twice the one
before the last, so that one exponential for each position, token and output gives all powers by products.

Where attention is steep few tokens matter. Tokens below m whose weight is at most ω are *light*: for them
``f_p(t) ≤ h = ω · max_p s_p · max(0, G)``, with s_p the weight of the position and G at least every numerator
of a light token. All of them share ``e^{λh}``; only the others take a power for each output. What is light
changes the bound, never its soundness.

`proofs.separable.pool_sums` has the sums, of all classes of a query with the same ladder at once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from certkit.certificate import CertifiedSet, PoolContent, round_up_32, runs_from_mask
from proofs.model import Model
from proofs.paths import Paths, path_tables
from proofs.separable.counted import mul_up, sum_positive_up
from proofs.separable.numerator import Query, query_tables
from proofs.separable.pool_sums import level_bounds, pool_terms, slack, steps
from proofs.separable.queries import each_query
from proofs.separable.shares import worth_it
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.witness import WitnessError, require_range, require_tensor

__all__ = ["STRATEGIES", "PoolWitness", "SeparablePool", "class_pools"]

LEVELS: Final = 28
"""Multipliers of a class: up to 16384 times the first."""
FIRST: Final = 0.25
"""The first multiplier in the reciprocal of the largest term of m, or down to 1/`BAND` of it."""
BAND: Final = 64
"""First multipliers are powers of this, so that many classes share one."""
LIGHT: Final = 2.0**-13
"""Weight, in that of the token with most attention, up to which a token is light."""
SHARPNESS: Final = 2.0**-10
"""A ladder is cut short where this much more, in proportion, may fail for it."""
DROPPED: Final = 1e-4
"""Classes that hold less than this share of all sequences, together, are left out."""


@attrs.frozen(eq=False)
class PoolWitness:
    """A ladder for each of C classes (q, m), sorted, none twice.

    Both numbers are about f divided by ``e^c``, c being the shift of the greatest maximum of the query
    (`Query.shift`).

    Attributes:
        q, m: ``[C]`` int64.
        multiplier: ``[C]`` float64, finite and ≥ 0, the first of the ladder.
        light: ``[C]`` float64, finite and ≥ 0: tokens of at most this weight are light.
    """

    q: Tensor
    m: Tensor
    multiplier: Tensor
    light: Tensor

    def checked(self, vocab: int) -> PoolWitness:
        """This witness, if it is one for a vocabulary of this size.

        Raises:
            WitnessError: a wrong shape or type, a token out of range, classes out of order, a number that is
            not finite or negative.
        """
        classes = len(self.q) if isinstance(self.q, Tensor) and self.q.dim() == 1 else 0
        for name in ("q", "m"):
            tensor = require_tensor(name, getattr(self, name), (classes,), torch.int64)
            require_range(name, tensor, 0, vocab - 1)
        for name in ("multiplier", "light"):
            tensor = require_tensor(name, getattr(self, name), (classes,))
            require_range(name, tensor, 0.0, rounding.MAX)
        code = self.q * vocab + self.m
        if bool((code[1:] <= code[:-1]).any()) or bool((self.m < self.q).any()):
            raise WitnessError("witness classes (q, m) need q ≤ m, must be sorted and different")
        return self


@attrs.frozen(eq=False)
class _Pools:
    """For M classes: the first step and the number of levels of a ladder, and the bound on what fails."""

    step: Tensor
    levels: Tensor
    failing_upper: Tensor


def class_pools(paths: Paths, query: Query, ladder: float, m: Tensor, light: Tensor) -> _Pools:
    """Bounds for the classes (query.q, m); inf where there is none.

    ``ladder`` is the first multiplier of all of them; ``light [M, V]`` says which tokens are.
    """
    terms = pool_terms(paths, query, m, light)
    bounds = torch.stack(list(level_bounds(terms, terms.asked.new_tensor(ladder), LEVELS)))
    bounds[:, torch.arange(len(m)), m] = 0.0
    return _shortest(bounds, slack(terms, LEVELS))


def _shortest(bounds: Tensor, factor: float) -> _Pools:
    """The shortest part of a ladder that is as good as all of it but for `SHARPNESS`; ``bounds [L, M, X]``.

    Each part begins at a power of two, hence lacks one and a half times that. ``factor`` is that of `slack`.
    """
    scale, every = bounds.new_tensor(factor), steps(LEVELS)
    enough = bounds.amin(0).sum(1) * factor * (1 + SHARPNESS)
    step = torch.ones(bounds.shape[1], dtype=torch.int64)
    levels, failing = torch.full_like(step, LEVELS + 1), torch.full_like(enough, torch.inf)
    for first in (step for step in every if step & (step - 1) == 0):
        part = [i for i, other in enumerate(every) if other >= first and other * 2 != first * 3]
        total = mul_up(sum_positive_up(bounds[part].cummin(0).values, 2), scale)  # by last level, it falls
        cost.record(comparisons=bounds[part].numel())
        count = (total > enough).sum(0) + 1
        better = (count < levels) & (count <= len(part))
        step[better], levels[better] = first, count[better]
        failing[better] = total.gather(0, (count - 1).clamp(max=len(part) - 1)[None])[0][better]
    return _Pools(step, levels, failing)


def _light(query: Query, m: Tensor, most: Tensor) -> Tensor:
    """``[M, V]`` tokens below m of at most this weight."""
    weight = query.weight_upper[-1]
    return (weight <= most[:, None]) & (torch.arange(len(weight)) < m[:, None])


def _search_query(paths: Paths, kept: Tensor, q: int) -> tuple[Tensor, Tensor, Tensor]:
    """The maxima of one query that are worth it, their first multipliers, and what is light."""
    query, m = query_tables(paths, q), kept[q].nonzero()[:, 0]
    weight = query.weight_upper[-1].cummax(0).values
    place = paths.PVOU.hi + paths.EUPU.hi[q]
    spread = (paths.EVOU.hi[m] - paths.EVOU.hi[m, m][:, None]).abs().amax(1)
    spread = spread + (place - place[:, m].T[:, :, None]).abs().amax((1, 2))
    largest = query.weight_upper[-1][m] * query.position_upper.max() * spread
    exponent = (math.log(FIRST, BAND) - largest.clamp(min=1e-200).log() / math.log(BAND)).floor()
    multiplier = torch.pow(float(BAND), exponent.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
    return m, multiplier, _short(LIGHT * weight[m].clamp(max=1.0))


def _short(numbers: Tensor) -> Tensor:
    """Numbers nearby with few digits."""
    mantissa, exponent = torch.frexp(numbers)
    return torch.ldexp((mantissa * 64).round() / 64, exponent)


def _verify_query(paths: Paths, witness: PoolWitness, q: int) -> list[PoolContent]:
    query, here = query_tables(paths, q), (witness.q == q).nonzero()[:, 0]
    last = q + query.weight_upper.shape[0] - 1  # with one position there is no class with m > q
    here = here[witness.m[here] <= last]
    contents = list[PoolContent]()
    for first in witness.multiplier[here].unique().tolist():
        band = here[witness.multiplier[here] == first]
        m, light = witness.m[band], _light(query, witness.m[band], witness.light[band])
        pools = class_pools(paths, query, first, m, light)
        columns = (m, pools.step, pools.levels, pools.failing_upper)
        for shared, *row in zip(light.tolist(), *(column.tolist() for column in columns), strict=True):
            maximum, step, levels, bound = row
            if math.isfinite(bound) and math.isfinite(first * step):
                ladder = query.shift(last), runs_from_mask(shared), first * step, levels
                contents.append(PoolContent(q, maximum, *ladder, round_up_32(math.floor(bound))))
    useful = (content for content in contents if content.correct_at_least(paths.n_ctx))
    return sorted(useful, key=lambda content: content.m)


@attrs.frozen
class SeparablePool:
    """The strategy ``separable-pool``; see the module."""

    name: str = "separable-pool"
    version: int = 1
    family: Family = Family.SEPARABLE
    complexity_class: ComplexityClass = ComplexityClass.QUARTIC
    semantics: Semantics = Semantics.REAL
    description: str = "the tails of all outputs of a class in one number: for large vocabularies"
    witness_type: type[PoolWitness] = PoolWitness

    def search(self, model: Model) -> PoolWitness:
        """A ladder for each class that is worth it."""
        paths = path_tables(model)
        kept = worth_it(model.vocab, model.n_ctx, DROPPED)
        found = list(each_query(partial(_search_query, paths, kept), model.vocab))
        q = torch.cat([torch.full_like(m, q) for q, (m, _, _) in enumerate(found)])
        m, multiplier, light = (torch.cat(parts) for parts in zip(*found, strict=True))
        return PoolWitness(q, m, multiplier, light)

    def verify(self, model: Model, witness: PoolWitness) -> CertifiedSet:
        """Every class of the witness by its pool of tails.

        Raises:
            WitnessError: as `PoolWitness.checked`.
        """
        witness.checked(model.vocab)
        paths = path_tables(model)
        found = each_query(partial(_verify_query, paths, witness), model.vocab)
        contents = tuple(content for of_query in found for content in of_query)
        return CertifiedSet(model.n_ctx, model.vocab, contents)

    def unexplained_dimension(self, model: Model) -> int:
        """All five path tables: nothing is compressed."""
        v, k = model.vocab, model.n_ctx
        return 3 * v * v + 2 * k * v


STRATEGIES: Final = (SeparablePool(),)
