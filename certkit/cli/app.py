"""The table of commands; each is imported only when it is called."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Collection

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from certkit.cli.exits import CliError, Exit

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("train", "certkit.cli.train:train", "Train Max-of-K models, all seeds of a run together."),
    ("prove", "certkit.cli.prove:prove", "Prove a lower bound on a model's accuracy and write certificates."),
    ("audit", "certkit.cli.audit:audit", "Check certificates with the independent auditor."),
    (
        "attack",
        "certkit.cli.attack:attack",
        "Search a certificate for a sequence it wrongly certifies.",
    ),
    (
        "check",
        "certkit.cli.check:check",
        "Try to break strategies on models made to fool provers.",
    ),
    (
        "mutants",
        "certkit.cli.mutants:mutants",
        "Plant unsound steps in strategies and files, and watch the auditor refuse them.",
    ),
    ("show", "certkit.cli.show:show", "Say what a certificate claims; stream what it contains."),
    ("explain", "certkit.cli.explain:explain", "Say where a certificate stops, and why."),
    (
        "combine",
        "certkit.cli.combine:combine",
        "Put certificates of one model together, the best of each class.",
    ),
    ("diff", "certkit.cli.combine:diff", "Compare what two certificates of one model prove."),
    ("sweep", "certkit.cli.sweep:sweep", "Prove many strategies on many models, resumable."),
    (
        "audit-sweep",
        "certkit.cli.audit_sweep:audit_sweep",
        "Audit the certificates of a sweep, all or a sample.",
    ),
    ("report", "certkit.cli.report:report", "Make tables, figures and one page of a sweep's results."),
    ("strategies", "certkit.cli.strategies:strategies", "List the proof strategies."),
    ("new-strategy", "certkit.cli.new_strategy:new_strategy", "Start a strategy of your own."),
    ("doctor", "certkit.cli.doctor:doctor", "Check the arithmetic that proofs on this machine rest on."),
    ("completion", "certkit.cli.completion:completion", "Print a completion script for a shell."),
)
"""Name, function and one-line help, in the order of a first visit."""


def _version() -> str:
    return importlib.metadata.version("certkit")


def build(detailed: Collection[str] = ()) -> App:
    """The command-line application; building it imports no command.

    The help of the commands in `detailed` is their docstring, that of the others the line in `COMMANDS`: a
    list of all commands needs no import.
    """
    app = App(
        name="certkit",
        help="Proofs about neural networks that anybody can check.",
        version=_version,
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
        help_format="markdown",
        default_parameter=Parameter(negative=()),
    )
    for position, (name, target, text) in enumerate(COMMANDS):
        app.command(target, name=name, help=None if name in detailed else text, sort_key=position)
    return app


def _check_command(name: str) -> None:
    names = [known for known, _, _ in COMMANDS]
    if name.startswith("-") or name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean '{near[0]}'?" if near else f"the commands are {', '.join(names)}"
    raise CliError(f"unknown command '{name}'; {meant}")


def run(arguments: list[str]) -> int:
    """Parse and call; a usage error becomes one line and exit code 2."""
    if arguments:
        _check_command(arguments[0])
    try:
        code = build(arguments[:1])(arguments)
    except CycloptsError as error:
        line = " ".join(str(error).split())
        raise CliError(f"{line} (certkit {arguments[0]} --help)") from error
    return Exit.DONE if code is None else int(code)
