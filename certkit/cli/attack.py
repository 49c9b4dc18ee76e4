"""`certkit attack`: try to refute a certificate by finding a certified sequence the model gets wrong."""

from __future__ import annotations

from pathlib import Path

from certkit.cli.exits import CliError, Exit
from certkit.cli.inputs import read_certificate
from certkit.cli.kinds import check_order
from certkit.cli.models import read_model
from certkit.cli.output import print_json, result_console
from proofs.attack import AttackReport
from proofs.attack import attack as attacked


def attack(
    certificate: Path, model: Path, /, *, tries: int = 100_000, seed: int = 0, json: bool = False
) -> Exit:
    """Search the certified sequences for one the model gets wrong, in the semantics of the certificate.

    A claim in the reals is attacked in exact arithmetic, one under float32 by executing the model in float32
    in many ways. Finding nothing proves nothing: only the audit does. Exit code 1 if a counterexample was
    found, 0 if not.

    Parameters
    ----------
    certificate
        A certificate file.
    model
        The model it is about.
    tries
        About how many random sequences to try, besides worst cases and their neighbours.
    seed
        Of the random sequences.
    json
        One JSON object instead of sentences.
    """
    if tries < 0:
        raise CliError(f"--tries {tries} is negative; give the number of sequences to try")
    check_order("attack", (certificate, model))
    proof, weights = read_certificate(certificate), read_model(model)
    report = attacked(weights, proof, tries, seed)
    if json:
        print_json(_record(report))
    else:
        _print(report)
    return Exit.DONE if report.counterexample is None else Exit.FALSE


def _record(report: AttackReport) -> dict[str, object]:
    found = report.counterexample
    return {
        "refuted": found is not None,
        "semantics": report.semantics,
        "tried": report.tried,
        "decided": report.decided,
        "closest": report.closest,
        "counterexample": None if found is None else list(found.sequence),
        "x": None if found is None else found.x,
        "how": None if found is None else found.how,
        "where": None if found is None else found.where,
    }


def _print(report: AttackReport) -> None:
    console = result_console()
    decided = "decided exactly" if report.semantics == "real" else "executed in float32, each in many ways"
    console.print(f"{report.tried} certified sequences tried, {report.decided} of them {decided}")
    found = report.counterexample
    if found is None:
        console.print("no counterexample found, which proves nothing: certkit audit decides")
        return
    console.print(f"counterexample: {list(found.sequence)} (query last)")
    console.print(f"logit[{found.x}] ≥ logit[{found.right}], {found.how}; but {found.where}")
