"""Rows about groups of outputs: their terms, and what keeps them from counting a failing sequence again.

A row has a group X of outputs. With ``g_p(t, x)`` as in `proofs.separable.numerator` its terms are::

    f_p(t) = w_p(t) · max_{x∈X} g_p(t, x)

A sequence that fails for some x ∈ X has ``Σ_p f_p(t_p) ≥ 0``. The weight does not depend on x, hence one
maximum for each token and position, and one product. A row may *meet* an output y that an earlier row of the
class covers: with ``f^y`` the terms of y, where ``Σ_p min(f_p(t_p), k/64·f^y_p(t_p)) ≥ 0`` both sums are ≥ 0.
So many of the sequences with ``Σ_p f_p ≥ 0`` fail for y, and need not be counted again. That is sharp where
the same tokens make a sequence fail for both.

Row by row what is left bounds how many fail in the class: a failing sequence is counted in the first row that
has an output it fails for, since it does not fail for the y that this row meets.

The numerators are computed in plain floating point: n additions of numbers whose sizes add up to at most B
are off by at most ``1.01·n·u·B``, which is added at the end (`_slack`). The maximum adds no error.
"""

from __future__ import annotations

from typing import Final

import attrs
import torch
from torch import Tensor

from certkit import cost, rounding
from proofs.paths import Paths
from proofs.separable.counted import mul_up, scale_up
from proofs.separable.numerator import Query, Terms, terms_of
from proofs.witness import WitnessError, require_range, require_tensor

__all__ = ["NONE", "PARTS", "Rows", "meet_terms", "row_blocks", "row_terms"]

NONE: Final = -1
"""Stands for the earlier output of a row without a meet."""
PARTS: Final = 64
"""The k of a meet counts so many parts of 1."""
_MOST: Final = 2**20
_BLOCK: Final = 2**21


@attrs.frozen(eq=False)
class Rows:
    """R rows, sorted by class; within a class in the order that counts.

    Attributes:
        q, m: ``[R]`` int64.
        earlier: ``[R]`` int64, the output y that a row meets, or `NONE`; ``meet``: ``[R]`` int64, k, then 0.
        output_row, output: ``[T]`` int64: the outputs of each row, in increasing order.
    """

    q: Tensor
    m: Tensor
    earlier: Tensor
    meet: Tensor
    output_row: Tensor
    output: Tensor

    def checked(self, vocab: int) -> Rows:
        """These rows, if they are rows for a vocabulary of this size.

        Raises:
            WitnessError: a wrong shape or type, a number out of range, classes out of order, an output that
            is the maximum, occurs twice in a class, or is met before it is covered.
        """
        rows, outputs = (
            len(t) if isinstance(t, Tensor) and t.dim() == 1 else 0 for t in (self.q, self.output_row)
        )
        for name in ("q", "m", "earlier", "meet"):
            require_tensor(name, getattr(self, name), (rows,), torch.int64)
        for name in ("output_row", "output"):
            require_tensor(name, getattr(self, name), (outputs,), torch.int64)
        for name, least in (("q", 0), ("m", 0), ("output", 0), ("earlier", NONE)):
            require_range(name, getattr(self, name), least, vocab - 1)
        require_range("output_row", self.output_row, 0, rows - 1)
        require_range("meet", self.meet, 0, _MOST)
        if bool(((self.meet > 0) != (self.earlier != NONE)).any()):
            raise WitnessError("a witness row needs a multiple exactly if it meets an earlier output")
        if bool(((self.meet > 0) & (torch.bincount(self.output_row, minlength=rows) != 1)).any()):
            raise WitnessError("a witness row that meets an earlier output is about more than one output")
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
        beside = (self.earlier != NONE).nonzero()[:, 0]
        if not len(beside):
            return
        wanted = classes[beside] * vocab + self.earlier[beside]
        found = torch.searchsorted(key, wanted).clamp(max=len(key) - 1)
        if bool((key[found] != wanted).any()) or bool((self.output_row[order][found] >= beside).any()):
            raise WitnessError("a witness row meets an output that no earlier row of its class covers")

    def of_query(self, q: int) -> tuple[Rows, Tensor]:
        """The rows of one query, renumbered, and which rows they are (a range)."""
        here = (self.q == q).nonzero()[:, 0]
        return self.some(here), here

    def some(self, here: Tensor) -> Rows:
        """A range of rows, renumbered."""
        first, last = (int(here[0]), int(here[-1])) if len(here) else (0, -1)
        mine = slice(*torch.searchsorted(self.output_row, torch.tensor([first, last + 1])).tolist())
        q, m, earlier, meet = (column[here] for column in (self.q, self.m, self.earlier, self.meet))
        return Rows(q, m, earlier, meet, self.output_row[mine] - first, self.output[mine])

    def outputs_of(self) -> list[tuple[int, ...]]:
        """The outputs of each row."""
        return [tuple(part.tolist()) for part in self.output.split(self._lengths())]

    def meets_of(self) -> list[tuple[int, int] | None]:
        """The pair (y, k) of each row that has one."""
        pairs = zip(self.earlier.tolist(), self.meet.tolist(), strict=True)
        return [None if y == NONE else (y, k) for y, k in pairs]

    def _lengths(self) -> list[int]:
        lengths: list[int] = torch.bincount(self.output_row, minlength=len(self.q)).tolist()
        return lengths


