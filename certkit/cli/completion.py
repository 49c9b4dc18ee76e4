"""`certkit completion`: let the shell complete commands and options."""

from __future__ import annotations

import sys
from typing import Literal

from certkit.cli.app import build


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a completion script for a shell.

    For bash: `certkit completion bash > ~/.local/share/bash-completion/completions/certkit`

    Parameters
    ----------
    shell
        The shell it is for.
    """
    sys.stdout.write(build().generate_completion(shell=shell) + "\n")
