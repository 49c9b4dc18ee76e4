"""The published strategies on the reference model, ours beside the published implementation.

    python benchmarks/published.py ../shared/data/reference/k4-v64-a.safetensors [--out table.md]

Proves the cubic strategy and the hundred sub-cubic ones (each verified against its own witness, in interval
arithmetic) and writes one row for each: certified bound and seconds, ours and the published ones, which are
read from the JSON file beside the model. Exits with 1 if one of ours is more than 0.002 below the published.
Seconds are CPU seconds of one thread; work shared between strategies is counted where it was first done.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import attrs
import torch

from proofs.model import Model, load_model
from proofs.proving import run_search, run_verify
from proofs.strategy import find
from proofs.workspace import Workspace

ALLOWANCE = 0.002
"""How far below a published bound ours may be: the published numbers are float32 sums."""


@attrs.frozen
class Row:
    """One strategy on one model."""

    name: str
    complexity_class: str
    ours: float
    theirs: float
    our_seconds: float
    their_seconds: float
    flops: int
    unexplained_dimension: int

    @property
    def gain(self) -> float:
        """Our bound minus the published one."""
        return self.ours - self.theirs


def prove_row(
    name: str, published: dict[str, float], model: Model, searching: Workspace, verifying: Workspace
) -> Row:
    """Search and verify one strategy."""
    strategy = find(name)
    started = time.process_time()
    searched = run_search(strategy, model, searching)
    verified = run_verify(strategy, model, searched.witness, verifying)
    return Row(
        name=name,
        complexity_class=strategy.complexity_class,
        ours=verified.certified.correct_at_least / model.total,
        theirs=published["bound"],
        our_seconds=time.process_time() - started,
        their_seconds=published["verify_s"] + published.get("search_s", 0.0),
        flops=verified.spent.flops,
        unexplained_dimension=strategy.unexplained_dimension(model),
    )


def prove_all(model: Model, reference: dict[str, dict[str, float]]) -> list[Row]:
    """One row for each strategy of ``reference``, in its order."""
    searching, verifying = Workspace(model), Workspace(model)
    return [prove_row(name, row, model, searching, verifying) for name, row in reference.items()]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, best bound first."""
    lines = [
        "| strategy | class | ours | published | gain | ours, s | published, s | operations | unexplained |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.name} | {row.complexity_class} | {row.ours:.4f} | {row.theirs:.4f} | {row.gain:+.4f} "
        f"| {row.our_seconds:.3f} | {row.their_seconds:.1f} | {row.flops:,} | {row.unexplained_dimension:,} |"
        for row in sorted(rows, key=lambda row: -row.ours)
    ]
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Totals and the worst comparison."""
    worst = min(rows, key=lambda row: row.gain)
    return (
        f"{len(rows)} strategies: {sum(row.our_seconds for row in rows):.1f} s of one thread, "
        f"published {sum(row.their_seconds for row in rows):.0f} s. "
        f"Least gain {worst.gain:+.6f} ({worst.name})."
    )


def main() -> int:
    """Read the arguments, prove, print."""
    parser = argparse.ArgumentParser(description="Our bounds beside the published ones.")
    parser.add_argument(
        "model", type=Path, help="safetensors file with a .json of published bounds beside it"
    )
    parser.add_argument("--out", type=Path, help="write the table to this Markdown file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    published = json.loads(arguments.model.with_suffix(".json").read_text())
    rows = prove_all(load_model(arguments.model), {"cubic": published["cubic"], **published["subcubic"]})
    text = f"{summary(rows)}\n\n{table(rows)}\n"
    if arguments.out is not None:
        arguments.out.write_text(text)
    print(text)
    return int(any(row.gain < -ALLOWANCE for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
