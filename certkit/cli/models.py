"""Reading models: every refusal names the file. (Kept apart: it imports torch.)"""

from __future__ import annotations

from pathlib import Path

import torch

from certkit import environment
from certkit.cli.exits import CliError, Exit
from proofs.model import Model, ModelError, load_model


def read_model(path: Path) -> Model:
    """The model in `path`; refusals name the path."""
    try:
        return load_model(path)
    except ModelError as error:
        text = str(error)
        raise CliError(text if str(path) in text else f"{path}: {text}") from error


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