def _slack(paths: Paths) -> Tensor:
    """Upper bound of what plain floating point makes of a numerator: it takes 5 additions, and whatever
    occurs in it is at most 2·(largest EVOU + largest PVOU + largest EUPU) in absolute value.
    """
    size = torch.zeros((), dtype=torch.float64)
    for table in (paths.EVOU, paths.PVOU, paths.EUPU):
        size = rounding.add_up(size, table.mag().max())
    return rounding.mul_up(size, size.new_tensor(2 * 5 * 1.01 * rounding.U))


def _numerators(paths: Paths, q: int, rows: Rows) -> Tensor:
    """``[R, K, V]`` upper bounds of ``max_x g_p(t, x)``."""
    position, token = (paths.PVOU.hi + paths.EUPU[q].hi).T, paths.EVOU.hi.T
    own = (paths.PVOU.lo + paths.EUPU[q].lo).T[rows.m][:, :, None] + paths.EVOU.lo.T[rows.m][:, None]
    lengths = rows._lengths()
    if max(lengths, default=0) <= 1:
        most = position[rows.output][:, :, None] + token[rows.output][:, None]
    else:
        parts = rows.output.split(lengths)
        most = torch.stack([(position[x][:, :, None] + token[x][:, None]).amax(0) for x in parts])
    numerator = most - own
    # the maxima over a group are comparisons, the additions before them are done for each of its outputs
    each = numerator[:1].numel()
    cost.record(flops=each * (len(rows.output) + 3 * len(rows.q)), comparisons=each * len(rows.output))
    return rounding.add_up(numerator, _slack(paths))


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


def meet_terms(paths: Paths, query: Query, rows: Rows, index: Tensor) -> tuple[Terms, Terms]:
    """For some rows, all with meets: upper bounds of ``−f`` and of ``−k/64·f^y``."""
    m = rows.m[index]
    own = rows.output[torch.searchsorted(rows.output_row, index)]
    negated = terms_of(paths, query, m, rows.earlier[index], sign=-1)
    part = rows.meet[index].double() / PARTS
    upper = mul_up(part[:, None, None], negated.upper)
    scaled = attrs.evolve(negated, upper=upper, query_upper=mul_up(part, negated.query_upper))
    return terms_of(paths, query, m, own, sign=-1), scaled


def row_blocks(paths: Paths, rows: Rows) -> list[Rows]:
    """Rows of one query in blocks whose tensors are of bounded size."""
    length = max(1, _BLOCK // (paths.n_ctx * paths.vocab))
    return [rows.some(part) for part in torch.arange(len(rows.q)).split(length) if len(part)]
