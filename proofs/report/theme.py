"""Two sets of colours for pictures: one for light pages, one for dark; the background is the page's own."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs
from matplotlib.colors import LinearSegmentedColormap

__all__ = ["DARK", "LIGHT", "Mode", "Theme"]


class Mode(Enum):
    """The page a picture stands on."""

    LIGHT = "light"
    DARK = "dark"


@attrs.frozen
class Theme:
    """The colours of a picture.

    Attributes:
        mode: the page it is made for.
        ink: text and axes.
        faint: the grid.
        first: the first series; by its side `second`.
        second: the second series.
        ramp: from the least to the most, first towards the page and last away from it.
        nothing: what has nothing of it at all.
    """

    mode: Mode
    ink: str
    faint: str
    first: str
    second: str
    ramp: tuple[str, ...]
    nothing: str

    @property
    def style(self) -> Any:
        """Settings for `matplotlib.rc_context`; text stays text: files are small and can be searched."""
        return {
            "svg.hashsalt": "certkit",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 11,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.edgecolor": self.ink,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "axes.facecolor": "none",
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "grid.color": self.faint,
            "legend.frameon": False,
        }

    @property
    def colours(self) -> LinearSegmentedColormap:
        """The ramp as a colour map."""
        return LinearSegmentedColormap.from_list(f"certkit-{self.mode.value}", list(self.ramp))


LIGHT, DARK = map(
    Theme,
    Mode,
    ("#3b4252", "#c9ced8"),  # ink
    ("#d8dce3", "#4a5163"),  # faint
    ("#2a6fbb", "#6db1f2"),  # first
    ("#d9730d", "#f0a04b"),  # second
    (("#bcd7f2", "#5b9bd8", "#1f5fa8", "#0a2850"), ("#24476e", "#3b7cc0", "#86bdf2", "#e8f4ff")),  # ramp
    ("#eceff3", "#343a49"),  # nothing
)
