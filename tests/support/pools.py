"""The definition of pools, class by class and with mpmath, and random classes to hold it against."""

from __future__ import annotations

import math
import random
from itertools import combinations_with_replacement, product
from pathlib import Path
from tempfile import TemporaryDirectory

import mpmath
from flint import arb

from certkit.failing import MAX_LEVELS, PoolContent, round_up_32
from certkit.kernel.model import Model as KernelModel
from certkit.kernel.verdict import Finding
from certkit.kernel.weights import read_weights
from certkit.runs import runs_from_tokens
from proofs.model import Model
from tests.support.certs import saved, weights_of
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Row, decide, pool_bounds, rule, with_rows

MILD = (Kind.SKILLED, Kind.INTEGER, Kind.TWIN, Kind.NEAR_TWIN)
SIZES = (
    Sizes(1, 1),
    Sizes(1, 3),
    Sizes(3, 1),
    Sizes(2, 2),
    Sizes(2, 4),
    Sizes(4, 2),
    Sizes(4, 3),
    Sizes(3, 4),
)
LEVELS = (1, 2, 3, 4, 7)
NEAR = mpmath.mpf(10) ** -30
Members = tuple[int, ...]


def steps(levels: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, …: from the fourth on, twice the one before the last."""
    found = [1, 2, 3]
    while len(found) < levels:
        found.append(2 * found[-2])
    return found[:levels]


class Definition:
    """What the format page says of the pools of one class (q, m), at 60 digits, by all of its sequences."""

    def __init__(self, model: Model, q: int, m: int, shift: float) -> None:
        mpmath.mp.dps = 60
        w = {name: mpmath.matrix(rows) for name, rows in weights_of(model).items()}
        self.k, self.q, self.m, self.shift = model.n_ctx, q, m, shift
        self.outputs = [x for x in range(model.vocab) if x != m]
        query = w["W_E"][q, :] + w["W_pos"][self.k - 1, :]
        asked, out, direct = query * w["W_Q"], w["W_V"] * w["W_O"] * w["W_U"], query * w["W_U"]
        keys = {"W_E": range(m + 1), "W_pos": range(self.k)}
        scores = {
            name: [(asked * (w[name][i, :] * w["W_K"]).T)[0, 0] / mpmath.sqrt(model.d_head) for i in rows]
            for name, rows in keys.items()
        }
        logits = {name: [w[name][i, :] * out for i in rows] for name, rows in keys.items()}
        self.by_token, self.by_place = ([mpmath.exp(s) for s in scores[name]] for name in keys)
        self.gain = {x: [row[0, x] - row[0, m] for row in logits["W_E"]] for x in self.outputs}
        self.place_gain = {
            x: [row[0, x] - row[0, m] + direct[0, x] - direct[0, m] for row in logits["W_pos"]]
            for x in self.outputs
        }
        self.sequences = [
            s for s in product(range(m + 1), repeat=self.k - 1) if q == m or m in s
        ]  # without the query

    def term(self, p: int, t: int, x: int) -> mpmath.mpf:
        """v_p(t) of a token that is not light."""
        weight = self.by_token[t] * self.by_place[p] * mpmath.exp(-self.shift)
        return weight * (self.gain[x][t] + self.place_gain[x][p])

    def light_term(self, light: Members, x: int) -> mpmath.mpf:
        """H, or 0 if no term is light."""
        if not light or self.k == 1:
            return mpmath.mpf(0)
        gain = max(self.gain[x][t] for t in light) + max(self.place_gain[x][: self.k - 1])
        weight = max(self.by_token[t] for t in light) * max(self.by_place[: self.k - 1])
        return mpmath.exp(-self.shift) * weight * max(0, gain)

    def sums(self, x: int, light: Members = ()) -> list[mpmath.mpf]:
        """Σ v_p(t_p) of every sequence, with h for the light tokens."""
        shared = self.light_term(light, x)
        table = [
            [shared if t in light else self.term(p, t, x) for t in range(self.m + 1)]
            for p in range(self.k - 1)
        ]
        query = self.term(self.k - 1, self.q, x)
        return [sum((table[p][t] for p, t in enumerate(s)), query) for s in self.sequences]

    def bound(self, row: Row) -> mpmath.mpf:
        """Σ over the outputs of the least tail."""
        total, light = mpmath.mpf(0), members(row)
        for x in self.outputs:
            powers = [mpmath.exp(row.numbers[0] * s) for s in self.sums(x, light)]
            total += min(sum((e**s for e in powers), mpmath.mpf(0)) for s in steps(row.levels))
        return total

    def scale(self) -> float:
        """The largest term, or 1 if there is none above 0."""
        terms = [abs(s) for x in self.outputs for s in self.sums(x)]
        return float(max(terms, default=0)) or 1.0

    def failing(self) -> tuple[int, int]:
        """How many sequences fail, from below and above (apart from 10⁻⁴⁰ they are equal)."""
        worst = list(map(max, zip(*(self.sums(x) for x in self.outputs), strict=True)))
        near = self.scale() * mpmath.mpf(10) ** -40
        return sum(s >= near for s in worst), sum(s >= -near for s in worst)


def members(row: Row) -> Members:
    """The light tokens of a row."""
    pairs = zip(row.light[::2], row.light[1::2], strict=True)
    return tuple(t for low, high in pairs for t in range(low, high + 1))


def ends(ball: arb) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Both ends of a ball, exactly; infinite if it is no number."""
    if not ball.is_finite():
        return -mpmath.inf, mpmath.inf
    lower, upper = (mpmath.ldexp(*map(int, end.man_exp())) for end in (ball.lower(), ball.upper()))
    return lower, upper


def down_to_32(count: int) -> int:
    """The greatest integer ≤ count with 32 significant bits."""
    spare = max(0, count.bit_length() - 32)
    return count >> spare << spare


def top_score(kernel: KernelModel, q: int, m: int) -> float:
    """The largest score of a class, about."""
    top = max(kernel.token[q][: m + 1]) + max(kernel.place[q])
    return float(int(top) * 2.0**-kernel.score_exponent / math.sqrt(kernel.d_head))


class Case:
    """A random model, class and shift: for the auditor and by definition."""

    def __init__(self, kind: Kind, sizes: Sizes, seed: int, folder: Path) -> None:
        self.rng = rng = random.Random(seed)
        model = tiny_model(kind, sizes, seed % 7)
        self.kernel = KernelModel(read_weights(saved(model, folder)))
        m = rng.randrange(model.vocab)
        q = rng.choice([m, rng.randrange(m + 1)]) if model.n_ctx > 1 else m
        shift = top_score(self.kernel, q, m) + rng.choice([0.0, 0.0, 3.25, -1.5])
        self.entry, self.shift = rule(q, m, "pool", shift=shift), shift
        self.definition = Definition(model, q, m, shift)

    def light_sets(self) -> list[Members]:
        """No token, one, some, the heaviest, the one of the largest gain, and all below m."""
        m, rng, d = self.entry.m, self.rng, self.definition
        heavy = sorted(range(m), key=lambda t: d.by_token[t])[m // 2 :]
        some = [t for t in range(m) if rng.random() < 0.5]
        good = sorted(range(m), key=lambda t: max((d.gain[x][t] for x in d.outputs), default=0))[-1:]
        one = [rng.randrange(m)] if m else []
        return [(), *(tuple(sorted(s)) for s in (one, some, heavy, good, range(m)))]

    def some_levels(self) -> int:
        """Some number of levels; all there may be only where that is little work."""
        small = len(self.definition.sequences) * len(self.definition.outputs) <= 12
        return self.rng.choice((*LEVELS, MAX_LEVELS) if small else LEVELS)

    def row(self, light: Members, multiplier: float, levels: int, most: int = 0) -> Row:
        return Row((), (multiplier,), most, 0, light=runs_from_tokens(light), levels=levels)

    def judged(self, row: Row) -> Finding | None:
        return decide(self.kernel, with_rows(self.entry, "pool", row), False).finding


def pools(model: Model, levels: int = 3) -> list[PoolContent]:
    """A true pool of every class, the lesser half light, from what the auditor itself recounts."""
    entries = []
    with TemporaryDirectory() as folder:
        kernel = KernelModel(read_weights(saved(model, Path(folder))))
    for q, m in combinations_with_replacement(range(model.vocab), 2):
        light, shift = runs_from_tokens(range(m // 2)), top_score(kernel, q, m)
        bounds = {}
        for multiplier in (2.0**-i for i in range(12)):
            row = Row((), (multiplier,), 0, 0, light=light, levels=levels)
            floor = pool_bounds(kernel, rule(q, m, "pool", shift=shift), row, 256)[1].floor().unique_fmpz()
            if floor is not None:
                bounds[round_up_32(int(floor))] = multiplier
        best = min(bounds)
        entries.append(PoolContent(q, m, shift, light, bounds[best], levels, best))
    return entries
