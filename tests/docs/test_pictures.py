"""The pictures of the documentation: there, small, in two variants, and drawn from what they say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import benchmarks.pictures as pictures
from certkit import Interval
from proofs.report.theme import DARK, LIGHT, Theme

ROOT = Path(__file__).resolve().parents[2]
MADE = sorted((ROOT / "docs" / "assets" / "pictures").glob("*.svg"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAX_BYTES = 150_000
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.mode.value)


def _rows() -> list[pictures.Proved]:
    return pictures.table_of((ROOT / "docs" / "results" / "frontier.md").read_text(encoding="utf-8"))


def test_every_row_of_the_frontier_is_drawn() -> None:
    page = (ROOT / "docs" / "results" / "frontier.md").read_text(encoding="utf-8")
    rows = _rows()
    assert len(rows) == len(re.findall(r"^\| [*. ]*\| `", page, re.MULTILINE)) > 100
    assert {row.published for row in rows} == {True, False}
    assert pictures._NAMED.keys() <= {row.strategy for row in rows}


@THEMES
def test_the_frontier_draws(theme: Theme) -> None:
    svg = pictures.frontier(_rows(), theme)
    ET.fromstring(svg)
    assert all(name in svg for name in pictures._NAMED)


@pytest.mark.extended
@THEMES
def test_the_frontier_is_that_of_its_table(theme: Theme) -> None:
    """`python -m benchmarks.pictures` was run after the table changed."""
    drawn = (ROOT / "docs" / "assets" / "pictures" / f"frontier-{theme.mode.value}.svg").read_text("utf-8")
    places = re.compile(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"')
    assert places.findall(drawn) == places.findall(pictures.frontier(_rows(), theme))


@THEMES
def test_no_sample_is_outside_its_interval(theme: Theme) -> None:
    ET.fromstring(pictures.interval(theme))


def test_a_sample_outside_its_interval_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(x: Interval) -> Interval:
        y = (-x).exp() * (x * 5).sin()
        return Interval.hull(y.lo, y.mid())

    monkeypatch.setattr(pictures, "_example", half)
    with pytest.raises(RuntimeError, match="outside"):
        pictures.interval(LIGHT)


def test_pictures_are_small_and_come_in_pairs() -> None:
    names = {path.stem for path in MADE}
    assert names
    for path in MADE:
        ET.fromstring(path.read_text(encoding="utf-8"))
        assert path.stat().st_size < MAX_BYTES, path.name
        name, _, mode = path.stem.rpartition("-")
        assert f"{name}-{'dark' if mode == 'light' else 'light'}" in names


_IMAGE = re.compile(r"!\[[^\]]+\]\(([^)#\s]+)(#only-light|#only-dark)?\)")
_TAG = re.compile(r'(?:src|srcset)="([^"]+)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_images_of_a_page_exist_in_the_variant_asked_for(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    asked = [(target, mode) for target, mode in _IMAGE.findall(text)]
    for target, mode in [*asked, *((target, "") for target in _TAG.findall(text))]:
        assert (page.parent / target).is_file(), target
        if mode:
            assert target.endswith(f"-{mode.removeprefix('#only-')}.svg")
    light = [target.replace("-light.", ".") for target, mode in asked if mode == "#only-light"]
    assert light == [target.replace("-dark.", ".") for target, mode in asked if mode == "#only-dark"]
