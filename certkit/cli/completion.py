"""`certkit completion`: let the shell complete commands and options."""

from __future__ import annotations

import sys
from typing import Literal

from certkit.cli.app import build

_ZSH_END = """
# As a file in $fpath it is called; sourced, it registers itself.
if [[ $funcstack[1] == _certkit ]]; then
  _cyclopts_certkit "$@"
else
  compdef _cyclopts_certkit certkit
fi
"""
"""The library's script only defines a function."""


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a completion script for a shell.

    For bash: `certkit completion bash > ~/.local/share/bash-completion/completions/certkit`.
    For zsh: `certkit completion zsh > ~/.zfunc/_certkit`, where `~/.zfunc` is in `fpath` before `compinit`.
    For fish: `certkit completion fish > ~/.config/fish/completions/certkit.fish`.

    Parameters
    ----------
    shell
        The shell it is for.
    """
    script = build().generate_completion(shell=shell).rstrip() + "\n"
    sys.stdout.write(script + (_ZSH_END if shell == "zsh" else ""))
