"""Affine forms (zonotopes): interval tensors that remember which uncertainty they share.

An `Affine` tensor stands for all ``x = centre + Σ_i ε_i · generators[i] + ρ`` with noise symbols ``ε_i ∈
[-1, 1]`` and ``ρ ∈ remainder``.  A symbol has one value wherever it occurs, in every tensor that mentions
it, so what two operands share cancels: ``x - x`` is 0 up to rounding, where intervals double the width.
The remainder is not shared.

Centre and generators are floats; every operation computes them in interval arithmetic and moves what rounding
left over into the remainder, so no point is ever lost:

* sums and products with known numbers (tensors, intervals) act on centre, generators and remainder
  separately;
* a product of two affine tensors is linear up to the product of the two deviations, which is enclosed;
* a function of one variable is replaced by a strip ``s x + offset`` of `certkit.relax` over the tensor's
  range.

The enclosed non-linear part becomes one fresh symbol per element, so that later layers can still cancel it.
`reduce` folds the smallest generators into the remainder when there are too many.

Sources: Comba and Stolfi (1993), Affine arithmetic; Girard (2005) for zonotopes and their reduction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs
import torch
from torch import Tensor

from certkit import relax
from certkit._rounding.chunks import common_shape
from certkit.interval import Interval
from certkit.relax import Strip
from certkit.relax._points import point

__all__ = ["Affine"]

_names = itertools.count()

Known = Interval | Tensor | float | int


@attrs.frozen(eq=False)
class Affine:
    """``centre + Σ_i ε_i · generators[i] + remainder``; made by `Affine.from_interval`.

    Attributes:
        centre: Finite float64 numbers of some shape.
        generators: Finite float64 numbers, one tensor of that shape per symbol: ``[k, *shape]``.
        symbols: The names of the symbols, int64, strictly increasing: ``[k]``.
        remainder: Intervals of that shape, not shared with anything.

    Raises:
        ValueError: shapes that do not fit, names out of order, or numbers that are not finite.

    Example:
        >>> x = Affine.from_interval(Interval.hull(torch.zeros(2), torch.ones(2)))
        >>> (x - x).to_interval().wid().tolist(), (x + x).to_interval().hi.tolist()
        ([0.0, 0.0], [2.0, 2.0])
    """

    centre: Tensor
    generators: Tensor
    symbols: Tensor
    remainder: Interval

    def __attrs_post_init__(self) -> None:
        if self.generators.shape != (self.symbols.numel(), *self.centre.shape):
            raise ValueError(
                f"generators have shape {tuple(self.generators.shape)}, expected one tensor of shape "
                f"{tuple(self.centre.shape)} for each of {self.symbols.numel()} symbols"
            )
        if self.remainder.shape != self.centre.shape:
            raise ValueError(
                f"remainder has shape {tuple(self.remainder.shape)}, not {tuple(self.centre.shape)}"
            )
        if not bool((self.symbols[1:] > self.symbols[:-1]).all()):
            raise ValueError("symbols must be strictly increasing")
        if not bool(torch.isfinite(self.centre).all() & torch.isfinite(self.generators).all()):
            raise ValueError("centre and generators must be finite")

    # --- making and reading ---

    @classmethod
    def from_interval(cls, x: Interval) -> Self:
        """One fresh symbol for every element that is not a point.

        Raises:
            ValueError: an unbounded or empty element.
        """
        if not bool(torch.isfinite(x.lo).all() & torch.isfinite(x.hi).all()):
            raise ValueError("an affine form needs bounded, non-empty intervals")
        centre = x.mid()
        nothing = centre.new_zeros(0, *centre.shape)
        names = torch.zeros(0, dtype=torch.int64, device=centre.device)
        still = cls(centre, nothing, names, point(torch.zeros_like(centre)))
        return still._with_fresh_symbols(x.rad())

    def to_interval(self) -> Interval:
        """The range of every element: contains every value the affine form stands for."""
        return point(self.centre) + _symmetric(_total(self.generators.abs())) + self.remainder

    def __repr__(self) -> str:
        return f"Affine(within {self.to_interval()!r}, {self.symbols.numel()} symbols)"

    def at(self, values: Mapping[int, float]) -> Interval:
        """The range when the named symbols have these values, the others being free.

        Args:
            values: A number in [-1, 1] for each name; names that do not occur are ignored.

        Raises:
            ValueError: a value outside [-1, 1].
        """
        for name, value in values.items():
            if not -1.0 <= value <= 1.0:
                raise ValueError(f"symbol {name} has the value {value}; it must be in [-1, 1]")
        names = self.symbols.tolist()
        fixed = torch.tensor([name in values for name in names], dtype=torch.bool)
        amount = torch.tensor([values.get(name, 0.0) for name in names], dtype=torch.float64)
        shape = (-1, *[1] * self.centre.ndim)
        known = point(self.generators) * amount.reshape(shape).to(self.centre.device)
        free = self.generators.abs() * (~fixed).reshape(shape).to(self.centre.device)
        return point(self.centre) + known.sum(0) + _symmetric(_total(free)) + self.remainder

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self.centre.shape

    def to(self, device: torch.device | str) -> Self:
        """The same form on another device."""
        centre, generators, symbols = (x.to(device) for x in (self.centre, self.generators, self.symbols))
        return type(self)(centre, generators, symbols, self.remainder.to(device))

    # --- shapes ---

    def reshape(self, *shape: int) -> Self:
        """As torch.Tensor.reshape."""
        centre = self.centre.reshape(*shape)
        generators = self.generators.reshape(self.symbols.numel(), *centre.shape)
        return type(self)(centre, generators, self.symbols, self.remainder.reshape(*centre.shape))

    def expand(self, shape: torch.Size) -> Self:
        """Broadcast to a shape; the copies share their symbols (but not their remainders)."""
        padding = [1] * (len(shape) - self.centre.ndim)
        generators = (
            self.generators.reshape(-1, *padding, *self.centre.shape)
            if self.symbols.numel()
            else (self.generators.new_zeros(0, *[1] * len(shape)))
        )
        return type(self)(
            self.centre.expand(shape),
            generators.expand(self.symbols.numel(), *shape),
            self.symbols,
            self.remainder.expand(shape),
        )

    def __getitem__(self, index: Any) -> Self:
        index = index if isinstance(index, tuple) else (index,)
        every = (slice(None), *index)
        return type(self)(self.centre[index], self.generators[every], self.symbols, self.remainder[index])

    @property
    def mT(self) -> Self:
        """The last two dimensions exchanged."""
        return type(self)(self.centre.mT, self.generators.mT, self.symbols, self.remainder.mT)

    # --- linear operations ---

    def __neg__(self) -> Self:
        return type(self)(-self.centre, -self.generators, self.symbols, -self.remainder)

    def __add__(self, other: Affine | Known) -> Self:
        if isinstance(other, Affine):
            a, b = _aligned(self, other)
            generators = point(a.generators) + point(b.generators)
            return self._settled(point(a.centre) + b.centre, generators, a.symbols, a.remainder + b.remainder)
        known = _known(other, self)
        wide = self.expand(common_shape(self.shape, known.shape))
        return self._settled(point(wide.centre) + known, point(wide.generators), self.symbols, wide.remainder)

    def __sub__(self, other: Affine | Known) -> Self:
        return self + (-other)

    def __rsub__(self, other: Known) -> Self:
        return -self + other

    __radd__ = __add__

    def __mul__(self, other: Affine | Known) -> Self:
        if isinstance(other, Affine):
            return self._product(other, lambda x, y: x * y)
        known = _known(other, self)
        wide = self.expand(common_shape(self.shape, known.shape))
        centre, generators = point(wide.centre) * known, point(wide.generators) * known
        return self._settled(centre, generators, self.symbols, wide.remainder * known)

    __rmul__ = __mul__

    def __truediv__(self, other: Affine | Known) -> Self:
        if isinstance(other, Affine):
            return self * other.reciprocal()
        return self * (1.0 / _known(other, self))

    def __rtruediv__(self, other: Known) -> Self:
        return self.reciprocal() * other

    def __matmul__(self, other: Affine | Known) -> Self:
        """Products of matrices (two dimensions or more each)."""
        if isinstance(other, Affine):
            return self._product(other, lambda x, y: x @ y)
        return self._linear(lambda x: x @ _known(other, self))

    def __rmatmul__(self, other: Known) -> Self:
        return self._linear(lambda x: _known(other, self) @ x)

    def sum(self, dim: int) -> Self:
        """Sums over one dimension."""
        dim = dim % self.centre.ndim
        centre, generators = point(self.centre).sum(dim), point(self.generators).sum(dim + 1)
        return self._settled(centre, generators, self.symbols, self.remainder.sum(dim))

    def _linear(self, map_: Callable[[Interval], Interval]) -> Self:
        """A linear map of matrices, applied to every part; generators are one more batch dimension."""
        if self.centre.ndim < 2:
            raise ValueError(
                f"@ needs matrices, got shape {tuple(self.shape)}; use reshape(-1, 1) for a vector"
            )
        centre, remainder = map_(point(self.centre)), map_(self.remainder)
        if self.symbols.numel() == 0:
            generators = point(centre.lo.new_zeros(0, *centre.shape))
        else:
            generators = map_(point(self.generators))
        return self._settled(centre, generators, self.symbols, remainder)

    # --- non-linear operations ---

    def _product(self, other: Affine, times: Callable[[Interval, Interval], Interval]) -> Self:
        """``x y = c d + c (y - d) + (x - c) d + (x - c)(y - d)`` for any bilinear operation ``times``.

        The last term is enclosed from the ranges of the two deviations; its middle joins the centre, its
        radius becomes a fresh symbol.
        """
        a, b = _same_symbols(self, other)
        c, d = point(a.centre), point(b.centre)
        deviations = times(a._deviation(), b._deviation())
        centre = times(c, d) + point(deviations.mid())
        remainder = times(c, b.remainder) + times(a.remainder, d)
        if a.symbols.numel() == 0:
            generators = point(centre.lo.new_zeros(0, *centre.shape))
        else:
            k = a.symbols.numel()
            x, y = _stacked(a.generators, b.centre.ndim), _stacked(b.generators, a.centre.ndim)
            generators = times(c, point(y)) + times(point(x), d)
            generators = generators.reshape(k, *centre.shape)
        return self._settled(centre, generators, a.symbols, remainder)._with_fresh_symbols(deviations.rad())

    def _deviation(self) -> Interval:
        return _symmetric(_total(self.generators.abs())) + self.remainder

    def _through(self, strip: Strip) -> Self:
        """``f(x) ∈ slope · x + offset`` on the range of x."""
        slope, offset = point(strip.slope), strip.offset
        centre = point(self.centre) * slope + point(offset.mid())
        linear = self._settled(centre, point(self.generators) * slope, self.symbols, self.remainder * slope)
        return linear._with_fresh_symbols(offset.rad())

    def exp(self) -> Self:
        """``e^x``, by the chord strip over the range."""
        return self._through(relax.exp_strip(self.to_interval()))

    def log(self) -> Self:
        """The natural logarithm of a positive range."""
        return self._through(relax.log_strip(self.to_interval()))

    def reciprocal(self) -> Self:
        """``1/x`` for a range without 0."""
        return self._through(relax.reciprocal_strip(self.to_interval()))

    def relu(self) -> Self:
        """``max(x, 0)``."""
        return self._through(relax.relu_strip(self.to_interval()))

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return self._through(relax.tanh_strip(self.to_interval()))

    def sigmoid(self) -> Self:
        """``1/(1 + e^-x)``."""
        return self._through(relax.sigmoid_strip(self.to_interval()))

    # --- symbols ---

    def reduce(self, budget: int) -> Self:
        """At most ``budget`` symbols: the smallest generators are folded into the remainder.

        Raises:
            ValueError: a negative budget.
        """
        if budget < 0:
            raise ValueError(f"budget={budget} must not be negative")
        k = self.symbols.numel()
        if k <= budget:
            return self
        size = self.generators.abs().reshape(k, -1).sum(1)  # a preference, nothing rests on it
        kept = size.argsort(descending=True)[:budget].sort().values
        folded = torch.ones(k, dtype=torch.bool, device=self.centre.device).index_fill(0, kept, False)
        remainder = self.remainder + _symmetric(_total(self.generators[folded].abs()))
        return type(self)(self.centre, self.generators[kept], self.symbols[kept], remainder)

    def _with_fresh_symbols(self, radius: Tensor) -> Self:
        """``self + radius · ε`` with a fresh ε for each element; an infinite radius goes to the remainder."""
        bounded = torch.isfinite(radius)
        remainder = self.remainder
        if not bool(bounded.all()):
            remainder = remainder + _symmetric(torch.where(bounded, 0.0, radius))
        moving = torch.nonzero((bounded & (radius > 0)).reshape(-1)).squeeze(1)
        count = moving.numel()
        fresh = self.generators.new_zeros(count, self.centre.numel())
        fresh[torch.arange(count, device=fresh.device), moving] = radius.reshape(-1)[moving]
        names = torch.tensor([next(_names) for _ in range(count)], dtype=torch.int64, device=fresh.device)
        generators = torch.cat((self.generators, fresh.reshape(count, *self.shape)))
        return type(self)(self.centre, generators, torch.cat((self.symbols, names)), remainder)

    def _settled(self, centre: Interval, generators: Interval, symbols: Tensor, remainder: Interval) -> Self:
        """Floats inside the enclosures; what they leave over goes to the remainder. Zero generators are
        dropped.
        """
        chosen = centre.mid()
        remainder = remainder + (centre - point(chosen))
        slopes = generators.mid()
        if generators.lo is not generators.hi:
            stray = (generators - point(slopes)).mag()
            remainder = remainder + _symmetric(_total(stray))
        used = (
            (slopes != 0).flatten(1).any(1)
            if symbols.numel()
            else torch.zeros_like(symbols, dtype=torch.bool)
        )
        return type(self)(chosen, slopes[used], symbols[used], remainder)


def _total(magnitudes: Tensor) -> Tensor:
    """Upper bounds of the sums over the first dimension."""
    if magnitudes.shape[0] == 0:
        return magnitudes.new_zeros(magnitudes.shape[1:])
    return point(magnitudes).sum(0).hi


def _symmetric(radius: Tensor) -> Interval:
    return Interval._unchecked(-radius, radius)


def _known(value: Known, like: Affine) -> Interval:
    return value if isinstance(value, Interval) else Interval.exact(value, device=like.centre.device)


def _stacked(generators: Tensor, other_ndim: int) -> Tensor:
    """Generators whose own dimensions are padded in front, so that they broadcast against ``other_ndim``
    dimensions.
    """
    padding = max(0, other_ndim - (generators.ndim - 1))
    return generators.reshape(generators.shape[0], *[1] * padding, *generators.shape[1:])


def _aligned(a: Affine, b: Affine) -> tuple[Affine, Affine]:
    """Both with the union of their symbols and the broadcast of their shapes."""
    shape = common_shape(a.shape, b.shape)
    return _same_symbols(a.expand(shape), b.expand(shape))


def _same_symbols(a: Affine, b: Affine) -> tuple[Affine, Affine]:
    if torch.equal(a.symbols, b.symbols):
        return a, b
    union = torch.unique(torch.cat((a.symbols, b.symbols)))  # sorted
    return _spread(a, union), _spread(b, union)


def _spread(a: Affine, union: Tensor) -> Affine:
    generators = a.generators.new_zeros(union.numel(), *a.shape)
    generators[torch.searchsorted(union, a.symbols)] = a.generators
    return Affine(a.centre, generators, union, a.remainder)
