"""The code blocks of a page, and the rules that make them run.

Each block is of one kind, named by the word after its fence:

* `python`: executed; the blocks of a page share one namespace and one empty folder. One with a title,
  `python title="folder/name.py"`, is written to that file instead.
* `console`: lines that start with `$ ` are run by bash in that folder and must exit 0; the lines below a
  command, if there are any, must be what it prints (stdout and stderr together).
* `pycon`: an interactive session, run by doctest.
* `text`: no code. Directly below a `python` block it must be what that block prints.
* `json`, `toml`: data, which must parse.

In expected output `…` stands for any text within a line, and for any lines when it is a line of its own.
There is no mark that says "do not run this". The few commands that a test cannot run are listed with their
reasons in `test_pages.py`, and an entry that no page uses is an error.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("python", "console", "pycon", "text", "json", "toml")


class PageError(Exception):
    """A block breaks a rule; the message names the page, the line and the remedy."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, text and first line; whether only blank lines part it from the one above.

    `file` is the file it is written to, empty if it is none.
    """

    page: str
    line: int
    kind: str
    text: str
    directly_below: bool
    file: str = ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One `$ ` line of a console block and the output shown below it."""

    where: str
    line: str
    shown: tuple[str, ...]


_FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
_TITLE = re.compile(r'title="(?P<file>[^"]*)"')


def _check_indented(page: str, lines: list[str]) -> None:
    """A block made by indentation alone has no kind, so it is never run: it must not look like code."""
    for number, line in enumerate(lines, 1):
        if line.startswith(("    ", "\t")) and _LOOKS_LIKE_CODE.match(line):
            raise PageError(f"{page}:{number}: {line.strip()!r} is code; fence it as python or console")


def blocks_of(page: str, source: str) -> Iterator[Block]:
    """The fenced blocks of a page in order, checked against the rules above."""
    lines = source.splitlines()
    outside = list(lines)
    number, since_block = 0, "text"
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            since_block += lines[number].strip()
            number += 1
            continue
        indent, fence, start = len(opening["indent"]), opening["fence"], number + 1
        closing = re.compile(rf"^\s*{re.escape(fence[0])}{{{len(fence)},}}\s*$")
        number = next((i for i in range(start, len(lines)) if closing.match(lines[i])), len(lines))
        if number == len(lines):
            raise PageError(f"{page}:{start}: this block is never closed; end it with {fence}")
        text = "".join(line[indent:] + "\n" for line in lines[start:number])
        kind = (opening["info"].split() or [""])[0].lstrip("{.").rstrip("}")
        title = _TITLE.search(opening["info"])
        block = Block(page, start, kind, text, since_block == "", title["file"] if title else "")
        _check(block)
        yield block
        outside[start - 1 : number + 1] = [""] * (number + 2 - start)
        number, since_block = number + 1, ""
    _check_indented(page, outside)


_LOOKS_LIKE_CODE = re.compile(
    r"^\s*(\$ |>>> |import \w|from \w[\w.]* import |def \w+\(|class \w+[:(]|(certkit|pip|python3?|make) \w)"
)


def _check(block: Block) -> None:
    if block.kind not in KINDS:
        raise PageError(f"{block.where}: unknown kind of block {block.kind!r}; use one of {', '.join(KINDS)}")
    if block.file and (block.kind != "python" or not re.fullmatch(r"(\w+/)*\w+\.py", block.file)):
        raise PageError(f"{block.where}: title {block.file!r} must be a Python file below the page's folder")
    if block.kind == "text":
        for line in block.text.splitlines():
            if _LOOKS_LIKE_CODE.match(line):
                raise PageError(
                    f"{block.where}: {line.strip()!r} is code; use python or console, so that it runs"
                )
    if block.kind == "console" and not block.text.startswith("$ "):
        raise PageError(f"{block.where}: a console block starts with a command line, '$ …'")
    if block.kind == "toml":
        tomllib.loads(block.text)
    if block.kind == "json":
        _check_json(block)


def _check_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():  # JSON Lines
            json.loads(line)


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block, each with the output shown below it."""
    commands: list[tuple[int, str, list[str]]] = []
    for offset, line in enumerate(block.text.splitlines(), 1):
        if line.startswith("$ "):
            commands.append((block.line + offset, line[2:].partition("  #")[0].strip(), []))
        elif commands[-1][1].endswith("\\") and not commands[-1][2]:
            number, command, shown = commands.pop()
            commands.append((number, command[:-1] + line.strip(), shown))
        else:
            commands[-1][2].append(line)
    return [Command(f"{block.page}:{number}", line, tuple(shown)) for number, line, shown in commands]


def shows(shown: tuple[str, ...] | list[str], printed: str) -> bool:
    """Whether `printed` is what a page shows, `…` standing for anything.

    >>> shows(["bound 0.9… of", "…", "done"], "bound 0.97 of\\nx\\ny\\ndone\\n")
    True
    >>> shows(["bound 0.9"], "bound 0.8")
    False
    """
    pattern = ""
    for line in [line.rstrip() for line in shown]:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("…")) + r"[ \t]*\n"
    return re.fullmatch(rf"\s*{pattern}\s*", printed.rstrip() + "\n") is not None
