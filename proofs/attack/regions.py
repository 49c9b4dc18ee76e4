"""The regions an attack searches: cells, boxes, and whole classes, seen in plain float64.

Nothing here is trusted. A region proposes sequences; whether one of them is misclassified is decided exactly
elsewhere. `others` are always the K−1 non-query tokens.
"""

from __future__ import annotations

import abc
from typing import Final

import attrs
import torch
from torch import Tensor

from certkit.content import Box, Cell
from certkit.runs import run_has, run_tokens
from proofs.paths import Paths

_MOST: Final = torch.finfo(torch.float64).max


@attrs.frozen(eq=False)
class FloatClass:
    """One class (q, m): the terms ``f_p(t, x)`` of Identity 1, ``[K, m+1, V]``, divided by the largest
    weight.

    The column x = m is −∞, so that no maximum over x takes it.
    """

    q: int
    m: int
    f: Tensor

    @classmethod
    def of(cls, paths: Paths, q: int, m: int) -> FloatClass:
        """The class of a model with these path tables."""
        evou, pvou, eupu = paths.EVOU.mid(), paths.PVOU.mid(), paths.EUPU.mid()[q]
        gain = (evou[: m + 1] - evou[: m + 1, m, None]) + (pvou - pvou[:, m, None])[:, None]
        score = paths.EQKE.mid()[q, : m + 1] + paths.EQKP.mid()[q, :, None]
        f = (score - score.max()).exp().unsqueeze(-1) * (gain + (eupu - eupu[m]))
        f[:, :, m] = -torch.inf
        return cls(q, m, f)

    @property
    def slots(self) -> Tensor:
        """The terms of the non-query positions, ``[K−1, m+1, V]``."""
        return self.f[:-1]

    def margins(self, others: Tensor) -> Tensor:
        """``Σ_p f_p / Σ_p |f_p|`` for each x, ``[N, V]``: −1 surely right, 0 a tie, 1 surely wrong."""
        total = self.f[-1, self.q].expand(len(others), -1).clone()
        size = total.abs()
        for p, tokens in enumerate(others.T):
            total += self.slots[p, tokens]
            size += self.slots[p, tokens].abs()
        relative = torch.where(size > 0, total / size, 0.0).nan_to_num(
            0.0, posinf=1.0
        )  # what is not a number is suspect
        relative[:, self.m] = -torch.inf
        return relative


