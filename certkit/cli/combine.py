"""`certkit combine` and `certkit diff`: several certificates of one model."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from certkit.certificate import Certificate
from certkit.cli.exits import CliError
from certkit.cli.inputs import read_certificate
from certkit.cli.output import print_json, result_console
from certkit.combining import ClassDifference, differences
from certkit.combining import combine as combined
from certkit.display import percent_down, printable
from certkit.fileformat import wide_int

_SHOWN = 10


def combine(*certificates: Path, out: Path) -> None:
    """Put certificates of one model together: in each class the content that proves most.

    Parameters
    ----------
    certificates
        Certificate files of one model, under one semantics.
    out
        The certificate to write.
    """
    parts = [read_certificate(path) for path in certificates]
    if out.is_dir():
        raise CliError(f"--out {out} is a folder; name a file")
    result = combined(parts)
    result.save(out)
    best = max(part.claim.correct_at_least for part in parts)
    more = result.claim.correct_at_least - best
    text = f"{out}: at least {result.claim.correct_at_least:,} of {result.claim.total:,}"
    text += f" ({percent_down(result.bound)}), {more:,} more than the best part"
    result_console().print(Text(text), soft_wrap=True)


def diff(first: Path, second: Path, /, *, json: bool = False) -> None:
    """Compare what two certificates of one model prove, class by class.

    Parameters
    ----------
    first
        A certificate file.
    second
        Another of the same model, under the same semantics.
    json
        One JSON object for each class (query, maximum) in which they differ.
    """
    a, b = read_certificate(first), read_certificate(second)
    changed = differences(a, b)
    if json:
        for item in changed:
            print_json(_record(item))
        return
    _print_diff((first, a), (second, b), changed)


def _record(item: ClassDifference) -> dict[str, object]:
    return {
        "q": item.q,
        "m": item.m,
        "first": wide_int(item.first),
        "second": wide_int(item.second),
        "gain": wide_int(item.gain),
    }


def _print_diff(
    first: tuple[Path, Certificate], second: tuple[Path, Certificate], changed: list[ClassDifference]
) -> None:
    console = result_console()
    for path, certificate in (first, second):
        claim = certificate.claim
        text = f"{path}: {claim.correct_at_least:,} of {claim.total:,} ({percent_down(certificate.bound)})"
        console.print(Text(f"{text} by {printable(certificate.strategy)}"), soft_wrap=True)
    if not changed:
        console.print("They prove the same number in every class.")
        return
    gains = [item.gain for item in changed]
    more, less = sum(g for g in gains if g > 0), -sum(g for g in gains if g < 0)
    console.print(
        f"{len(changed):,} classes differ. Class by class the second proves {more:,} more, {less:,} fewer.",
        soft_wrap=True,
    )
    table = Table(box=SIMPLE_HEAD, title="Largest differences", title_justify="left")
    for heading in ("query", "maximum", "sequences", "first", "second", "gain"):
        table.add_column(heading, justify="right")
    for item in sorted(changed, key=lambda item: -abs(item.gain))[:_SHOWN]:
        values = (item.sequences, item.first, item.second)
        table.add_row(str(item.q), str(item.m), *(f"{v:,}" for v in values), f"{item.gain:+,}")
    console.print(table)
