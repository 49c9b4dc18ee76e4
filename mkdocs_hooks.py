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


def _parts(source: str) -> list[str]:
    r"""The parts of a displayed formula that a `\qquad` outside all braces and environments separates."""
    parts, depth = [""], 0
    for token in re.split(r"(\\begin\b|\\end\b|\\left\b|\\right\b|\\qquad\b|\\[{}]|[{}])", source):
        depth += token in ("{", r"\begin", r"\left")
        depth -= token in ("}", r"\end", r"\right")
        if token == r"\qquad" and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part for part in parts if part.strip()]


def _converted(source: str, display: str) -> str:
    result = convert(source, display=display)
    if "\\" in result:
        raise PluginError(f"formula {source!r}: unknown command in {result!r}")
    return result


def _mathml(match: re.Match[str]) -> str:
    """A formula in a line; or a displayed one, whose parts stand side by side where there is room."""
    kind, source = match[1], html.unescape(match[2]).strip()
    if kind == "div":
        return f'<div class="formula">{"".join(_converted(part, "block") for part in _parts(source))}</div>'
    wide = " wide" if len(source) > _WIDE else ""
    return f'<span class="formula{wide}">{_converted(source, "inline")}</span>'


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
