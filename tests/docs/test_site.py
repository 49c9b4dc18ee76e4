"""The built site: formulas drawn by the browser itself, and nothing asked of another server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")

from mkdocs.exceptions import PluginError

import mkdocs_hooks as hooks

ROOT = Path(__file__).resolve().parents[2]


def _drawn(kind: str, source: str) -> str:
    left, right = ("(", ")") if kind == "span" else ("[", "]")
    return hooks.on_page_content(f'<{kind} class="arithmatex">\\{left}{source}\\{right}</{kind}>')


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a = b", ["a = b"]),
        (r"a, \qquad b", ["a, ", " b"]),
        (r"{a \qquad b} \qquad c", [r"{a \qquad b} ", " c"]),
        (r"\left(a \qquad b\right)", [r"\left(a \qquad b\right)"]),
        (r"\leftarrow \qquad b", [r"\leftarrow ", " b"]),
        (r"\{ a \} \qquad b", [r"\{ a \} ", " b"]),
    ],
)
def test_a_formula_parts_only_outside_braces(source: str, parts: list[str]) -> None:
    assert hooks._parts(source) == parts
    assert _drawn("div", source).count("<math") == len(parts)


def test_only_long_formulas_in_a_line_may_scroll() -> None:
    assert 'class="formula"' in _drawn("span", "a = b")
    assert 'class="formula wide"' in _drawn("span", "a + " * 20 + "b")


def test_no_two_entries_of_a_menu_are_alike() -> None:
    """The folders are the menu, and a page's title is its entry; the home page stands above all folders."""
    homes, entries = [], []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        title = page.read_text(encoding="utf-8").partition("\n")[0]
        if included := re.fullmatch('--8<-- "(.*)"', title):
            title = (ROOT / included[1]).read_text(encoding="utf-8").partition("\n")[0]
        assert title.startswith("# "), page
        home = page.parent == ROOT / "docs"
        (homes if home else entries).append((None if home else page.parent, title))
    assert len({*homes, *entries}) == len(homes) + len(entries)
    assert not {title for _, title in homes} & {title for _, title in entries}


@pytest.mark.parametrize("kind", ["span", "div"])
def test_a_formula_nobody_can_draw_fails_the_build(kind: str) -> None:
    with pytest.raises(PluginError, match="nosuchcommand"):
        _drawn(kind, r"\nosuchcommand{x}")


def test_no_style_shows_the_picture_of_the_other_mode() -> None:
    """The theme hides it with `display`, and ours would come after the theme's."""
    style = re.sub(
        r"/[*].*?[*]/", "", (ROOT / "docs/assets/site.css").read_text(encoding="utf-8"), flags=re.S
    )
    rules = re.findall(r"([^{}]+)[{]([^{}]*)[}]", style)
    assert [body for selector, body in rules if "img" in selector and "display" in body] == []
    assert any("img" in selector for selector, _ in rules)


class _Resources(HTMLParser):
    """What a page makes the browser load, and the formulas on it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.formulas = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in {"script", "img", "iframe", "source"}:
            self.loaded += [values.get("src") or ""]
        if tag == "link" and values.get("rel") in {"stylesheet", "icon", "preload"}:
            self.loaded += [values.get("href") or ""]
        self.formulas += tag == "math"
        assert tag != "merror"


def _pages(site: Path) -> Iterator[tuple[Path, _Resources]]:
    for path in sorted(site.rglob("*.html")):
        page = _Resources()
        page.feed(path.read_text(encoding="utf-8"))
        yield path, page


@pytest.mark.extended
def test_the_site_stands_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=500)
    pages = dict(_pages(tmp_path))
    assert sum(page.formulas for page in pages.values()) > 100
    for path, page in pages.items():
        text = path.read_text(encoding="utf-8")
        assert 'class="arithmatex"' not in text, path
        for target in filter(None, page.loaded):
            assert not re.match(r"(https?:)?//", target), (path, target)
            if path.name != "404.html":  # its links are absolute, from the root of the server
                assert (path.parent / re.split("[?#]", target)[0]).is_file(), (path, target)
