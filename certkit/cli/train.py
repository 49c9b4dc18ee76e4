"""`certkit train`: models to prove something about."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import attrs

from certkit.cli.exits import CliError
from certkit.cli.inputs import writable_folder
from certkit.task import MAX_OF_K
from proofs.progress import training_bar
from proofs.task import parse_task
from proofs.training import Recipe, silent, train_into

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_MOST_SEEDS = 10_000


def train(
    *,
    k: int,
    vocab: int,
    seeds: str = "0",
    out: Path = Path("models"),
    device: str = "cpu",
    steps: int = 3000,
    task: str = "max-of-k",
) -> None:
    """Train Max-of-K models, all seeds of a run together, and print the paths of their files.

    Models that are already there are kept, and an interrupted run goes on where it stopped.

    Parameters
    ----------
    k
        Length of the sequences.
    vocab
        Number of tokens.
    seeds
        One model for each seed: '0', '0-15' or '0,3,8-11'.
    out
        Folder for the models, named k4-v64-s0.safetensors and so on.
    device
        'cpu' or 'cuda'.
    steps
        Training steps.
    task
        'max-of-k', 'min-of-k', or a JSON file with the order and labels of another task.
    """
    for option, value in (("--k", k), ("--vocab", vocab), ("--steps", steps)):
        if value < 1:
            raise CliError(f"{option} {value}: it must be at least 1")
    recipe = Recipe(n_ctx=k, vocab=vocab, steps=steps)
    if task != MAX_OF_K:
        recipe = attrs.evolve(recipe, task=parse_task(task, vocab))
    wanted = parse_seeds(seeds)
    folder = writable_folder(out)
    if sys.stderr.isatty():
        with training_bar(len(wanted), steps) as watch:
            paths = train_into(folder, recipe, wanted, device, watch)
    else:
        paths = train_into(folder, recipe, wanted, device, silent)
    for seed in wanted:
        print(paths[seed])


def parse_seeds(text: str) -> list[int]:
    """Return the seeds `text` names, in increasing order.

    Raises:
        CliError: it is not a list of numbers and ranges, or it names too many.

    >>> parse_seeds("8-10,0")
    [0, 8, 9, 10]
    """
    seeds: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise CliError(f"--seeds {text!r}: cannot read {part!r}; write 0, 0-15 or 0,3,8-11")
        if last - first >= _MOST_SEEDS:
            raise CliError(f"--seeds {text!r}: {last - first + 1} seeds at once; at most {_MOST_SEEDS}")
        seeds.update(range(first, last + 1))
    return sorted(seeds)
