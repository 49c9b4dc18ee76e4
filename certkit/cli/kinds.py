"""Models and certificates told apart by their first bytes, so that two paths in the wrong order are named.

Only for messages: what a file holds is decided by its reader alone. This module needs nothing but the
standard library, for `certkit audit` does. The two kinds exclude each other: a safetensors file starts with
the length of its header in eight bytes, and of any length below 2³² the last four are zero; a certificate is
ASCII text. Only regular files are looked into: what is read from a pipe would be gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from certkit.cli.exits import CliError

_CERTIFICATE = b'{"certkit":'
_NUMBER_FOLLOWS = ("--s", "--j")
"""How the options of `certkit audit` begin that take a number, whatever they are shortened to."""


def _first_bytes(path: Path | str) -> bytes:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""  # its reader will say so
    with open(path, "rb") as file:
        return file.read(len(_CERTIFICATE))


def is_model(path: Path | str) -> bool:
    """Whether the file starts as safetensors files do."""
    first = _first_bytes(path)
    return first[4:9] == b"\0\0\0\0{"


def is_certificate(path: Path | str) -> bool:
    """Whether the file starts as certificates do."""
    return _first_bytes(path) == _CERTIFICATE


def check_order(command: str, files: Sequence[Path | str], order: str = "CERT MODEL") -> None:
    """Refuse a model that stands before the last of `files`, and a certificate that is the last.

    Raises:
        CliError: it names the file and the right order.
    """
    for path in files[:-1]:
        if is_model(path):
            raise CliError(f"{path} is a model, not a certificate; write certkit {command} {order}")
    if len(files) > 1 and is_certificate(files[-1]):
        raise CliError(f"{files[-1]} is a certificate, not a model; write certkit {command} {order}")


def audit_files(arguments: Iterable[str]) -> list[str]:
    """The files among the arguments of `certkit audit`, as far as can be told without parsing them.

    >>> audit_files(["a.cert", "--jobs", "2", "--json", "m.safetensors"])
    ['a.cert', 'm.safetensors']
    """
    files, before = [], ""
    for argument in arguments:
        is_count = argument.isdigit() and before.startswith(_NUMBER_FOLLOWS)
        if not argument.startswith("-") and not is_count:
            files.append(argument)
        before = argument
    return files
