"""`certkit explain`: where a certificate stops, and why."""

from __future__ import annotations

from pathlib import Path

import attrs
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from certkit.cli.exits import CliError
from certkit.cli.inputs import read_certificate
from certkit.cli.kinds import check_order
from certkit.cli.models import read_model
from certkit.cli.output import print_json, print_table, result_console
from certkit.fileformat import wide_int
from certkit.task import MAX_OF_K, MIN_OF_K
from proofs.explain import Explanation, Group, Judgement, check_subject, least_certified_class
from proofs.explain import explain as explained


def explain(
    certificate: Path, model: Path, /, *, q: int | None = None, m: int | None = None, json: bool = False
) -> None:
    """Explain one class of sequences: what is certified, and which sequence comes closest to a wrong answer.

    Parameters
    ----------
    certificate
        A certificate file.
    model
        The model it is about.
    q
        Last token of the class; by default the class with the most uncertified sequences is explained.
    m
        Largest token of the class (in the order of the certificate's task).
    json
        One JSON object per group of sequences instead of a table.
    """
    if (q is None) != (m is None):
        raise CliError("--q and --m belong together: name both or neither")
    check_order("explain", (certificate, model))
    claim, weights = read_certificate(certificate), read_model(model)
    check_subject(weights, claim)
    place = least_certified_class(claim) if q is None or m is None else (q, m)
    result = explained(weights, claim, *place)
    if json:
        for group in result.groups:
            print_json(_record(result, group))
    else:
        _print(result, _MAXIMUM.get(claim.claim.task.name, "largest token by the order"))


_MAXIMUM = {MAX_OF_K: "maximum", MIN_OF_K: "minimum"}


def _record(result: Explanation, group: Group) -> dict[str, object]:
    return {
        "q": result.q,
        "m": result.m,
        "n": group.n,
        "sequences": wide_int(group.sequences),
        "certified": None if group.certified is None else wide_int(group.certified),
        "closest": None if group.closest is None else attrs.asdict(group.closest),
    }


def _conclusion(result: Explanation) -> str:
    """One sentence: is the model wrong somewhere in the class, or does the proof stop short?"""
    calls = [group.closest for group in result.groups if group.closest is not None]
    if any(call.judgement is Judgement.WRONG for call in calls):
        return "The model is wrong on some of these sequences: no proof can certify the whole class."
    if result.certified == result.sequences:
        return "Every sequence of the class is certified."
    if all(call.judgement is Judgement.CORRECT for call in calls):
        return "The model is right even on the closest calls: the proof stops short, not the model."
    return "The closest call is too close for interval arithmetic to decide."


def _print(result: Explanation, maximum: str) -> None:
    console = result_console()
    amount = f"{result.certified:,} of {result.sequences:,} sequences certified"
    console.print(Text(f"Query {result.q}, {maximum} {result.m}: {amount}.", style="bold"), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD)
    for heading in ("n", "sequences", "certified"):
        table.add_column(heading, justify="right")
    right = "m" if result.answer == result.m else str(result.answer)
    for heading in ("closest call", "x", f"logit[x] − logit[{right}]", "model is"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for group in result.groups:
        certified = "–" if group.certified is None else f"{group.certified:,}"
        row = [str(group.n), f"{group.sequences:,}", certified]
        call = group.closest
        if call is not None:
            tokens = " ".join(map(str, call.sequence))
            row += [tokens, str(call.x), f"{call.excess_upper:+.4g}", call.judgement.value]
        table.add_row(*row)
    print_table(table)
    console.print(f"n: how many positions before the last do not hold the {maximum}")
    console.print(_conclusion(result), soft_wrap=True)
    calls = [group.closest for group in result.groups if group.closest is not None]
    if calls:
        worst = max(calls, key=lambda call: call.excess_upper)
        slots = [f"position {p} (token {t})" for p, t in enumerate(worst.sequence)]
        parts = sorted(zip([*slots, "direct path"], worst.shares, strict=True), key=lambda part: -part[1])
        console.print(
            f"Parts of the largest difference, logit[{worst.x}] − logit[{result.answer}]:", markup=False
        )
        for name, share in parts:
            console.print(f"  {share:+10.4f}  {name}", markup=False, highlight=False)
