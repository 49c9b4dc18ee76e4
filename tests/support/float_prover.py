"""An untrusted prover in plain float64: it finds content quickly, and an auditor must not believe it.

Used to make large certificates for the auditor's tests without any strategy of the project.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from certkit.certificate import (
    CertifiedSet,
    Count,
    CountContent,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
    gap_cell,
    round_up_32,
)
from certkit.content import Content

Floats = NDArray[np.float64]


class FloatProver:
    """Tables of one model in float64."""

    def __init__(self, path: str) -> None:
        w = {name: value.astype(np.float64) for name, value in load_file(path).items()}
        self.vocab, self.k = len(w["W_E"]), len(w["W_pos"])
        query = w["W_E"] + w["W_pos"][-1]
        asked = query @ w["W_Q"] / np.sqrt(w["W_Q"].shape[1])
        self.token, self.place = asked @ (w["W_E"] @ w["W_K"]).T, asked @ (w["W_pos"] @ w["W_K"]).T
        out = w["W_V"] @ w["W_O"] @ w["W_U"]
        self.evou, self.pvou, self.eupu = w["W_E"] @ out, w["W_pos"] @ out, query @ w["W_U"]

    def terms(self, q: int, m: int) -> tuple[Floats, float]:
        """Return v[p, t ≤ m, x] and the shift taken out of its exponent."""
        score = self.token[q, : m + 1] + self.place[q][:, None]
        shift = float(score.max())
        gain = (self.evou[: m + 1] - self.evou[: m + 1, m : m + 1]) + (self.pvou - self.pvou[:, m : m + 1])[
            :, None
        ]
        gain = gain + self.eupu[q] - self.eupu[q, m]
        return np.exp(score - shift)[..., None] * gain, shift

    def classes(self) -> list[tuple[int, int]]:
        """Return all (q, m)."""
        return [(q, m) for q in range(self.vocab) for m in range(q, self.vocab) if self.k > 1 or q == m]

    def cells(self) -> CertifiedSet:
        """Gap cells, for each n with the smallest gap whose worst case is negative."""
        entries: list[Content] = []
        for q, m in self.classes():
            f, _ = self.terms(q, m)
            f = np.delete(f, m, axis=2)  # every x but m
            at_max = f[:-1, m]
            base = at_max.sum(0) + f[-1, q]
            best = np.maximum.accumulate(f[:-1, :m], axis=1) - at_max[:, None]  # [p, last allowed, x]
            gains = np.cumsum(-np.sort(-best, axis=0), axis=0)
            cells = [gap_cell(m, 1, 0)] if q == m and base.max() < -1e-9 else []
            for n in range(1, self.k if q == m else self.k - 1):
                passing = (base + gains[n - 1]).max(1) < -1e-9 if m else np.zeros(0, bool)
                if passing.any():
                    cells.append(gap_cell(m, m - int(np.flatnonzero(passing)[-1]), n))
            if q < m and base.max() < -1e-9:
                cells.append(gap_cell(m, 1, 0))
            if cells:
                entries.append(SetContent(q, m, tuple(c for c in cells if c is not None)))
        return CertifiedSet(self.k, self.vocab, tuple(entries))

    def open_tokens(self, q: int, m: int, f: Floats) -> list[int]:
        """Return the x that fail for some sequence of the class, or nearly do."""
        worst = f[:-1].max(1).sum(0) + f[-1, q]
        if q < m:
            worst += (f[:-1, m] - f[:-1].max(1)).max(0)
        scale = np.abs(f).max() + 1e-300
        return [x for x in range(self.vocab) if x != m and worst[x] >= -1e-9 * scale]

    def exceptions(self) -> CertifiedSet:
        """Every class as one box, minus its failing sequences (found one by one)."""
        entries: list[Content] = []
        for q, m in self.classes():
            f, _ = self.terms(q, m)
            wrong = np.zeros((m + 1,) * (self.k - 1), bool)
            for x in self.open_tokens(q, m, f):
                total = np.full((1,) * (self.k - 1), f[-1, q, x])
                for p in range(self.k - 1):
                    total = total + f[p, :, x].reshape([-1 if i == p else 1 for i in range(self.k - 1)])
                wrong |= total >= 0
            rows = [tuple(map(int, row)) for row in np.argwhere(wrong)]
            entries.append(full_content(q, m, self.k, tuple(r for r in rows if q == m or m in r)))
        return CertifiedSet(self.k, self.vocab, tuple(entries))

    def tails(self) -> CertifiedSet:
        """Exponential tails with a coarse search for each multiplier."""
        entries: list[Content] = []
        for q, m in self.classes():
            f, shift = self.terms(q, m)
            rows = []
            for x in self.open_tokens(q, m, f):
                v = f[:, :, x]
                choices = [0.0, *(2.0**j / max(np.abs(v).max(), 1e-30) for j in np.arange(-4, 16, 0.5))]
                bounds = [(self._tail(v, q, m, lam), lam) for lam in choices]
                log_bound, lam = min(bounds)
                failing = int(np.exp(log_bound) * (1 + 1e-9)) if log_bound < 700 else class_size(q, m, self.k)
                rows.append(Tail(x, float(lam), round_up_32(failing)))
            entries.append(TailContent(q, m, shift, tuple(rows)))
        return CertifiedSet(self.k, self.vocab, tuple(entries))

    def _tail(self, v: Floats, q: int, m: int, lam: float) -> float:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            powers = np.exp(lam * v[:-1])
            below = powers[:, :m].sum(1)
            holding, remaining = 0.0, 1.0
            for p in range(self.k - 1):
                holding = holding * (below[p] + powers[p, m]) + remaining * powers[p, m]
                remaining *= below[p]
            result = lam * v[-1, q] + np.log(holding if q < m else holding + remaining)
        return float(result) if np.isfinite(result) else np.inf

    def counts(self, bins: int) -> CertifiedSet:
        """Two-sided counts with `bins` bins up to the worst case."""
        entries: list[Content] = []
        for q, m in self.classes():
            f, shift = self.terms(q, m)
            rows = []
            for x in self.open_tokens(q, m, f):
                v = f[:, :, x]
                worst = v[:-1].max(1).sum() + v[-1, q]
                width = float(max(worst, np.abs(v).max() * 1e-6, 1e-300) / bins)
                offset = width / 64
                upper = self._count(
                    np.ceil((v[:-1] - offset) / width + 1e-6), v[-1, q] + (self.k - 1) * offset, width, q
                )
                lower = self._count(
                    np.floor((v[:-1] + offset) / width - 1e-6), v[-1, q] - (self.k - 1) * offset, width, q
                )
                rows.append(Count(x, width, offset, max(upper, lower), lower))
            entries.append(CountContent(q, m, shift, tuple(rows)))
        return CertifiedSet(self.k, self.vocab, tuple(entries))

    def _count(self, bins: Floats, query: float, width: float, q: int) -> int:
        """Count by enumeration over the distinct sums; for few positions or few bins."""
        m = bins.shape[1] - 1
        need = int(np.ceil(-query / width - 1e-6 if bins.size else -query / width))
        room = int(bins.max(1).sum()) - need if len(bins) else -need
        if room < 0:
            return 0
        every, without = [1] + [0] * room, [1] + [0] * room
        for row in bins:
            slack = (row.max() - row).astype(np.int64)
            below = [int(n) for n in np.bincount(slack[:-1][slack[:-1] <= room], minlength=room + 1)]
            full = list(below)
            if slack[-1] <= room:
                full[slack[-1]] += 1
            every, without = _convolve(every, full), _convolve(without, below)
        return sum(every) - (sum(without) if q < m else 0)


def _convolve(a: list[int], b: list[int]) -> list[int]:
    out = [0] * len(a)
    for (i, x), (j, y) in product(
        ((i, x) for i, x in enumerate(a) if x), ((j, y) for j, y in enumerate(b) if y)
    ):
        if i + j < len(out):
            out[i + j] += x * y
    return out
