"""The paper's figures with ours drawn beside them, as SVG."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import attrs
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from proofs.report.study import ResultRow, Setting, Study
from proofs.report.tables import best_per_model, class_order, grouped, spread
from proofs.strategy import Family

_RASTER_ABOVE: Final = 2_000
"""With more points than this, points are drawn as an image inside the SVG."""
_MARKERS: Final = {Family.PUBLISHED: "o", Family.SEPARABLE: "*", Family.PLUG_IN: "X"}
_COLOURS: Final = {
    "brute-force": "#444444",
    "quartic": "#7b3fb5",
    "cubic": "#1f6fb4",
    "sub-cubic": "#2a9d57",
    "low-rank": "#e08a1e",
    "quadratic": "#c8374b",
}
_STYLE: Final[Any] = {
    "svg.hashsalt": "certkit",
    "svg.fonttype": "path",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 11,
    "legend.fontsize": 9,
}


@attrs.frozen
class Figure:
    """A figure: its file name without ending, its caption, and its SVG."""

    name: str
    title: str
    caption: str
    svg: str


def _canvas() -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(7.2, 4.6), layout="constrained")
    return canvas, canvas.add_subplot()


def svg_of(canvas: Canvas, dpi: int = 160) -> str:
    """The picture as SVG, the same bytes every time, without the prologue that a page has no use for."""
    stream = io.StringIO()
    canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": "certkit"}, dpi=dpi)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _scatter(axes: Axes, rows: Sequence[ResultRow], xs: Sequence[float], ys: Sequence[float]) -> None:
    """Points in the colour of their class and the marker of their family."""
    raster = len(rows) > _RASTER_ABOVE
    points = list(zip(rows, xs, ys, strict=True))
    for label, members in grouped(sorted(rows, key=class_order), lambda row: row.label).items():
        chosen = [(x, y) for row, x, y in points if row.label == label]
        first = members[0]
        axes.scatter(
            [x for x, _ in chosen],
            [y for _, y in chosen],
            s=_size(len(rows)) * (5 if first.family == Family.SEPARABLE else 1),
            marker=_MARKERS[Family(first.family)],
            color=_COLOURS[first.complexity_class],
            alpha=0.9 if first.family == Family.SEPARABLE else 0.5,
            linewidths=0,
            rasterized=raster,
        )
    axes.legend(handles=_legend(rows), loc="best", framealpha=0.9)


def _size(points: int) -> float:
    """Area of a point: small where there are many."""
    return 12.0 if points > 400 else 30.0


def _legend(rows: Sequence[ResultRow]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker=_MARKERS[Family(members[0].family)],
            color=_COLOURS[members[0].complexity_class],
            markersize=9 if members[0].family == Family.SEPARABLE else 5,
            label=label,
        )
        for label, members in grouped(sorted(rows, key=class_order), lambda row: row.label).items()
    ]


@attrs.frozen
class _Quantity:
    """What an axis shows of a proof: its name in a file's name, in a title and at the axis."""

    name: str
    title: str
    label: str
    scale: Literal["linear", "log"]
    of: Callable[[ResultRow], float]


_BOUND = _Quantity("bound", "bound", "certified accuracy", "linear", lambda row: float(row.bound))
_WORK = "floating-point operations to verify"
_OPERATIONS = _Quantity("operations", "operations", _WORK, "log", lambda row: row.flops)
_UNEXPLAINED = "unexplained dimension"
_DIMENSION = _Quantity("dimension", _UNEXPLAINED, _UNEXPLAINED, "log", lambda row: row.unexplained_dimension)


def _against(study: Study, setting: Setting, y: _Quantity, x: _Quantity, caption: str) -> Figure:
    """Two quantities of every proof of a setting, a point for each."""
    rows = [row for row in study.results if row.model.setting == setting and row.flops > 0]
    canvas, axes = _canvas()
    _scatter(axes, rows, [x.of(row) for row in rows], [y.of(row) for row in rows])
    axes.set(xscale=x.scale, xlabel=x.label, yscale=y.scale, ylabel=y.label, title=str(setting))
    title = f"{y.title.capitalize()} against {x.title}, {setting}"
    return Figure(f"{y.name}-{x.name}-{setting.slug}", title, caption, svg_of(canvas))


def bound_against_operations(study: Study, setting: Setting) -> Figure:
    """Certified accuracy against the operations of verification."""
    caption = "Each point is one strategy on one model. Up and to the left is better."
    return _against(study, setting, _BOUND, _OPERATIONS, caption)


def operations_against_dimension(study: Study, setting: Setting) -> Figure:
    """Operations against the unexplained dimension."""
    caption = "What a proof leaves uncompressed, and what it costs to check."
    return _against(study, setting, _OPERATIONS, _DIMENSION, caption)


