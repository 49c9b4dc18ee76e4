"""A certificate's coverage: of every class (q, m), the share of sequences that it does not certify.

`missing_shares` is exact, from the certificate's own integers; `coverage_figure` draws it. Both say what the
certificate *claims*: drawing is no more a check than `certkit show` is.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure as Canvas

from certkit.certificate import Certificate
from certkit.content import CertifiedSet, class_size
from certkit.display import percent_down
from proofs.report.figures import Figure, svg_of
from proofs.report.theme import LIGHT, Theme

__all__ = ["coverage_figure", "missing_shares"]

_LEAST: Final = 1e-4
"""Smaller shares have the colour of this one; no share at all has a colour of its own."""


def missing_shares(content: CertifiedSet) -> dict[tuple[int, int], Fraction]:
    """The share of each class (q, m) that is not certified, exactly; 1 where a class has no content.

    The shares, each times its `certkit.content.class_size`, add up to what the claim leaves open.

    >>> from certkit.content import CertifiedSet, full_content
    >>> missing_shares(CertifiedSet(2, 2, (full_content(0, 1, 2),)))[0, 1]
    Fraction(0, 1)
    >>> missing_shares(CertifiedSet(2, 2, (full_content(0, 1, 2),)))[1, 1]
    Fraction(1, 1)
    """
    k = content.k
    certified = {(entry.q, entry.m): entry.correct_at_least(k) for entry in content.entries}
    classes = ((q, m) for m in range(content.vocab) for q in range(m + 1) if k > 1 or q == m)
    return {(q, m): 1 - Fraction(certified.get((q, m), 0), class_size(q, m, k)) for q, m in classes}


def coverage_figure(certificate: Certificate, theme: Theme = LIGHT) -> Figure:
    """Draw what `certificate` leaves open, a square for every class: query upwards, maximum to the right.

    Darker on a light page, brighter on a dark one, is a larger open share, on a logarithmic scale from
    1/10,000 to all. A class that is certified whole has a colour of its own.

    Args:
        certificate: any certificate, of any strategy.
        theme: the colours; `proofs.report.theme` has one for light pages and one for dark.
    """
    shares = missing_shares(certificate.content)
    vocab = certificate.content.vocab
    whole, open_share = np.full((2, vocab, vocab), np.nan)
    for (q, m), share in shares.items():
        if share == 0:
            whole[q, m] = 0.0
        else:
            open_share[q, m] = max(float(share), _LEAST)
    with matplotlib.rc_context(theme.style):
        canvas = Canvas(figsize=(6.0, 4.7), layout="constrained")
        axes = canvas.add_subplot()
        axes.imshow(whole, cmap=ListedColormap([theme.nothing]), origin="lower", interpolation="none")
        image = axes.imshow(
            open_share, cmap=theme.colours, norm=LogNorm(_LEAST, 1.0), origin="lower", interpolation="none"
        )
        bar = canvas.colorbar(image, ax=axes, shrink=0.75)
        bar.set_label("share not certified")
        bar.set_ticks([1e-4, 1e-3, 1e-2, 1e-1, 1.0], labels=["0.01 %", "0.1 %", "1 %", "10 %", "all"])
        bar.minorticks_off()
        bar.outline.set_visible(False)
        _words(axes, certificate, sum(share == 0 for share in shares.values()), len(shares))
        svg = svg_of(canvas, dpi=100)
    caption = "Each square is the class of sequences with one last token and one largest token."
    return Figure(f"coverage-{certificate.strategy}", f"Coverage of {certificate.strategy}", caption, svg)


def _words(axes: Axes, certificate: Certificate, whole: int, classes: int) -> None:
    """Axis labels, and the claim in the corner that no class can occupy (q ≤ m)."""
    ranks = "" if certificate.claim.task.is_max_of_k else " (rank)"
    axes.set_xlabel(f"largest token m{ranks}")
    axes.set_ylabel(f"last token q{ranks}")
    lines = (
        certificate.strategy,
        f"{percent_down(certificate.bound, 2)} certified",
        f"{whole:,} of {classes:,} classes certified whole",
    )
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", linespacing=1.6)
