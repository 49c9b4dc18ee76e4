"""What mkdocs is asked to do while it builds the site.

Formulas become MathML, which browsers draw themselves: no script, no font service, no network. A formula with
a command the converter does not know fails the build. The reference of the commands is filled in from their
own help. The sections appear in the order a newcomer reads them.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.nav import Navigation

from certkit.cli.app import COMMANDS, build

SECTIONS = (
    "certkit",
    "Tutorial",
    "How to",
    "Explanation",
    "Reference",
    "Conformance",
    "Results",
    "Changelog",
)

_COMMANDS = "<!-- every command -->"

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


_WIDE = 30
"""Formulas in a line that are longer than this may be wider than a phone: there they scroll."""


def _mathml(match: re.Match[str]) -> str:
    kind, source = match[1], html.unescape(match[2]).strip()
    result = convert(source, display="block" if kind == "div" else "inline")
    if "\\" in result:
        raise PluginError(f"formula {source!r}: unknown command in {result!r}")
    wide = " wide" if kind == "span" and len(source) > _WIDE else ""
    return f'<{kind} class="formula{wide}">{result}</{kind}>'


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the reference of the commands from their own help."""
    if _COMMANDS not in markdown:
        return markdown
    app = build([name for name, _, _ in COMMANDS])
    text = app.generate_docs(output_format="markdown", recursive=True, heading_level=1)
    return markdown.replace(_COMMANDS, text[text.index("## certkit train") :])


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
