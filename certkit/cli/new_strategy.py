"""`certkit new-strategy`: a package with a working strategy, its test and its notes, to change."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from certkit.atomic import write_atomically
from certkit.cli.exits import CliError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

FILES = {
    "strategy.py.txt": "$module.py",
    "test_strategy.py.txt": "test_$module.py",
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
}
"""Template and file it becomes."""


def new_strategy(name: str, /, *, out: Path = Path()) -> None:
    """Start a strategy of your own: a package that registers itself, with a working proof to change.

    Parameters
    ----------
    name
        Lower-case words joined by hyphens; the package's folder and the strategy's name.
    out
        Folder in which the package's folder is made.
    """
    words = names_for(name)
    folder = out / words["module"]
    if folder.exists():
        raise CliError(f"{folder} exists already; choose another name, or --out another folder")
    for path, text in files_for(name).items():
        write_atomically(folder / path, text.encode())
        print(folder / path)


def names_for(name: str) -> dict[str, str]:
    """Return what stands for the name in the templates.

    Raises:
        CliError: no name a package and a strategy can have.

    >>> names_for("low-tokens")["class_name"]
    'LowTokens'
    """
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module) or module in {"certkit", "proofs"}:
        raise CliError(f"strategy name {name!r}: use lower-case words joined by hyphens, as in my-strategy")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    return {"name": name, "module": module, "class_name": class_name}


def files_for(name: str) -> dict[str, str]:
    """Return the package's files, by path, filled in for a strategy called `name`."""
    words = names_for(name)
    folder = resources.files("certkit.cli") / "template"
    texts = {path: (folder / template).read_text("utf-8") for template, path in FILES.items()}
    return {
        Template(path).substitute(words): Template(text).substitute(words) for path, text in texts.items()
    }
