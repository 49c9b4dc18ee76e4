"""What a notebook and a terminal show: short, never more than is proved, and safe to put on a page."""

from __future__ import annotations

import html.parser
import math
import re
from fractions import Fraction
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certkit.affine import Affine
from certkit.certificate import Certificate, Claim, Estimate
from certkit.content import CertifiedSet, full_content
from certkit.display import facts_html, grouped, grouped_up, percent_down, percent_up, table_html
from certkit.environment import Check, Report
from certkit.interval import Interval
from certkit.testing.check import Finding, StrategyReport
from proofs.model import Model

HOSTILE = "<script>alert('x')</script>&\"'"


def model() -> Model:
    one = torch.ones(2, 2)
    return Model(W_E=one, W_pos=torch.ones(3, 2), W_Q=one, W_K=one, W_V=one, W_O=one, W_U=one)


def certificate(strategy: str = "cubic", at_most: int | None = None, classes: int = 5) -> Certificate:
    pairs = [(q, m) for q in range(20) for m in range(q, 20)][:classes]
    content = CertifiedSet(3, 20, tuple(full_content(q, m, 3) for q, m in pairs), two_sided=True)
    claim = Claim(3, 20, "ab" * 32, content.correct_at_least, at_most)
    return Certificate(claim, strategy, 1, content, witness=list(range(1000)))


def doctor(name: str = "fma", passed: bool = True) -> Report:
    return Report("cpu", HOSTILE, 2, (Check(name, passed, "seen", "remedy"),))


def checked(strategy: str = "mine") -> StrategyReport:
    finding = Finding("sound", HOSTILE, "as searched", "certified (0, 1)", (0, 1), {"W_E": torch.ones(9, 9)})
    return StrategyReport(strategy, (finding,), 3, 9, 1, 40, 0.5)


SHOWN: list[Any] = [
    model(),
    certificate(),
    certificate(HOSTILE, at_most=8000),
    certificate(classes=200),
    Estimate(990, 1000),
    doctor(),
    doctor(HOSTILE, passed=False),
    checked(HOSTILE),
    Interval.hull(torch.zeros(3, 50), torch.ones(3, 50)),
    Interval.exact(0.5),
]


class Page(html.parser.HTMLParser):
    """Reads a fragment strictly: every tag it opens is closed, and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: type(shown).__name__)
def test_html_is_well_formed_light_and_self_contained(shown: Any) -> None:
    text = shown._repr_html_()
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.seen <= {"div", "strong", "table", "tr", "th", "td", "small", "p"}
    assert page.attributes <= {"style"}
    assert not re.search(r"url\(|https?:|color", text)
    assert len(text) < 8000


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: type(shown).__name__)
def test_repr_is_short(shown: Any) -> None:
    assert len(repr(shown)) < 8000
    if not isinstance(shown, Interval):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 400 + 2 * len(HOSTILE)


def test_what_comes_from_outside_is_escaped_and_kept() -> None:
    for shown in (certificate(HOSTILE), doctor(HOSTILE), checked(HOSTILE)):
        page = Page()
        page.feed(shown._repr_html_())
        assert "script" not in page.seen
        assert HOSTILE in page.text


def test_a_certificate_says_what_it_claims() -> None:
    one_sided = certificate()
    assert repr(one_sided) == (
        "Certificate('cubic', at least 25 of 8,000 correct (0.3125 %), model abababababab…)"
    )
    both = certificate(at_most=8000)
    assert "at least 25 and at most 8,000 of 8,000 correct (0.3125 % to 100.0000 %)" in repr(both)
    assert "certkit audit" in one_sided._repr_html_()  # shown is not checked
    float32 = attrs.evolve(one_sided, claim=attrs.evolve(one_sided.claim, semantics="float32"))
    assert "float32" in repr(float32)
    assert "float32" in float32._repr_html_()


def test_an_estimate_cannot_be_taken_for_a_proof() -> None:
    estimate = Estimate(990, 1000)
    for text in (repr(estimate), estimate._repr_html_()):
        assert "sampled" in text
        assert "no proof" in text
        assert "99.99 %" in text


def test_a_failing_check_stands_out() -> None:
    assert "not sound: fma" in repr(doctor(passed=False))
    assert "FAILS" in doctor(passed=False)._repr_html_()
    assert "sound" in repr(doctor())
    assert "not sound" not in repr(doctor())
    assert "not sound" in repr(Report("cpu", "x", 1, ()))


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((), "outward<"),
        ((6, 6), "outward<"),
        ((7,), "outward; of it [:6]<"),
        ((2, 3, 9), "outward; of it [0, :6, :6]<"),
        ((1, 6, 6), "outward<"),
        ((0, 3), "outward: no elements<"),
        ((3, 0, 3), "outward: no elements<"),
    ],
)
def test_a_notebook_says_which_part_of_a_tensor_it_shows(shape: tuple[int, ...], note: str) -> None:
    text = Interval.hull(torch.zeros(shape), torch.ones(shape))._repr_html_()
    assert f"shape {shape}, bounds rounded {note}" in text
    kept = [min(6, size) for size in shape[-2:]]
    assert text.count("<td") == (math.prod(kept) if 0 not in shape else 0)


def test_an_affine_tensor_shows_its_range_not_its_generators() -> None:
    x = Affine.from_interval(Interval.hull(torch.zeros(2), torch.ones(2)))
    assert repr(x - x + x) == "Affine(within Interval([[0, 1], [0, 1]]), 2 symbols)"


def test_small_content_is_shown_whole() -> None:
    small = certificate(classes=2).content
    assert repr(small).count("SetContent(") == 2
    assert "200 classes" in repr(certificate(classes=200).content)


proportions = st.fractions(0, 1)


@given(proportions, st.integers(0, 8))
def test_percentages_enclose(value: Fraction, digits: int) -> None:
    shown = (text(value, digits).removesuffix(" %") for text in (percent_down, percent_up))
    low, high = (Fraction(text) / 100 for text in shown)
    assert low <= value <= high
    assert high - low <= Fraction(1, 100 * 10**digits)


@given(st.integers(0, 10**40))
def test_grouped_never_says_more(value: int) -> None:
    shown = Fraction(grouped(value).replace(",", ""))
    assert shown <= value < shown * Fraction(11, 10) + 1
    above = Fraction(grouped_up(value).replace(",", ""))
    assert value <= above < value * Fraction(11, 10) + 1


@given(st.text(), st.text())
def test_any_text_is_escaped(name: str, value: str) -> None:
    for text in (facts_html(name, [(name, value)], value), table_html(name, [value], [[name]])):
        page = Page()
        page.feed(text)
        page.close()
        assert page.open == []
        assert page.seen <= {"div", "strong", "table", "tr", "th", "td", "small"}
