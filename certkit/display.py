"""What people see: numbers in words that never say too much, and small tables for notebooks.

Percentages of lower bounds are rounded down, of upper bounds up. The HTML is self-contained: no script, no
style sheet, no reference to anything outside, and no colour of its own, so that it fits light and dark pages.
Everything that comes from outside (names, paths, digests) is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from html import escape

__all__ = [
    "facts_html",
    "float_down",
    "grouped",
    "grouped_up",
    "percent_down",
    "percent_up",
    "printable",
    "short_digest",
    "table_html",
]


def _percent(scaled: int, digits: int) -> str:
    unit = 10**digits
    return f"{scaled // unit}.{scaled % unit:0{digits}d} %"


def percent_down(value: Fraction, digits: int = 4) -> str:
    """A percentage that never says more than `value`, with `digits` decimals.

    >>> percent_down(Fraction(16772048, 16777216)), percent_down(Fraction(1))
    ('99.9691 %', '100.0000 %')
    """
    return _percent(math.floor(value * 100 * 10**digits), digits)


def percent_up(value: Fraction, digits: int = 4) -> str:
    """A percentage that never says less than `value`, with `digits` decimals.

    >>> percent_up(Fraction(1, 3))
    '33.3334 %'
    """
    return _percent(math.ceil(value * 100 * 10**digits), digits)


def float_down(value: Fraction) -> float:
    """A float that is at most `value`, for a `value` in [0, 1]; at most 2⁻⁵³ below it.

    The quotient is exact: its numerator is an integer of at most 53 bits, its denominator a power of two.

    >>> float_down(Fraction(1, 3)) <= Fraction(1, 3), float_down(Fraction(1))
    (True, 1.0)
    """
    if not 0 <= value <= 1:
        raise ValueError(f"value={value} is not a proportion in [0, 1]")
    return math.floor(value * 2**53) / 2**53


def grouped(value: int) -> str:
    """An integer as people read it; beyond 15 digits its leading digits, cut off, and its size.

    >>> grouped(16777216), grouped(20**20)
    ('16,777,216', '1.0e26')
    """
    text = str(value)
    return f"{value:,}" if len(text) <= 15 else f"{text[0]}.{text[1]}e{len(text) - 1}"


def grouped_up(value: int) -> str:
    """`grouped`, but never saying less than `value`.

    >>> grouped_up(20**20), grouped_up(10**20 - 1)
    ('1.1e26', '1.0e20')
    """
    digits = len(str(value))
    unit: int = 10 ** (digits - 2) if digits > 15 else 1
    return grouped(-(-value // unit) * unit)


def short_digest(digest: str) -> str:
    """The beginning of a digest, enough to tell things apart by eye.

    >>> short_digest("0123456789abcdef")
    '0123456789ab…'
    """
    return digest if len(digest) <= 12 else digest[:12] + "…"


def printable(text: str) -> str:
    """Text from a file, with what a terminal might obey (control characters, direction marks) spelled out.

    >>> printable("cubic\\x1b[2J")
    'cubic\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def facts_html(title: str, facts: Iterable[tuple[str, str]], note: str = "") -> str:
    """A titled table of names and values.

    >>> facts_html("Model", [("tokens", "<3>")])
    '<div><strong>Model</strong><table><tr><th style="text-align:left">tokens</th>\
<td style="text-align:left">&lt;3&gt;</td></tr></table></div>'
    """
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in facts
    )
    below = f"<small>{escape(note)}</small>" if note else ""
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table>{below}</div>"


def table_html(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A titled table with a heading over each column.

    >>> "<td" in table_html("Checks", ["name"], [["fma"]])
    True
    """
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<div><strong>{escape(title)}</strong><table><tr>{head}</tr>{body}</table></div>"
