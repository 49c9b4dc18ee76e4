"""Tables, figures and one HTML page of a sweep: the published study's evaluation with ours beside it.

`write_report` reads a results folder of `proofs.sweep` and writes

* ``index.html``, which needs no other file and no network: tables that sort, figures that enlarge;
* ``figures/*.svg`` and, for every table, ``data/*.csv``.

A report proves nothing: bounds are those of certificates that the sweep stored, accuracies are float
references. If a bound is above what its model is known to reach, the page says so at its top.
"""

from __future__ import annotations

import base64
import html
import math
import string
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Final

import attrs

from certkit.atomic import write_atomically
from certkit.task import MAX_OF_K, short_name
from proofs.report.figures import Figure, all_figures
from proofs.report.study import ResultRow, Study, read_study
from proofs.report.tables import (
    Table,
    class_table,
    failure_table,
    model_table,
    result_table,
    strategy_table,
)

__all__ = ["Report", "Study", "make_report", "read_study", "write_report"]

_ROWS_ON_PAGE: Final = 5_000
_LONG: Final = 32


@attrs.frozen
class Report:
    """A finished report.

    Attributes:
        tables: what the page shows, in order.
        data: tables that are only written as CSV.
        figures: what is drawn.
        suspicious: results whose bound is above the model's known accuracy.
        study: what all of it is about.
    """

    tables: tuple[Table, ...]
    data: tuple[Table, ...]
    figures: tuple[Figure, ...]
    suspicious: tuple[ResultRow, ...]
    study: Study


def make_report(study: Study) -> Report:
    """The tables and figures of ``study``."""
    tables = [class_table(study), strategy_table(study), model_table(study)]
    if study.failures:
        tables.append(failure_table(study))
    return Report(
        tables=tuple(tables),
        data=(result_table(study),),
        figures=tuple(all_figures(study)),
        suspicious=tuple(row for row in study.results if row.exceeds_accuracy),
        study=study,
    )


def _cell(value: str | float | int) -> str:
    if isinstance(value, str):
        width = "text long" if len(value) > _LONG else "text"
        return f'<td class="{width}">{html.escape(value)}</td>'
    if math.isnan(value):
        return '<td class="number" data-value="">–</td>'
    return f'<td class="number" data-value="{value!r}">{_number(value)}</td>'


def _number(value: float | int) -> str:
    """A number for people; proportions are cut, not rounded, so that none is overstated."""
    if isinstance(value, int):
        return f"{value:,}"
    if 0 <= value <= 1:
        scaled = math.floor(Fraction(value) * 10**5)
        return f"{scaled // 10**5}.{scaled % 10**5:05d}"
    return f"{value:,.2f}" if abs(value) < 10_000 else f"{value:.3g}"


def _table(table: Table) -> str:
    heads = "".join(f'<th><button type="button">{html.escape(c)}</button></th>' for c in table.columns)
    shown = table.rows[:_ROWS_ON_PAGE]
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in shown)
    left = len(table.rows) - len(shown)
    note = f"{table.note} The first {len(shown)} rows; all are in the CSV file." if left else table.note
    return (
        f'<h2 id="{table.name}">{html.escape(table.title)}</h2><p class="note">{html.escape(note)} '
        f'<a download="{table.name}.csv" href="data:text/csv;base64,{_base64(table.csv())}">CSV</a></p>'
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _figure(figure: Figure) -> str:
    title, caption = html.escape(figure.title), html.escape(figure.caption)
    image = f'<img alt="{title}" src="data:image/svg+xml;base64,{_base64(figure.svg)}">'
    return (
        f'<figure><button type="button" aria-label="Enlarge: {title}">{image}</button>'
        f"<figcaption><b>{title}</b>{caption}</figcaption></figure>"
    )


def _alarm(report: Report) -> str:
    texts = []
    if report.suspicious:
        row, number = report.suspicious[0], len(report.suspicious)
        texts.append(
            f"{number} certified bounds are above the accuracy their model is known to reach, the first "
            f"{row.strategy} on {row.model.name}. A bound or an accuracy is wrong: audit these certificates."
        )
    if report.study.refused:
        one, number = report.study.refused[0], len(report.study.refused)
        texts.append(
            f"{number} certificates were audited and not verified, the first {one.certificate}: "
            f"{one.verdict} ({one.place})."
        )
    return "".join(f'<p class="alarm">{html.escape(text)}</p>' for text in texts)


def _audited(study: Study) -> str:
    if not study.audits:
        return "None has been audited: certkit audit-sweep does that."
    verified = len(study.audits) - len(study.refused)
    return f"{len(study.audits):,} were audited, {verified:,} of them verified."


def _title(study: Study) -> str:
    tasks = sorted({short_name(setting.task) for setting in study.settings})
    return f"Certified accuracy of {', '.join(tasks).replace(MAX_OF_K, 'Max-of-K') or 'Max-of-K'} models"


def page(report: Report) -> str:
    """The report as one self-contained HTML page."""
    study = report.study
    counts = (len(study.results), len(study.models), len({row.strategy for row in study.results}))
    summary = "{:,} certificates: {:,} models, {:,} strategies. ".format(*counts) + _audited(study)
    links = [("figures", "Figures"), *((table.name, table.title) for table in report.tables)]
    template = string.Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(_title(study)),
        summary=html.escape(summary),
        alarm=_alarm(report),
        links="".join(f'<a href="#{name}">{html.escape(title)}</a>' for name, title in links),
        figures="".join(map(_figure, report.figures)),
        tables="".join(map(_table, report.tables)),
    )


def write_report(report: Report, folder: Path) -> Path:
    """Write the page, the figures and the data; returns the path of the page.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    for figure in report.figures:
        write_atomically(folder / "figures" / f"{figure.name}.svg", figure.svg.encode())
    for table in (*report.tables, *report.data):
        write_atomically(folder / "data" / f"{table.name}.csv", table.csv().encode())
    write_atomically(folder / "index.html", page(report).encode())
    return folder / "index.html"
