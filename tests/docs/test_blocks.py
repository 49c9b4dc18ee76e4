"""The rules of the page runner, each with a page that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import PageError, blocks_of, commands_of, shows
from tests.docs.test_pages import Page


def _page(*blocks: tuple[str, str]) -> str:
    return "\n\nSome words.\n\n".join(f"```{kind}\n{text}\n```" for kind, text in blocks)


def _run(source: str, folder: Path) -> Page:
    page = Page(folder)
    for block in blocks_of("p.md", source):
        page.run(block)
    return page


BROKEN = {
    "python that raises": _page(("python", "1 / 0")),
    "python that needs a name nobody defined": _page(("python", "print(undefined)")),
    "wrong output below python": "```python\nprint(1)\n```\n\n```text\n2\n```\n",
    "a command that fails": _page(("console", "$ false")),
    "a pipe whose first command fails": _page(("console", "$ false | true")),
    "a command that prints something else": _page(("console", "$ echo 1\n2")),
    "a session that goes otherwise": _page(("pycon", ">>> 1 + 1\n3")),
    "a kind of block that is never run": _page(("bash", "true")),
    "no kind at all": _page(("", "true")),
    "code dressed as text": _page(("text", "$ certkit prove x")),
    "python dressed as text": _page(("text", "import certkit")),
    "a command without its dollar": _page(("console", "certkit --help")),
    "JSON that does not parse": _page(("json", "{")),
    "TOML that does not parse": _page(("toml", "= 1")),
    "code that is only indented": "Words:\n\n    $ certkit prove x\n",
    "a file outside the page's folder": _page(('python title="../x.py"', "x = 1")),
    "a file that is no Python file": _page(('console title="x.py"', "$ true")),
    "a block that never ends": "```python\nprint(1)\n",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_page_fails(source: str, tmp_path: Path) -> None:
    with pytest.raises((PageError, ValueError, ArithmeticError, NameError)):
        _run(source, tmp_path)


def test_blocks_share_their_folder_and_names(tmp_path: Path) -> None:
    source = _page(
        ("python", "from pathlib import Path\nx = 41"),
        ("console", "$ echo hello > made.txt"),
        ("python", "assert Path('made.txt').read_text() == 'hello\\n'\nx += 1"),
        ("pycon", ">>> x\n42"),
        ('python title="sub/told.py"', "raise SystemExit('written, not run')"),
        ("console", "$ cat sub/told.py\nraise SystemExit('written, not run')"),
        ("console", "$ cat made.txt; echo one \\\n    two\nhel…\n…\none two"),
    )
    assert _run(source, tmp_path).namespace["x"] == 42


def test_indented_blocks_are_found() -> None:
    source = "!!! note\n    ```python\n    if True:\n        x = 1\n    ```\n"
    assert [b.text for b in blocks_of("p.md", source)] == ["if True:\n    x = 1\n"]


def test_comments_after_a_command_are_not_part_of_it() -> None:
    (block,) = blocks_of("p.md", _page(("console", "$ make demo    # everything")))
    assert [c.line for c in commands_of(block)] == ["make demo"]


def test_wildcards_match_only_what_they_stand_for() -> None:
    assert shows(["a…c"], "abbc\n")
    assert shows(["a", "…", "z"], "a\nb\nc\nz\n")
    assert shows(["a", "…", "z"], "a\nz\n")
    assert not shows(["a…c"], "ab\nc\n")
    assert not shows(["a"], "a\nb\n")
