"""Hypothesis strategies for what certkit is about: tensors, intervals and their points, models, certificates.

Everything is drawn element by element, so that a failing example shrinks to few and simple numbers: a tensor
to zeros of a small shape, an interval to the point 0, a model to one token, a certificate to an empty one.
For 10⁵ cases at once, as in tests of arithmetic, draw whole tensors by a seed: `certkit.testing.intervals`.

With Hypothesis installed beside certkit, ``st.from_type(Interval)`` and ``@given(x=...)`` with a type hint
find these by themselves.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from certkit import rounding
from certkit.certificate import Certificate, CertifiedSet, Claim, round_up_32
from certkit.content import (
    Content,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    class_size,
    full_content,
    gap_cell,
)
from certkit.failing import MAX_LEVELS
from certkit.interval import Interval
from certkit.runs import runs_from_tokens
from certkit.testing.check import default_model_factory
from certkit.testing.models import Kind, Sizes, tiny_weights
from certkit.testing.mutants import FileMutant, file_mutants
from certkit.testing.witnesses import adversarial_witnesses
from certkit.testing.zoo import Specimen, zoo

__all__ = [
    "certificates",
    "contents",
    "intervals",
    "intervals_with_points",
    "mutants",
    "numbers",
    "points_in",
    "shapes",
    "sizes",
    "specimens",
    "tensors",
    "tiny_models",
    "weights",
    "witnesses",
]

Shape = tuple[int, ...]

_MAX = rounding.MAX
_NOTABLE = (1.0, -1.0, 2.0**-1074, 2.0**-1022, 1.0 + 2.0**-52, 1.0 - 2.0**-53, _MAX, -_MAX, -0.0)


def numbers() -> st.SearchStrategy[float]:
    """Finite float64 numbers, zeros of both signs, subnormal and huge ones among them; shrink to 0."""
    return st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(_NOTABLE)


def shapes(max_dims: int = 3, max_side: int = 3, min_side: int = 1) -> st.SearchStrategy[Shape]:
    """Shapes of tensors, scalars among them, and empty ones if ``min_side=0``; shrink to a scalar."""
    return st.lists(st.integers(min_side, max_side), max_size=max_dims).map(tuple)


def _filled(shape: Shape, elements: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    size = math.prod(shape)
    return st.lists(elements, min_size=size, max_size=size)


def _fixed(shape: Shape | st.SearchStrategy[Shape] | None) -> st.SearchStrategy[Shape]:
    if shape is None:
        return shapes()
    return st.just(shape) if isinstance(shape, tuple) else shape


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    elements: st.SearchStrategy[float] | None = None,
) -> Tensor:
    """float64 tensors of a shape (or of any of `shapes`), with any finite elements by default."""
    wanted = draw(_fixed(shape))
    values = draw(_filled(wanted, numbers() if elements is None else elements))
    return torch.tensor(values, dtype=torch.float64).reshape(wanted)


def _ends(a: float, b: float, width: str) -> tuple[float, float]:
    if width == "point":
        return a, a
    if width == "one ulp":
        above = rounding.next_up(torch.tensor(a, dtype=torch.float64)).item()
        return a, min(above, rounding.MAX)
    return min(a, b), max(a, b)


@st.composite
def intervals(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    elements: st.SearchStrategy[float] | None = None,
) -> Interval:
    """Bounded, non-empty intervals with ends from `elements`; shrink to [0, 0].

    A third are points, a third one unit in the last place wide.
    """
    wanted = draw(_fixed(shape))
    end = numbers() if elements is None else elements
    width = st.sampled_from(("point", "one ulp", "any"))
    ends = draw(_filled(wanted, st.builds(_ends, end, end, width)))
    both = torch.tensor(ends, dtype=torch.float64).reshape(*wanted, 2)
    return Interval.hull(both[..., 0], both[..., 1])


@st.composite
def points_in(draw: st.DrawFn, x: Interval) -> Tensor:
    """A member of each interval of a tensor, its ends among them; shrinks to a simple number in each.

    Raises:
        ValueError: an interval is empty or unbounded.
    """
    members = []
    for index, (lo, hi) in enumerate(zip(x.lo.flatten().tolist(), x.hi.flatten().tolist(), strict=True)):
        if not -math.inf < lo <= hi < math.inf:
            raise ValueError(f"element {index} is [{lo}, {hi}]; it must be bounded and not empty")
        ends = st.sampled_from((lo, hi))
        members.append(draw(st.floats(lo, hi) | ends if lo < hi else ends))
    return torch.tensor(members, dtype=torch.float64).reshape(x.shape)


@st.composite
def intervals_with_points(
    draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape] | None = None
) -> tuple[Interval, Tensor]:
    """An interval tensor, and a tensor of points in it."""
    x = draw(intervals(shape))
    return x, draw(points_in(x))


def sizes(max_vocab: int = 5, max_ctx: int = 3) -> st.SearchStrategy[Sizes]:
    """Shapes of tiny models; shrink to one token and one position."""
    return st.builds(
        Sizes,
        vocab=st.integers(1, max_vocab),
        n_ctx=st.integers(1, max_ctx),
        d_model=st.integers(1, 4),
        d_head=st.integers(1, 3),
    )


@st.composite
def weights(draw: st.DrawFn, of: st.SearchStrategy[Sizes] | None = None) -> dict[str, Tensor]:
    """The seven float32 tensors of a tiny model: small integers one by one, or a kind and a seed.

    Integers shrink to zeros; models of a kind to small sizes and a small seed.
    """
    chosen = draw(sizes() if of is None else of)
    if draw(st.booleans()):
        return tiny_weights(draw(st.sampled_from(Kind)), chosen, draw(st.integers(0, 2**31)))
    return {
        name: torch.tensor(draw(_filled(shape, st.integers(-3, 3))), dtype=torch.float32).reshape(shape)
        for name, shape in chosen.shapes().items()
    }


def tiny_models(of: st.SearchStrategy[Sizes] | None = None) -> st.SearchStrategy[Any]:
    """`weights` as models of the installed class (entry point ``certkit.models``)."""
    return weights(of).map(default_model_factory())


def specimens() -> st.SearchStrategy[Specimen]:
    """Models of the zoo; shrink to the smallest."""
    return st.sampled_from(zoo())


def witnesses(searched: Any) -> st.SearchStrategy[Any]:
    """A witness as it was found, or a hostile version of it (`certkit.testing.witnesses`)."""
    seeded = st.integers(0, 2**31).map(lambda seed: [w for _, w in adversarial_witnesses(searched, seed)])
    return seeded.flatmap(st.sampled_from)


def mutants(certificate: bytes) -> st.SearchStrategy[FileMutant]:
    """A corrupted version of a certificate file; an auditor must refuse every one."""
    return st.sampled_from(tuple(file_mutants(certificate)))


@st.composite
def _class_content(draw: st.DrawFn, q: int, m: int, k: int, vocab: int) -> Content:
    kind = draw(st.sampled_from(("box", "cells", "tails", "pool")))
    if kind == "tails" and vocab > 1:
        wrong = draw(st.sets(st.sampled_from([x for x in range(vocab) if x != m])))
        count = st.integers(0, class_size(q, m, k)).map(round_up_32)
        rows = tuple(Tail(x, draw(st.floats(0.0, 100.0)), draw(count)) for x in sorted(wrong))
        return TailContent(q, m, draw(st.floats(-100.0, 100.0)), rows)
    if kind == "pool":
        light = draw(st.sets(st.integers(0, m - 1))) if m > 0 else ()
        ladder = draw(st.floats(0.0, 100.0)), draw(st.integers(1, MAX_LEVELS))
        most = round_up_32(draw(st.integers(0, class_size(q, m, k))))
        return PoolContent(q, m, draw(st.floats(-100.0, 100.0)), runs_from_tokens(light), *ladder, most)
    if kind == "cells":
        most = k - 1 if q == m else k - 2
        gaps = ((n, draw(st.integers(1, vocab))) for n in range(most + 1))
        cells = (gap_cell(m, gap, n) for n, gap in gaps)
        return SetContent(q, m, tuple(cell for cell in cells if cell is not None))
    return full_content(q, m, k)


@st.composite
def contents(draw: st.DrawFn) -> CertifiedSet:
    """Well-formed content of some classes, for k ≤ 4 and vocab ≤ 5, of four kinds. Seldom true."""
    k, vocab = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    classes = [(q, m) for q in range(vocab) for m in range(q, vocab) if k > 1 or q == m]
    chosen = sorted(draw(st.lists(st.sampled_from(classes), unique=True)))
    return CertifiedSet(k, vocab, tuple(draw(_class_content(q, m, k, vocab)) for q, m in chosen))


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    """Well-formed certificates: they claim exactly what their content adds up to. Seldom true."""
    content = draw(contents())
    digest = draw(st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}"))
    claim = Claim(content.k, content.vocab, digest, content.correct_at_least)
    name = draw(st.from_regex(r"[a-z]{1,8}", fullmatch=True))
    return Certificate(claim, name, draw(st.integers(1, 9)), content)
