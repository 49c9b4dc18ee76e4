"""Changes of a model that change nothing it says: what is proved of one must hold of the other.

Each change is exact in float32, so the changed model gets the same sequences right as the original (or the
same ones with their positions exchanged), to the last tie. `Change.sequence` says where a sequence went.

* another **basis** of the residual stream, or of the queries and keys, or of the values: a permutation of
  dimensions, signs, and powers of two;
* a **constant** added to all logits: one vector added to every column of W_U;
* **scaled** logits: W_U times a power of two;
* non-query **positions** exchanged: their rows of W_pos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import torch
from torch import Tensor

from certkit.testing.models import Weights

__all__ = ["Change", "changes"]


@attrs.frozen(eq=False)
class Change:
    """A changed model.

    Attributes:
        name: what was done.
        weights: the changed tensors.
        source: the new model does with ``t[0] … t[K-1]`` what the old one does with ``t[source[0]] …``.
    """

    name: str
    weights: Mapping[str, Tensor]
    source: tuple[int, ...]

    def sequence(self, original: tuple[int, ...]) -> tuple[int, ...]:
        """The sequence on which the changed model does what the original one does on this one.

        >>> weights = {"W_pos": torch.zeros(3, 1)}
        >>> Change("example", weights, (1, 0, 2)).sequence((5, 6, 7))
        (6, 5, 7)
        """
        return tuple(original[p] for p in self.source)


@attrs.frozen(eq=False)
class _Basis:
    """Another basis: dimension i is the old ``order[i]`` times ``factor[i]``, plus or minus a power of 2."""

    order: Tensor
    factor: Tensor

    @classmethod
    def draw(cls, size: int, generator: torch.Generator, reach: int) -> _Basis:
        signs = torch.randint(0, 2, (size,), generator=generator) * 2.0 - 1.0
        powers = torch.randint(-reach, reach + 1, (size,), generator=generator)
        return cls(torch.randperm(size, generator=generator), torch.ldexp(signs, powers))

    def vectors(self, rows: Tensor) -> Tensor:
        """Vectors ``[N, d]`` in the new basis."""
        return rows[:, self.order] * self.factor

    def forms(self, columns: Tensor) -> Tensor:
        """What is applied to vectors, ``[d, N]``, in the new basis."""
        return columns[self.order] / self.factor[:, None]


def _residual(weights: Weights, basis: _Basis) -> Weights:
    changed = {name: basis.vectors(weights[name]) for name in ("W_E", "W_pos", "W_O")}
    return {**changed, **{name: basis.forms(weights[name]) for name in ("W_Q", "W_K", "W_V", "W_U")}}


def _heads(weights: Weights, scores: _Basis, values: _Basis) -> Weights:
    return {
        **weights,
        "W_Q": scores.vectors(weights["W_Q"]),
        "W_K": scores.forms(weights["W_K"].mT).mT,
        "W_V": values.vectors(weights["W_V"]),
        "W_O": values.forms(weights["W_O"]),
    }


def _shifted(weights: Weights, generator: torch.Generator) -> Weights | None:
    """A constant on all logits, if float32 can add it exactly."""
    constant = torch.randint(-8, 9, (weights["W_U"].shape[0], 1), generator=generator).float()
    exact, rounded = weights["W_U"].double() + constant, weights["W_U"] + constant
    return {**weights, "W_U": rounded} if torch.equal(exact, rounded.double()) else None


def changes(weights: Mapping[str, Tensor], seed: int) -> Iterator[Change]:
    """Each kind of change of a model, drawn by the seed; those that float32 cannot make exactly are left out.

    >>> from certkit.testing.models import Kind, Sizes, tiny_weights
    >>> model = tiny_weights(Kind.INTEGER, Sizes(vocab=3, n_ctx=3), seed=0)
    >>> [change.name for change in changes(model, seed=1)]
    ['residual basis', 'head basis', 'constant on all logits', 'scaled logits', 'positions exchanged']
    """
    generator = torch.Generator().manual_seed(seed)
    old = dict(weights)
    k, (d, h) = old["W_pos"].shape[0], old["W_Q"].shape
    where = tuple(range(k))
    residual = _residual(old, _Basis.draw(d, generator, reach=3))
    heads = _heads(old, _Basis.draw(h, generator, reach=3), _Basis.draw(h, generator, reach=3))
    shifted = _shifted(old, generator)
    order = [*torch.randperm(k - 1, generator=generator).tolist(), k - 1]
    if k > 2 and order == list(where):
        order = [1, 0, *order[2:]]
    candidates = (
        ("residual basis", residual, where),
        ("head basis", heads, where),
        ("constant on all logits", shifted, where),
        ("scaled logits", {**old, "W_U": old["W_U"] * 2.0}, where),
        ("positions exchanged", {**old, "W_pos": old["W_pos"][order]}, tuple(order)),
    )
    for name, changed, source in candidates:
        if changed is not None and _in_range(changed):
            yield Change(name, changed, source)


def _in_range(weights: Weights) -> bool:
    """Whether a product with a power of two cannot have overflowed or lost bits of a subnormal number."""
    tiny, huge = torch.finfo(torch.float32).tiny * 16, torch.finfo(torch.float32).max / 16
    sizes = torch.cat([tensor.abs().flatten() for tensor in weights.values()])
    return bool(((sizes == 0) | ((sizes > tiny) & (sizes < huge))).all())
