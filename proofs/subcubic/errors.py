"""The attention error: ten ways to bound the scores without, or with, multiplying out EQKE.

Each choice is a split ``EQKE = Ã + R`` (`proofs.subcubic.split`) and a bound ρ(q) on the row ranges of R
(`proofs.subcubic.rows`).
"""

from __future__ import annotations

import abc
import enum

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from certkit.relax import MeanRows
from proofs import paths
from proofs.model import Model
from proofs.subcubic.attention import ScoreSplit, score_split
from proofs.subcubic.choice import Choice
from proofs.subcubic.polish import Polish
from proofs.subcubic.rows import MaxDiff, MultipliedOut, Recursive, ResidualBound, SpectralNorm
from proofs.subcubic.split import Factoring, FourFactors, TwoFactors
from proofs.subcubic.tables import fingerprint
from proofs.workspace import shared


class Work(enum.Enum):
    """What the attention path costs in the vocabulary size V and the width d."""

    EXACT = "V²d"
    PRODUCTS = "V² + V·d²"
    VECTORS = "V² + V·d"


class AttentionError(Choice):
    """A choice for the attention error, named after ``attn-err-``; its witness vectors are directions."""

    work: Work

    @abc.abstractmethod
    def split(self, model: Model, directions: tuple[Tensor, ...]) -> ScoreSplit[Interval]:
        """The split for these directions, which have the stated `shapes` and finite values."""


@attrs.frozen
class ExactScores(AttentionError):
    """R = 0: the score table itself."""

    name: str = "exact-EQKE+max-diff-exact"
    summary: str = "score table multiplied out"
    work: Work = Work.EXACT

    def split(self, model: Model, directions: tuple[Tensor, ...]) -> ScoreSplit[Interval]:
        """``Ã = EQKE``, ρ = 0."""
        return score_split(paths.eqke(model), Interval.exact(torch.zeros(model.vocab, dtype=torch.float64)))

    def unexplained_dimension(self, model: Model) -> int:
        """``V²``."""
        return model.vocab**2


@attrs.frozen
class LowRank(AttentionError):
    """A low-rank Ã and a bound on the rest.

    Attributes:
        name: the part of the strategy name after ``attn-err-``.
        summary: a few words for the description.
        factoring: how EQKE is written as a product, and what is removed from it.
        bound: how ρ(q) is computed from the factors of R.
        work: what verification costs.
        polish: how the search goes on from singular vectors, towards a smaller mean of ρ(q).
    """

    name: str
    summary: str
    factoring: Factoring
    bound: ResidualBound
    work: Work
    polish: Polish

    def split(self, model: Model, directions: tuple[Tensor, ...]) -> ScoreSplit[Interval]:
        """See the class."""
        peeled = self.factoring.peel(model, directions)
        return score_split(peeled.approx, self.bound.row_range(peeled.factors))

    def shapes(self, model: Model) -> tuple[tuple[int, ...], ...]:
        """Those of the factoring."""
        return self.factoring.shapes(model)

    def propose(self, model: Model) -> tuple[Tensor, ...]:
        """Singular vectors, polished."""

        def mean_range(directions: tuple[Tensor, ...]) -> Tensor:
            return self.bound.loss(self.factoring.remainder(model, directions)).mean()

        return self.polish.improve(self.factoring.start(model), mean_range)

    def unexplained_dimension(self, model: Model) -> int:
        """That of the bound."""
        return self.bound.unexplained_dimension(model.vocab, model.d_model)


def _low_rank() -> tuple[LowRank, ...]:
    first_pair, two_pairs, four = TwoFactors(second=False), TwoFactors(second=True), FourFactors()
    none, short, medium, long = Polish(), Polish(40, 3e-3), Polish(80, 2e-2), Polish(100, 6e-2)
    return (
        LowRank("max-diff-exact", "residual multiplied out", two_pairs, MultipliedOut(), Work.EXACT, none),
        LowRank("svd", "residual by its spectral norm", two_pairs, SpectralNorm(), Work.PRODUCTS, none),
        LowRank("max-diff", "residual by column ranges", first_pair, MaxDiff(False), Work.PRODUCTS, short),
        LowRank(
            "mean+max-diff",
            "residual by column ranges around the mean row",
            first_pair,
            MaxDiff(True),
            Work.PRODUCTS,
            short,
        ),
        LowRank(
            "max-diff-subproduct",
            "residual by column ranges, best split of four factors",
            four,
            MaxDiff(False),
            Work.PRODUCTS,
            medium,
        ),
        LowRank(
            "mean+max-diff-subproduct",
            "residual by column ranges around the mean row, best split of four factors",
            four,
            MaxDiff(True),
            Work.PRODUCTS,
            medium,
        ),
        LowRank(
            "max-diff-subproduct-recursive",
            "residual never multiplied out",
            four,
            Recursive(MeanRows.NONE),
            Work.VECTORS,
            long,
        ),
        LowRank(
            "mean+max-diff-subproduct-recursive",
            "residual never multiplied out, first mean row split off",
            four,
            Recursive(MeanRows.FIRST),
            Work.VECTORS,
            long,
        ),
        LowRank(
            "mean-recursive+max-diff-subproduct-recursive",
            "residual never multiplied out, every mean row split off",
            four,
            Recursive(MeanRows.EVERY),
            Work.VECTORS,
            long,
        ),
    )


ATTENTION_ERRORS: tuple[AttentionError, ...] = (ExactScores(), *_low_rank())


def attention_split(
    model: Model, error: AttentionError, directions: tuple[Tensor, ...]
) -> ScoreSplit[Interval]:
    """``error.split``, kept in the active workspace."""
    key = ("proofs.subcubic", "split", error.name, fingerprint(directions))
    return shared(model, key, lambda: error.split(model, directions))


def proposed_directions(model: Model, error: AttentionError) -> tuple[Tensor, ...]:
    """``error.propose``, kept in the active workspace of the search."""
    return shared(model, ("proofs.subcubic", "propose", error.name), lambda: error.propose(model))
