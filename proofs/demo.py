"""The main job in one go: train a model, prove it twice, audit both certificates (`make demo`)."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import attrs
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from certkit.certificate import Certificate, Verdict
from certkit.display import grouped, percent_down
from certkit.kernel import audit
from proofs.model import load_model
from proofs.progress import training_bar
from proofs.proving import prove_many
from proofs.training import Recipe, silent, train_into

STRATEGIES = ("cubic", "brute-force")


@attrs.frozen
class Step:
    """One certificate of the demonstration."""

    certificate: Certificate
    path: Path
    prove_seconds: float
    verdict: Verdict


def run(folder: Path, recipe: Recipe, console: Console) -> tuple[Path, list[Step]]:
    """Train one model of `recipe` into `folder`, prove it with each strategy, audit each certificate."""
    console.print(f"Training a model that names the largest of {recipe.n_ctx} tokens below {recipe.vocab} …")
    with training_bar(1, recipe.steps, console) if console.is_terminal else nullcontext(silent) as watch:
        model_path = train_into(folder, recipe, [0], watch=watch)[0]
    model = load_model(model_path)
    steps = []
    started = time.perf_counter()
    for certificate in prove_many(model, STRATEGIES):
        seconds = time.perf_counter() - started
        path = folder / f"{model_path.stem}--{certificate.strategy}.cert"
        certificate.save(path)
        console.print(f"Proved with {certificate.strategy} in {seconds:.1f} s; auditing …")
        steps.append(Step(certificate, path, seconds, audit(str(path), str(model_path))))
        started = time.perf_counter()
    return model_path, steps


def table(steps: Sequence[Step]) -> Table:
    """One row per certificate."""
    title = f"Of {steps[0].certificate.claim.total:,} sequences the model is right on"
    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("strategy", "at least", "accuracy", "proved in", "audit", "audited in"):
        justify: JustifyMethod = "left" if heading in {"strategy", "audit"} else "right"
        result.add_column(heading, justify=justify, no_wrap=True)
    for step in steps:
        claim = step.certificate.claim
        result.add_row(
            step.certificate.strategy,
            grouped(claim.correct_at_least),
            f"≥ {percent_down(step.certificate.bound)}",
            f"{step.prove_seconds:.1f} s",
            step.verdict.verdict,
            f"{step.verdict.seconds:.1f} s",
        )
    return result


def _program() -> str:
    """What to type for ``certkit``: its name if it is on the path, or where it is beside this Python."""
    if shutil.which("certkit"):
        return "certkit"
    return os.path.relpath(Path(sys.executable).with_name("certkit"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 if both certificates were verified."""
    parser = argparse.ArgumentParser(prog="python -m proofs.demo", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the model and certificates"
    )
    parser.add_argument("--k", type=int, default=4, help="length of the sequences")
    parser.add_argument("--vocab", type=int, default=64, help="number of tokens")
    parser.add_argument("--steps", type=int, default=3000, help="training steps")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # fastest for a model of this size, and nobody else's cores are taken
    console = Console()
    recipe = Recipe(n_ctx=options.k, vocab=options.vocab, steps=options.steps)
    model_path, steps = run(options.out, recipe, console)
    console.print(table(steps))
    console.print(Text(f"model        {model_path}"), soft_wrap=True)
    for step in steps:
        console.print(Text(f"certificate  {step.path}"), soft_wrap=True)
    console.print("Check a certificate again, with python-flint alone:")
    console.print(Text(f"  {_program()} audit {steps[0].path} {model_path}"), soft_wrap=True)
    return 0 if all(step.verdict.exit_code == 0 for step in steps) else 1


if __name__ == "__main__":
    sys.exit(main())