@attrs.frozen
class Regression:
    """A least-squares line ``y = intercept + slope·x`` and the share of variance it explains."""

    slope: float
    intercept: float
    r_squared: float
    points: int

    @classmethod
    def of(cls, xs: Sequence[float], ys: Sequence[float]) -> Regression | None:
        """The line through points, or None where the points do not determine one.

        >>> Regression.of([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
        Regression(slope=2.0, intercept=1.0, r_squared=1.0, points=3)
        """
        if len(xs) < 3 or len(set(xs)) < 2:
            return None
        slope, intercept = statistics.linear_regression(xs, ys)
        r_squared = statistics.correlation(xs, ys) ** 2 if len(set(ys)) > 1 else math.nan
        return cls(slope, intercept, r_squared, len(xs))


def bound_against_ratio(study: Study, setting: Setting, by_error: bool) -> Figure:
    """Certified accuracy against σ₁/σ₂ of EQKE, with a line for each way of handling attention.

    For each model and each handling the best bound over the other choices is drawn. ``by_error`` groups by
    the handling of the error in attention, otherwise by the handling of attention itself.
    """
    rows = [r for r in study.results if r.model.setting == setting and r.attention and r.model.ratio]
    canvas, axes = _canvas()
    groups = grouped(rows, lambda row: row.attention_error if by_error else row.attention)
    palette = matplotlib.colormaps["tab10" if len(groups) <= 10 else "tab20"]
    for index, (handling, members) in enumerate(sorted(groups.items())):
        best = best_per_model(members)
        xs = [row.model.ratio for row in best if row.model.ratio]
        ys = [float(row.bound) for row in best]
        line = Regression.of(xs, ys)
        note = "" if line is None else f", slope {line.slope:.2g}, r² {line.r_squared:.2f}"
        colour = palette(index)
        axes.scatter(
            xs, ys, s=_size(len(rows)) * 0.75, alpha=0.6, linewidths=0, color=colour, label=handling + note
        )
        if line is not None:
            ends = [min(xs), max(xs)]
            axes.plot(ends, [line.intercept + line.slope * x for x in ends], color=colour, linewidth=1)
    if groups:
        axes.legend(fontsize=7.5, loc="best", framealpha=0.9)
    what = "error handling" if by_error else "attention handling"
    axes.set_xlabel("σ₁/σ₂ of EQKE")
    axes.set_ylabel("certified accuracy, best of the handling")
    axes.set_title(f"{setting}, by {what}")
    name = f"bound-ratio-{'error' if by_error else 'attention'}-{setting.slug}"
    caption = "The best bound of each handling on each model, with least-squares lines."
    return Figure(name, f"Bound against σ₁/σ₂ by {what}, {setting}", caption, svg_of(canvas))


def bounds_across_settings(study: Study) -> Figure:
    """The best bound of each class in every setting, beside the accuracy."""
    canvas, axes = _canvas()
    settings = study.settings
    labels = grouped(sorted(study.results, key=class_order), lambda row: row.label)
    width = 0.8 / max(1, len(labels))
    for index, (_, members) in enumerate(labels.items()):
        for place, setting in enumerate(settings):
            bounds = [
                float(r.bound) for r in best_per_model(m for m in members if m.model.setting == setting)
            ]
            if bounds:
                axes.errorbar(
                    place - 0.4 + width * (index + 0.5),
                    statistics.fmean(bounds),
                    yerr=spread(bounds),
                    marker=_MARKERS[Family(members[0].family)],
                    color=_COLOURS[members[0].complexity_class],
                    capsize=2,
                    linewidth=1,
                    markersize=8 if members[0].family == Family.SEPARABLE else 5,
                )
    for place, setting in enumerate(settings):
        known = [m.accuracy_lower for m in study.models if m.setting == setting and m.accuracy_lower]
        if known:
            axes.hlines(statistics.fmean(known), place - 0.42, place + 0.42, color="black", linewidth=0.8)
    axes.set_xticks(range(len(settings)), [str(setting) for setting in settings])
    axes.set_ylabel("certified accuracy")
    axes.set_ylim(0, 1.02)
    accuracy = Line2D([], [], color="black", linewidth=0.8, label="accuracy (reference)")
    axes.legend(handles=[*_legend(study.results), accuracy], loc="lower left", framealpha=0.9)
    caption = (
        "Mean of the best bound of each class over models; bars are one standard deviation between models."
    )
    return Figure("bounds-settings", "Bounds across settings", caption, svg_of(canvas))


def all_figures(study: Study) -> list[Figure]:
    """Every figure of the report; settings without results are left out."""
    with matplotlib.rc_context(_STYLE):
        figures = [bounds_across_settings(study)]
        for setting in study.settings:
            rows = [row for row in study.results if row.model.setting == setting]
            if not rows:
                continue
            figures.append(bound_against_operations(study, setting))
            figures.append(operations_against_dimension(study, setting))
            if any(row.attention and row.model.ratio for row in rows):
                figures += [bound_against_ratio(study, setting, by_error) for by_error in (False, True)]
        return figures
