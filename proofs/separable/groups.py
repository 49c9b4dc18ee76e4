"""Rows about groups of outputs: their terms, as upper bounds for every position and token.

A row has a group X of outputs and takes off multiples θ_y ≥ 0 of outputs y that earlier rows of its class
cover. With ``g_p(t, x)`` as in `proofs.separable.numerator` its terms are::

    f_p(t) = w_p(t) · (max_{x∈X} g_p(t, x) − Σ_y θ_y g_p(t, y))

A sequence that fails for some x ∈ X, and for no output of an earlier row, has ``Σ_p f_p(t_p) ≥ Σ_p w_p
g_p(t_p, x) − Σ_y θ_y Σ_p w_p g_p(t_p, y) ≥ 0``: the first sum is not negative, the others are. So the
numbers of sequences with ``Σ_p f_p ≥ 0``, row by row, bound together how many fail in the class. The weight
does not depend on x, hence one maximum for each token and position, and one product.

The numerators are computed in plain floating point: n additions of numbers whose sizes add up to at most B
are off by at most ``1.01·n·u·B`` (and products by the least number there is), which is added at the end
(`_slack`). The maximum adds no error.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from proofs.paths import Paths
from proofs.separable.counted import scale_up
from proofs.separable.numerator import Query, Terms
from proofs.witness import WitnessError, require_range, require_tensor

__all__ = ["PARTS", "Rows", "row_blocks", "row_terms"]

PARTS: Final = 64
"""θ is written in so many parts of 1: a multiple k takes off ``k/64`` of an output."""
_MOST: Final = 2**20
_BLOCK: Final = 2**21


@attrs.frozen(eq=False)
class Rows:
    """R rows, sorted by class; within a class in the order that counts.

    Attributes:
        q, m: ``[R]`` int64.
        output_row, output: ``[T]`` int64: the outputs of each row, in increasing order.
        less_row, less_output, less: ``[L]`` int64: (row, y, k) for k/64 of y that is taken off.
    """

    q: Tensor
    m: Tensor
    output_row: Tensor
    output: Tensor
    less_row: Tensor
    less_output: Tensor
    less: Tensor

    def checked(self, vocab: int) -> Rows:
        """These rows, if they are rows for a vocabulary of this size.

        Raises:
            WitnessError: a wrong shape or type, a number out of range, classes out of order, an output that
            is the maximum, occurs twice in a class, or is taken off before it is covered.
        """
        shapes = {"q": self.q, "output_row": self.output_row, "less_row": self.less_row}
        sizes = {name: len(t) if isinstance(t, Tensor) and t.dim() == 1 else 0 for name, t in shapes.items()}
        rows, outputs, taken = sizes.values()
        for names, size in ((("q", "m"), rows), (("output_row", "output"), outputs)):
            for name in names:
                require_tensor(name, getattr(self, name), (size,), torch.int64)
        for name in ("less_row", "less_output", "less"):
            require_tensor(name, getattr(self, name), (taken,), torch.int64)
        for name in ("q", "m", "output", "less_output"):
            require_range(name, getattr(self, name), 0, vocab - 1)
        for name in ("output_row", "less_row"):
            require_range(name, getattr(self, name), 0, rows - 1)
        require_range("less", self.less, 1, _MOST)
        self._check_order(vocab)
        return self

    def _check_order(self, vocab: int) -> None:
        classes = self.q * vocab + self.m
        place = self.output_row * vocab + self.output
        if bool((classes[1:] < classes[:-1]).any()) or bool((self.m < self.q).any()):
            raise WitnessError("witness rows are not sorted by class (q, m), or one has m < q")
        if bool((place[1:] <= place[:-1]).any()) or len(self.output_row.unique()) != len(self.q):
            raise WitnessError("witness outputs are not sorted, or a row has none")
        key, order = (classes[self.output_row] * vocab + self.output).sort()
        if bool((key[1:] == key[:-1]).any()) or bool((self.output == self.m[self.output_row]).any()):
            raise WitnessError("a witness output is its maximum, or occurs twice in a class")
        if not len(self.less):
            return
        wanted = classes[self.less_row] * vocab + self.less_output
        found = torch.searchsorted(key, wanted).clamp(max=len(key) - 1)
        if bool((key[found] != wanted).any()) or bool((self.output_row[order][found] >= self.less_row).any()):
            raise WitnessError("a witness row takes off an output that no earlier row of its class covers")

    def of_query(self, q: int) -> tuple[Rows, Tensor]:
        """The rows of one query, renumbered, and which rows they are (a range)."""
        here = (self.q == q).nonzero()[:, 0]
        return self.some(here), here

    def some(self, here: Tensor) -> Rows:
        """A range of rows, renumbered."""
        first, last = (int(here[0]), int(here[-1])) if len(here) else (0, -1)
        mine = slice(*torch.searchsorted(self.output_row, torch.tensor([first, last + 1])).tolist())
        less = (self.less_row >= first) & (self.less_row <= last)
        return Rows(
            self.q[here],
            self.m[here],
            self.output_row[mine] - first,
            self.output[mine],
            self.less_row[less] - first,
            self.less_output[less],
            self.less[less],
        )

    def outputs_of(self) -> list[tuple[int, ...]]:
        """The outputs of each row."""
        return [tuple(part.tolist()) for part in self.output.split(self._lengths())]

    def less_of(self) -> list[list[tuple[int, int]]]:
        """The pairs (y, k) of each row."""
        pairs: list[list[tuple[int, int]]] = [[] for _ in range(len(self.q))]
        columns = (self.less_row.tolist(), self.less_output.tolist(), self.less.tolist())
        for row, y, k in zip(*columns, strict=True):
            pairs[row].append((y, k))
        return pairs

    def _lengths(self) -> list[int]:
        lengths: list[int] = torch.bincount(self.output_row, minlength=len(self.q)).tolist()
        return lengths


def _slack(paths: Paths, rows: Rows) -> Tensor:
    """``[R]`` upper bounds of what plain floating point makes of the numerators of each row.

    A numerator takes 5 additions and, for each multiple taken off, 6 more and a product; whatever occurs in
    it is at most 2·(1 + Σθ)·(largest EVOU + largest PVOU + largest EUPU) in absolute value.
    """
    size = sum(float(table.mag().max()) for table in (paths.EVOU, paths.PVOU, paths.EUPU))
    steps = torch.full((len(rows.q),), 6.0, dtype=torch.float64)
    steps.index_add_(0, rows.less_row, torch.full((len(rows.less),), 8.0, dtype=torch.float64))
    theta = torch.zeros_like(steps).index_add(0, rows.less_row, rows.less.double() / PARTS)
    most = rounding.mul_up(steps, rounding.mul_up(1.0 + theta, torch.full_like(steps, 2.0 * size)))
    slack = rounding.mul_up(most, torch.full_like(steps, 1.01 * rounding.U))
    return rounding.add_up(slack, steps * 2.0**-1074)


def _numerators(paths: Paths, q: int, rows: Rows) -> Tensor:
    """``[R, K, V]`` upper bounds of ``max_x g_p(t, x) − Σ_y θ_y g_p(t, y)``."""
    position, token = (paths.PVOU.hi + paths.EUPU[q].hi).T, paths.EVOU.hi.T
    own = (paths.PVOU.lo + paths.EUPU[q].lo).T[rows.m][:, :, None] + paths.EVOU.lo.T[rows.m][:, None]
    out = []
    for part in rows.output.split(rows._lengths()):
        out.append((position[part][:, :, None] + token[part][:, None]).amax(0))
        cost.record(flops=out[0].numel() * len(part), comparisons=out[0].numel() * (len(part) - 1))
    numerator = torch.stack(out) - own
    cost.record(flops=3 * numerator.numel())
    if len(rows.less):
        at, y = rows.less_row, rows.less_output
        taken = (paths.PVOU.lo + paths.EUPU[q].lo).T[y][:, :, None] + paths.EVOU.lo.T[y][:, None]
        m = rows.m[at]
        taken -= (paths.PVOU.hi + paths.EUPU[q].hi).T[m][:, :, None] + paths.EVOU.hi.T[m][:, None]
        numerator.index_add_(0, at, taken * (rows.less.double() / -PARTS)[:, None, None])
        cost.record(flops=5 * taken.numel())
    return rounding.add_up(numerator, _slack(paths, rows)[:, None, None])


def row_terms(paths: Paths, query: Query, rows: Rows) -> Terms:
    """Upper bounds of f for rows of one query (``x`` of the result is the first output of each row)."""
    k, q = paths.n_ctx, query.q
    numerator = _numerators(paths, q, rows)
    at = rows.m - q
    lower = rounding.mul_down(query.weight_lower[at][:, None], query.position_lower[:, None])
    upper = rounding.mul_up(query.weight_upper[at][:, None], query.position_upper[:, None])
    cost.record(flops=upper.numel())
    f = scale_up(lower, upper, numerator)
    absent = torch.arange(paths.vocab) > rows.m[:, None, None]
    first = rows.output[torch.searchsorted(rows.output_row, torch.arange(len(rows.q)))]
    return Terms(rows.m, first, f[:, : k - 1].masked_fill(absent, -torch.inf), f[:, k - 1, q])


def row_blocks(paths: Paths, rows: Rows) -> list[Rows]:
    """Rows of one query in blocks whose tensors are of bounded size."""
    length = max(1, _BLOCK // (paths.n_ctx * paths.vocab))
    return [rows.some(part) for part in torch.arange(len(rows.q)).split(length) if len(part)]
