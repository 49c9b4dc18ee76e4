"""The `certkit` program: what is imported when, and how it ends.

`certkit audit` must work where only python-flint is installed, and must not run a line of the code it
checks: it goes to the kernel before the command-line library, torch or any strategy is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from certkit.cli.exits import ErrorsToExitCode, Exit
from certkit.cli.kinds import audit_files, check_order

_HELP = """certkit: proofs about neural networks that anybody can check.

Usage: certkit audit CERT… MODEL    check certificates with the independent auditor
       certkit audit --help         its options
       certkit --version

The auditor is what works here: it needs python-flint alone. All other commands (train, prove, attack,
show, sweep, …) need more packages:

    pip install 'certkit[prove]'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` leaves out the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with ErrorsToExitCode() as outcome:
        outcome.code = _dispatch(arguments)
        if sys.stdout is not None:  # as it is where the output is closed
            sys.stdout.flush()  # a full disk or a broken pipe is found here, not when the code is settled
    return int(outcome.code)


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["audit"]:
        check_order("audit", audit_files(arguments[1:]), "CERT… MODEL")
        from certkit.cli.audit import EveryMinute
        from certkit.kernel.__main__ import main as audit

        return audit(arguments[1:], EveryMinute())
    try:
        from certkit.cli.app import run
    except ModuleNotFoundError:
        if not _answered(arguments):
            raise
        return Exit.DONE
    return run(arguments)


def _answered(arguments: list[str]) -> bool:
    """Answer what can be answered without the command-line library; False if nothing was."""
    if arguments == ["--version"]:
        import importlib.metadata

        print(importlib.metadata.version("certkit"))
    elif arguments in ([], ["--help"], ["-h"]):
        print(_HELP, end="")
    else:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
