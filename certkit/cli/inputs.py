"""Certificates and folders a command is given: every refusal names the file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from certkit.certificate import Certificate
from certkit.cli.exits import CliError, Exit
from certkit.cli.kinds import is_certificate, is_model


def refusal(path: Path, error: ValueError) -> CliError:
    """What `error` says, with the file it is about."""
    text = str(error)
    return CliError(text if str(path) in text else f"{path}: {text}")


def read_certificate(path: Path) -> Certificate:
    """The certificate in `path`, unaudited; refusals name the path."""
    if path.is_dir():
        raise CliError(f"{path} is a folder; name a certificate in it")
    if is_model(path):
        raise CliError(f"{path} is a model, not a certificate; certkit prove {path} makes one")
    try:
        return Certificate.load(path)
    except ValueError as error:
        raise refusal(path, error) from error


def require_models(models: Sequence[Path], command: str) -> None:
    """Refuse a list of models that is empty, or that names a folder or nothing at all, before any work."""
    if not models:
        raise CliError(f"no model given; certkit {command} MODEL… (certkit train makes one)")
    for path in models:
        if path.is_dir():
            some = any(path.glob("*.safetensors"))
            remedy = (
                f"name the files in it: {path}/*.safetensors" if some else "it holds no .safetensors file"
            )
            raise CliError(f"{path} is a folder; {remedy}")
        if not path.exists():
            raise CliError(f"{path}: no such file (certkit train makes models)")
        if is_certificate(path):
            raise CliError(f"{path} is a certificate, not a model; certkit {command} takes models")


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
