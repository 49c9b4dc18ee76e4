"""Reading models: every refusal names the file. (Kept apart: it imports torch.)"""

from __future__ import annotations

from pathlib import Path

from certkit.cli.exits import CliError
from proofs.model import Model, ModelError, load_model


def read_model(path: Path) -> Model:
    """The model in `path`; refusals name the path."""
    try:
        return load_model(path)
    except ModelError as error:
        text = str(error)
        raise CliError(text if str(path) in text else f"{path}: {text}") from error
