"""Every picture of the documentation, on light and on dark pages, from real runs.

    OMP_NUM_THREADS=1 python -m benchmarks.pictures [--out docs/assets/pictures]

* ``coverage-*``: seed 0 of the published study's K = 4 setting is trained and proved, and its certificates
  are drawn, as `certkit show --coverage` does;
* ``frontier-*``: the table of ``docs/results/frontier.md``, which `python -m benchmarks.frontier` measured;
* ``interval-*``: a function over intervals, and at random points inside them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from torch import Tensor

from certkit import Certificate, Interval
from proofs import Recipe, prove, train
from proofs.report.coverage import coverage_figure
from proofs.report.figures import svg_of
from proofs.report.theme import DARK, LIGHT, Theme

ROOT = Path(__file__).resolve().parents[1]
COVERAGE_OF = ("cubic", "separable-gap+boxes")


@attrs.frozen
class Proved:
    """A row of the frontier's table: one strategy, what it certifies and what that costs."""

    strategy: str
    bound: float
    operations: int

    @property
    def published(self) -> bool:
        """Whether it is one of the published study's."""
        return not self.strategy.startswith("separable")


_ROW = re.compile(r"^\| [*.]? ?\| `([^`]+)` \| [\w-]+ \| ([\d.]+) \| ([\d,]+) \|", re.MULTILINE)


def table_of(page: str) -> list[Proved]:
    """The rows of the frontier's table, cheapest first.

    >>> table_of("| * | `cubic` | cubic | 0.975909 | 7,844,323 | 6,473,059 | 1,371,264 | 0.00 | 0.95 |")
    [Proved(strategy='cubic', bound=0.975909, operations=7844323)]
    """
    rows = [
        Proved(name, float(bound), int(work.replace(",", ""))) for name, bound, work in _ROW.findall(page)
    ]
    return sorted(rows, key=lambda row: (row.operations, -row.bound))


def best_so_far(rows: Sequence[Proved]) -> list[Proved]:
    """The rows that certify more than every cheaper one; ``rows`` are sorted by operations."""
    kept: list[Proved] = []
    for row in rows:
        if not kept or row.bound > kept[-1].bound:
            kept.append(row)
    return kept


_NAMED = {
    "cubic": (6, 6, "left"),
    "brute-force": (-6, 9, "right"),
    "separable-gap+boxes": (-7, -4, "right"),
    "separable-exact": (-3, -14, "left"),
}
"""Points with their name beside them: where the name starts, in points, and its alignment."""


def frontier(rows: Sequence[Proved], theme: Theme) -> str:
    """Share not certified against operations executed, both logarithmic, with the frontier of each family."""
    with matplotlib.rc_context(theme.style):
        canvas = Canvas(figsize=(7.2, 4.3), layout="constrained")
        axes = canvas.add_subplot()
        for published, colour, label in (
            (True, theme.second, "published strategies, made sound"),
            (False, theme.first, "the separable family"),
        ):
            some = [row for row in rows if row.published == published]
            axes.scatter([r.operations for r in some], [1 - r.bound for r in some], 13, colour, linewidths=0)
            edge = best_so_far(some)
            x, y = [row.operations for row in edge], [1 - row.bound for row in edge]
            axes.step(x, y, where="post", color=colour, linewidth=1.8, label=label)
        axes.set(xscale="log", yscale="log", xlim=(1.2e5, 5e9), ylim=(1.5e-4, 1.6))
        for row in rows:
            if row.strategy in _NAMED:
                right, up, side = _NAMED[row.strategy]
                axes.annotate(
                    row.strategy,
                    (row.operations, 1 - row.bound),
                    (right, up),
                    textcoords="offset points",
                    ha=side,
                    fontsize=9,
                )
        axes.set_yticks([1e-3, 1e-2, 1e-1, 1.0], labels=["0.1 %", "1 %", "10 %", "all"])
        axes.minorticks_off()
        axes.set(xlabel="operations that verification executes", ylabel="share not certified")
        axes.grid(visible=True, which="major")
        axes.set_axisbelow(True)
        axes.legend(loc="upper right")
        return svg_of(canvas, dpi=100)


def _example(x: Interval) -> Interval:
    return (-x).exp() * (x * 5).sin()


def enclosures(pieces: int) -> tuple[Interval, Interval]:
    """The pieces of [0, 2], and the intervals that hold all values of the example on each."""
    ends = torch.arange(pieces + 1, dtype=torch.float64) * 2 / pieces
    x = Interval.hull(ends[:-1], ends[1:])
    return x, _example(x)


def samples(count: int) -> tuple[Tensor, Tensor]:
    """Random points of [0, 2] and the example's value there, in ordinary floating point."""
    x = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    return x, torch.exp(-x) * torch.sin(5 * x)


def interval(theme: Theme) -> str:
    """The example on 8 and on 32 intervals, with samples; a sample outside its interval is an error."""
    points, values = samples(400)
    with matplotlib.rc_context(theme.style):
        canvas = Canvas(figsize=(7.2, 4.0), layout="constrained")
        axes = canvas.add_subplot()
        for pieces, colour, strength in ((8, theme.second, 0.22), (32, theme.first, 0.45)):
            x, y = enclosures(pieces)
            piece = (points * pieces / 2).long().clamp(max=pieces - 1)
            if not bool(((y.lo[piece] <= values) & (values <= y.hi[piece])).all()):
                raise RuntimeError(f"a sample lies outside its interval ({pieces} pieces)")
            _boxes(axes, x, y, colour, strength)
        axes.scatter(points, values, 5, theme.ink, linewidths=0, label="400 samples")
        axes.set(xlabel="x", ylabel="exp(−x) · sin(5x)", xlim=(0, 2))
        axes.legend(loc="upper right")
        return svg_of(canvas, dpi=100)


def _boxes(axes: Axes, x: Interval, y: Interval, colour: str, strength: float) -> None:
    for i, (left, right, low, high) in enumerate(zip(x.lo, x.hi, y.lo, y.hi, strict=True)):
        label = f"{len(x.lo)} intervals" if i == 0 else None
        corner, width, height = (float(left), float(low)), float(right - left), float(high - low)
        axes.add_patch(
            Rectangle(corner, width, height, facecolor=colour, alpha=strength, linewidth=0, label=label)
        )


def _coverage(certificate: Certificate) -> Callable[[Theme], str]:
    return lambda theme: coverage_figure(certificate, theme).svg


def pictures() -> dict[str, Callable[[Theme], str]]:
    """Every picture by its name, as a function of the theme."""
    rows = table_of((ROOT / "docs" / "results" / "frontier.md").read_text(encoding="utf-8"))
    model = train(Recipe(n_ctx=4, vocab=64), seeds=[0])[0]
    certificates = {name: prove(model, name) for name in COVERAGE_OF}
    return {
        **{f"coverage-{name}": _coverage(proof) for name, proof in certificates.items()},
        "frontier": lambda theme: frontier(rows, theme),
        "interval": interval,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "assets" / "pictures")
    folder = parser.parse_args().out
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in pictures().items():
        for theme in (LIGHT, DARK):
            path = folder / f"{name.replace('+', '-')}-{theme.mode.value}.svg"
            path.write_text(draw(theme) + "\n", encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
