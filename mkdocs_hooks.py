"""Two things mkdocs is asked to do while it builds the site, so that the pages need no network to be read.

Formulas become MathML, which browsers draw themselves: no script, no font service. A formula with a command the
converter does not know fails the build. And the sections appear in the order a newcomer reads them.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.nav import Navigation

SECTIONS = ("certkit", "Tutorial", "How to", "Explanation", "Reference", "Results", "Changelog")

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def _mathml(match: re.Match[str]) -> str:
    kind, source = match[1], html.unescape(match[2]).strip()
    result = convert(source, display="block" if kind == "div" else "inline")
    if "\\" in result:
        raise PluginError(f"formula {source!r}: unknown command in {result!r}")
    return f'<{kind} class="formula">{result}</{kind}>'


def on_page_content(content: str, **_: Any) -> str:
    """Draw the formulas of a page."""
    return _FORMULA.sub(_mathml, content)


def on_nav(nav: Navigation, **_: Any) -> Navigation:
    """Put the sections in reading order; the folders of docs/ are the navigation."""

    def place(item: Any) -> int:
        title = (item.title or "certkit").replace("-", " ")
        return SECTIONS.index(title) if title in SECTIONS else len(SECTIONS)

    nav.items.sort(key=place)
    return nav
