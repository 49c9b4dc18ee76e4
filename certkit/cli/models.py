"""Reading models: every refusal names the file. (Kept apart: it imports torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.text import Text

from certkit import environment
from certkit.cli.exits import CliError, Exit
from certkit.cli.inputs import refusal
from certkit.cli.output import log_console
from certkit.task import MAX_OF_K, NAMES
from proofs.model import Model, ModelError, load_model, load_notes


def read_model(path: Path) -> Model:
    """The model in `path`; refusals name the path."""
    try:
        return load_model(path)
    except ModelError as error:
        raise refusal(path, error) from error


def _trained_for(path: Path) -> str:
    """The task that the file of a model names; none if it cannot be read: its reader reports that."""
    try:
        return load_notes(path).get("task", "")
    except ModelError:
        return ""


def remark_on_task(models: Sequence[Path], task: str) -> None:
    """Say on stderr if models were trained for a task with another name than `task`."""
    others: dict[str, list[Path]] = {}
    for path in models:
        trained_for = _trained_for(path)
        if trained_for in NAMES and trained_for not in (
            task,
            MAX_OF_K,
        ):  # every file says max-of-k by default
            others.setdefault(trained_for, []).append(path)
    for trained_for, paths in others.items():
        more = f" and {len(paths) - 1} more say they were" if len(paths) > 1 else " says it was"
        note = f"{paths[0]}{more} trained for {trained_for}: --task {trained_for}"
        log_console().print(Text(note), soft_wrap=True)


def require_sound_machine() -> None:
    """Refuse to prove anything where the arithmetic is not what proofs assume."""
    try:
        environment.require_sound()
    except environment.EnvironmentRefused as error:
        raise CliError(f"{error} (certkit doctor shows all checks)", Exit.ENVIRONMENT) from error


def use_threads(count: int) -> None:
    """Let the tensor library use so many threads; more than a busy machine has free make small work slow."""
    if count < 1:
        raise CliError(f"--threads {count}: use at least 1")
    torch.set_num_threads(count)
