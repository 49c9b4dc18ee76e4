"""`certkit show`: a certificate in words, or its content line by line."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path

import attrs
from rich.text import Text

from certkit.atomic import write_atomically
from certkit.certificate import Certificate, Json
from certkit.cli.exits import CliError
from certkit.cli.inputs import read_certificate
from certkit.cli.output import print_json, result_console
from certkit.display import float_down, percent_down, printable
from certkit.fileformat import wide_int
from certkit.listing import content_kinds, content_records, summary
from certkit.task import NAMES


def show(
    certificate: Path,
    /,
    *,
    content: bool = False,
    json: bool = False,
    coverage: Path | None = None,
    dark: bool = False,
) -> None:
    """Say what a certificate claims. Showing is not checking: only `certkit audit` checks.

    Parameters
    ----------
    certificate
        A certificate file.
    content
        Stream the certified content as JSON Lines, so that any program can check it again.
    json
        The statement, the make-up of the content and the producer's remarks as one JSON object.
    coverage
        Draw, for every last and largest token, the share of sequences that is not certified, into this SVG
        file, and print its path.
    dark
        Draw it for a dark page.
    """
    if content + json + (coverage is not None) > 1:
        raise CliError("--content, --json and --coverage are three ways to show a certificate; choose one")
    if dark and coverage is None:
        raise CliError("--dark is about a picture; name its file with --coverage")
    if coverage is not None and coverage.suffix.lower() != ".svg":
        raise CliError(f"--coverage {coverage}: pictures are SVG; choose a name that ends in .svg")
    read = read_certificate(certificate)
    if coverage is not None:
        _draw(read, coverage, dark)
    elif content:
        for record in content_records(read.content, read.claim.task):
            print_json(record)
    elif json:
        print_json(_record(read, certificate))
    else:
        _in_words(read, certificate)


def _draw(certificate: Certificate, path: Path, dark: bool) -> None:
    from proofs.report.coverage import coverage_figure
    from proofs.report.theme import DARK, LIGHT

    figure = coverage_figure(certificate, DARK if dark else LIGHT)
    write_atomically(path, figure.svg.encode())
    print(path)


def _record(certificate: Certificate, path: Path) -> dict[str, object]:
    claim = certificate.claim
    most = claim.correct_at_most
    return {
        "path": str(path),
        "task": claim.task.as_json(),
        "k": claim.k,
        "vocab": claim.vocab,
        "semantics": claim.semantics,
        "model_sha256": claim.model_sha256,
        "strategy": certificate.strategy,
        "version": certificate.version,
        "content": content_kinds(certificate.content),
        "correct": wide_int(claim.correct_at_least),
        "correct_at_most": None if most is None else wide_int(most),
        "total": wide_int(claim.total),
        "bound": float_down(certificate.bound),
        "parts": summary(certificate.content),
        "remarks": dict(certificate.remarks),
    }


_MEANING = {
    "real": "The weights are taken as exact reals and everything else is real arithmetic.",
    "float32": "The claim is about the model as executed in IEEE float32.",
}


def _remark(value: Json) -> str:
    """A producer's remark in one line; it may be anything.

    >>> _remark({"flops": 12345, "checks": {"a": "ok", "b": "ok"}})
    'checks ok (2 of them), flops 12,345'
    """
    if isinstance(value, Mapping):
        parts = {name: _remark(part) for name, part in sorted(value.items())}
        if len(parts) > 1 and len(set(parts.values())) == 1:
            return f"{next(iter(parts.values()))} ({len(parts)} of them)"
        return ", ".join(f"{printable(name)} {part}" for name, part in parts.items()) or "–"
    if isinstance(value, str):
        return printable(value)
    return f"{value:,}" if type(value) is int else jsonlib.dumps(value)


def _in_words(certificate: Certificate, path: Path) -> None:
    claim, parts = certificate.claim, summary(certificate.content)
    console = result_console()

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    say(str(path), "bold")
    say(f"Claim: of the {claim.total:,} sequences of {claim.k} tokens below {claim.vocab}, the model")
    say(f"       {claim.model_sha256}")
    least = f"at least {claim.correct_at_least:,}"
    most = "" if claim.correct_at_most is None else f" and at most {claim.correct_at_most:,}"
    right, share = claim.task.in_words(), percent_down(certificate.bound)
    say(f"       gives {right} of {least}{most} ({share} or more).")
    for name, tokens in ({} if claim.task.name in NAMES else attrs.asdict(claim.task)).items():
        say(f"       The {name}: {' '.join(map(str, tokens))}")
    say(f"       {_MEANING[claim.semantics]}")
    classes = claim.vocab if claim.k == 1 else claim.vocab * (claim.vocab + 1) // 2
    kinds = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count and name != "classes")
    say(f"Proof: {parts['classes']:,} of {classes:,} classes (query, maximum) have content: {kinds or '–'}.")
    say(f"       Found by strategy {printable(certificate.strategy)}, version {certificate.version}.")
    if certificate.remarks:
        say("Producer's remarks (they prove nothing):", "dim")
        for name, value in sorted(certificate.remarks.items()):
            say(f"       {printable(name)}: {_remark(value)}", "dim")
    say("This is what the file says. To check it: certkit audit CERT MODEL", "italic")
