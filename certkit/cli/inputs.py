"""Certificates and folders a command is given: every refusal names the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from certkit.certificate import Certificate
from certkit.cli.exits import CliError, Exit


def read_certificate(path: Path) -> Certificate:
    """The certificate in `path`, unaudited; refusals name the path."""
    try:
        return Certificate.load(path)
    except ValueError as error:
        text = str(error)
        raise CliError(text if str(path) in text else f"{path}: {text}") from error


def writable_folder(path: Path) -> Path:
    """`path` as a folder that exists and takes files, found out before the work and not after it."""
    if path.exists() and not path.is_dir():
        raise CliError(f"--out {path} is not a folder; name a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"--out {path}: cannot write there ({reason}); choose another folder"
        raise CliError(message, Exit.ENVIRONMENT) from error
