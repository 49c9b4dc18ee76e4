"""Examples in docstrings are shown as the interactive sessions they are."""

from __future__ import annotations

from typing import Any

import griffe


def fenced(text: str) -> str:
    """Return `text` with every doctest paragraph in a fence of its own.

    >>> print(fenced("Words.\\n\\n>>> 1 + 1\\n2\\n\\nMore.").replace("`", "'"))
    Words.
    <BLANKLINE>
    '''pycon
    >>> 1 + 1
    2
    '''
    <BLANKLINE>
    More.
    """
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        if not inside and line.lstrip().startswith(">>>"):
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line)
    return "\n".join(lines).rstrip("\n")


class DoctestFences(griffe.Extension):
    """Fence the examples of every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
