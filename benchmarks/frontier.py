"""The frontier: certified bound against operations executed, for all strategies, published and ours.

    python -m benchmarks.frontier MODEL… [--strategy GLOB…] [--out DIR] [--json]

For each model every strategy is searched and verified; the table lists bound, operations and time, marks what
no cheaper proof beats (``*`` among all, ``.`` within its own family), and says for each complexity class
which proof of ours beats the best published one, at what share of its work. With ``--out`` the same goes into
``frontier.md`` and one figure for each model, with both frontiers drawn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import torch

from proofs.model import Model, load_model
from proofs.proving import run_search, run_verify
from proofs.strategy import AnyStrategy, ComplexityClass, Family, StrategyError, select
from proofs.workspace import Workspace


@attrs.frozen
class Point:
    """One proof: what it certifies and what that cost."""

    strategy: str
    family: str
    complexity_class: str
    correct: int
    total: int
    flops: int
    comparisons: int
    int_ops: int
    search_s: float
    verify_s: float

    @property
    def operations(self) -> int:
        """All operations executed."""
        return self.flops + self.comparisons + self.int_ops

    @property
    def bound(self) -> float:
        """The certified share, rounded down to six digits when printed."""
        return self.correct / self.total


def measure(strategy: AnyStrategy, model: Model, searching: Workspace, verifying: Workspace) -> Point:
    """Search and verify; shared work is done once and charged in full to each."""
    searched = run_search(strategy, model, searching)
    verified = run_verify(strategy, model, searched.witness, verifying)
    return Point(
        strategy.name,
        strategy.family.value,
        strategy.complexity_class.value,
        verified.certified.correct_at_least,
        verified.certified.total,
        verified.spent.flops,
        verified.spent.comparisons,
        verified.spent.int_ops,
        searched.seconds,
        verified.seconds,
    )


def measured(model: Model, strategies: Iterable[AnyStrategy]) -> list[Point]:
    """A point for every strategy that reaches this model, cheapest first; the others are named on stderr."""
    searching, verifying = Workspace(model), Workspace(model)
    points = []
    for strategy in strategies:
        try:
            points.append(measure(strategy, model, searching, verifying))
        except StrategyError as error:
            print(f"left out: {error}", file=sys.stderr)
    return sorted(points, key=lambda point: (point.operations, -point.correct))


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that certify more than every cheaper one; ``points`` are sorted by operations.

    >>> a, b, c = (Point("", "", "", n, 9, ops, 0, 0, 0.0, 0.0) for n, ops in ((3, 1), (2, 2), (5, 3)))
    >>> frontier([a, b, c]) == [a, c]
    True
    """
    best, kept = -1, []
    for point in points:
        if point.correct > best:
            best = point.correct
            kept.append(point)
    return kept


def _digits(bound: float) -> str:
    return f"{int(bound * 1_000_000) / 1_000_000:.6f}"


def table(points: Sequence[Point]) -> list[str]:
    """Markdown rows, cheapest first."""
    of_all = frontier(points)
    of_family = {f: frontier([p for p in points if p.family == f]) for f in {p.family for p in points}}
    rows = ["| | strategy | class | bound | operations | flops | comparisons | search s | verify s |"]
    rows.append("|---|---|---|---|---|---|---|---|---|")
    for p in points:
        mark = "*" if p in of_all else "." if p in of_family[p.family] else ""
        rows.append(
            f"| {mark} | `{p.strategy}` | {p.complexity_class} | {_digits(p.bound)} | {p.operations:,} | "
            f"{p.flops:,} | {p.comparisons:,} | {p.search_s:.2f} | {p.verify_s:.2f} |"
        )
    return rows


def rivals(points: Sequence[Point]) -> list[str]:
    """For each class of published proofs its best, and the best of ours at no more work of each kind.

    The last column looks only at ours of the same class or one whose work grows more slowly.
    """
    ours = [p for p in points if p.family == Family.SEPARABLE]
    theirs = [p for p in points if p.family == Family.PUBLISHED]
    rows = ["| class | best published | operations | ours at no more | ours of the class at no more |"]
    rows.append("|---|---|---|---|---|")
    for name in dict.fromkeys(p.complexity_class for p in theirs):
        best = max((p for p in theirs if p.complexity_class == name), key=lambda p: p.correct)
        within = [p for p in ours if p.flops <= best.flops and p.operations <= best.operations]
        of_class = [p for p in within if _GROWTH.index(p.complexity_class) >= _GROWTH.index(name)]
        answers = " | ".join(map(_best, (within, of_class)))
        rows.append(f"| {name} | {_digits(best.bound)} `{best.strategy}` | {best.operations:,} | {answers} |")
    return rows


_GROWTH = [str(found) for found in ComplexityClass]
"""Complexity classes, fastest growing first."""


def _best(points: Sequence[Point]) -> str:
    best = max(points, key=lambda p: p.correct, default=None)
    return f"{_digits(best.bound)} `{best.strategy}` ({best.operations:,})" if best else "none"


def draw(points: Sequence[Point], title: str, path: Path) -> None:
    """Share not certified against operations, both on logarithmic axes, with the frontier of each family."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    least = 0.5 / max(p.total for p in points)
    for family, colour in ((Family.PUBLISHED, "tab:orange"), (Family.SEPARABLE, "tab:blue")):
        some = [p for p in points if p.family == family]
        if not some:
            continue
        axes.scatter([p.operations for p in some], [max(1 - p.bound, least) for p in some], 14, colour)
        edge = frontier(some)
        x, y = [p.operations for p in edge], [max(1 - p.bound, least) for p in edge]
        axes.step(x, y, where="post", color=colour, label=family.value)
    axes.set(xscale="log", yscale="log", title=title)
    axes.set(xlabel="operations executed", ylabel="share not certified")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.frontier", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--strategy", nargs="+", default=["published", "separable"], metavar="GLOB")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true", help="JSON Lines of the points instead of tables")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    strategies = select(options.strategy)
    text: list[str] = []
    for path in options.models:
        points = measured(load_model(path), strategies)
        if options.json:
            for point in points:
                print(json.dumps({"model": str(path)} | attrs.asdict(point)), flush=True)
        section = [f"## {path.stem}", "", *rivals(points), "", *table(points), ""]
        if not options.json:
            print("\n".join(section), flush=True)
        if options.out and points:
            options.out.mkdir(parents=True, exist_ok=True)
            draw(points, path.stem, options.out / f"{path.stem}.png")
            section.insert(2, f"![{path.stem}]({path.stem}.png)\n")
        text += section
    if options.out:
        (options.out / "frontier.md").write_text(
            "\n".join(["# Bound against work", "", *text]), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