@attrs.frozen(eq=False)
class Region(abc.ABC):
    """A set of sequences of one class on which a certificate says that no x of `outputs` ever wins.

    Attributes:
        view: the class.
        outputs: the wrong tokens the certificate speaks of; None for all of them.
    """

    view: FloatClass
    outputs: tuple[int, ...] | None

    def margins(self, others: Tensor) -> Tensor:
        """As `FloatClass.margins`, −∞ for an x the certificate does not speak of."""
        margins = self.view.margins(others)
        if self.outputs is None:
            return margins
        spoken_of = torch.zeros(margins.shape[1], dtype=torch.bool)
        spoken_of[list(self.outputs)] = True
        return torch.where(spoken_of, margins, -torch.inf)

    @abc.abstractmethod
    def worst(self) -> Tensor:
        """For each x the member with the largest ``Σ_p f_p(t_p, x)``, ``[V, K−1]`` (exceptions not looked
        at).
        """

    @abc.abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random members, ``[count, K−1]`` (exceptions not looked at)."""

    @abc.abstractmethod
    def tokens(self, position: int) -> Tensor:
        """The tokens that members may hold at a position (m perhaps besides)."""

    @abc.abstractmethod
    def contains(self, others: Tensor) -> Tensor:
        """Which of the sequences ``[N, K−1]`` this region certifies, ``[N]``."""

    def starts(self) -> Tensor:
        """Sequences worth looking around, members or not, ``[N, K−1]``; none unless a region knows some."""
        return torch.empty(0, self.view.slots.shape[0], dtype=torch.int64)

    def neighbours(self, others: Tensor) -> Tensor:
        """Members that differ in one token from one of the sequences ``[N, K−1]``, each once."""
        changed = [others[:0]]
        for p in range(others.shape[1]):
            tokens = self.tokens(p)
            copies = others.repeat_interleave(len(tokens), 0)
            copies[:, p] = tokens.repeat(len(others))
            changed.append(copies)
        found = distinct(torch.cat(changed))
        return found[self.contains(found)]


def distinct(others: Tensor) -> Tensor:
    """Each sequence ``[N, K−1]`` once; with K = 1 there is only the empty one."""
    found: Tensor = others.unique(dim=0) if others.shape[1] else others[:1]
    return found


def _has(tokens: Tensor, allowed: Tensor, vocab: int) -> Tensor:
    inside = torch.zeros(vocab, dtype=torch.bool)
    inside[allowed] = True
    return inside[tokens]


def _choose(allowed: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return allowed[torch.randint(len(allowed), shape, generator=generator)]


@attrs.frozen(eq=False)
class CellRegion(Region):
    """The members of a cell."""

    cell: Cell

    def worst(self) -> Tensor:
        """The n positions that gain most by leaving m take their best allowed token."""
        slots, m = self.view.slots, self.view.m
        tokens = torch.full((slots.shape[0], slots.shape[2]), m)
        if self.cell.n:
            allowed = torch.tensor(run_tokens(self.cell.allowed))
            best = slots[:, allowed].max(1)
            gain = (best.values - slots[:, m]).nan_to_num(0.0, posinf=_MOST)
            chosen = gain.argsort(0, descending=True)[: self.cell.n]
            tokens.scatter_(0, chosen, allowed[best.indices].gather(0, chosen))
        return tokens.T

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """n random positions, random allowed tokens."""
        positions = self.view.slots.shape[0]
        if not self.cell.n:
            return torch.full((count, positions), self.view.m)
        rank = torch.rand(count, positions, generator=generator).argsort(1).argsort(1)
        drawn = _choose(torch.tensor(run_tokens(self.cell.allowed)), (count, positions), generator)
        return torch.where(rank < self.cell.n, drawn, self.view.m)

    def tokens(self, position: int) -> Tensor:
        """The allowed tokens."""
        return torch.tensor(run_tokens(self.cell.allowed), dtype=torch.int64)

    def contains(self, others: Tensor) -> Tensor:
        """Exactly n tokens are not m, and these are allowed."""
        lower = others != self.view.m
        allowed = _has(others, self.tokens(0), self.view.f.shape[2])
        return (lower.sum(1) == self.cell.n) & (allowed | ~lower).all(1)

    def __str__(self) -> str:
        return f"q={self.view.q} m={self.view.m}, cell n={self.cell.n} allowed={list(self.cell.allowed)}"


@attrs.frozen(eq=False)
class BoxRegion(Region):
    """The members of a box, its exceptions taken out."""

    box: Box

    def _place_max(self, tokens: Tensor, cost: Tensor) -> Tensor:
        """``tokens [N, K−1]`` with m put at the cheapest position that may hold it, where m is missing."""
        if not self.box.contains_max or not tokens.shape[1]:
            return tokens
        cheapest = cost.argmin(1, keepdim=True)
        missing = ~(tokens == self.view.m).any(1, keepdim=True)
        return tokens.scatter(1, cheapest, torch.where(missing, self.view.m, tokens.gather(1, cheapest)))

    def worst(self) -> Tensor:
        """Every position takes its best token; if m is missing, the position that loses least takes it."""
        slots, m = self.view.slots, self.view.m
        tokens = torch.empty(slots.shape[2], slots.shape[0], dtype=torch.int64)
        losses = torch.full(tokens.shape, torch.inf, dtype=torch.float64)
        for p, runs in enumerate(self.box.positions):
            allowed = torch.tensor(run_tokens(runs))
            best = slots[p, allowed].max(0)
            tokens[:, p] = allowed[best.indices]
            if run_has(runs, m):
                losses[:, p] = (best.values - slots[p, m]).nan_to_num(0.0, posinf=_MOST)
        return self._place_max(tokens, losses)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """A random token at each position, m somewhere if it must be."""
        positions = self.box.positions
        drawn = torch.empty(count, len(positions), dtype=torch.int64)
        cost = torch.rand(drawn.shape, generator=generator)
        for p, runs in enumerate(positions):
            drawn[:, p] = _choose(torch.tensor(run_tokens(runs)), (count,), generator)
            if not run_has(runs, self.view.m):
                cost[:, p] = torch.inf
        return self._place_max(drawn, cost)

    def tokens(self, position: int) -> Tensor:
        """The position's token set."""
        return torch.tensor(run_tokens(self.box.positions[position]), dtype=torch.int64)

    def starts(self) -> Tensor:
        """The exceptions: what fails like them is not far from them."""
        return torch.tensor(self.box.exceptions, dtype=torch.int64).reshape(
            len(self.box.exceptions), len(self.box.positions)
        )

    def contains(self, others: Tensor) -> Tensor:
        """In the product, with m where it must be, and no exception."""
        inside = torch.ones(len(others), dtype=torch.bool)
        for p in range(others.shape[1]):
            inside &= _has(others[:, p], self.tokens(p), self.view.f.shape[2])
        if self.box.contains_max:
            inside &= (others == self.view.m).any(1)
        if self.box.exceptions:
            excepted = set(self.box.exceptions)
            inside &= torch.tensor([tuple(row) not in excepted for row in others.tolist()], dtype=torch.bool)
        return inside

    def __str__(self) -> str:
        return f"q={self.view.q} m={self.view.m}, box {list(map(list, self.box.positions))}"
