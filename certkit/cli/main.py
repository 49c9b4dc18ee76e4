"""The `certkit` program: what is imported when, and how it ends.

`certkit audit` must work where only python-flint is installed, and must not run a line of the code it
checks: it goes to the kernel before the command-line library, torch or any strategy is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from certkit.cli.exits import ErrorsToExitCode
from certkit.cli.kinds import audit_files, check_order


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` leaves out the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with ErrorsToExitCode() as outcome:
        outcome.code = _dispatch(arguments)
        sys.stdout.flush()  # a full disk or a closed pipe is found here, not after the exit code is settled
    return int(outcome.code)


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["audit"]:
        check_order("audit", audit_files(arguments[1:]), "CERT… MODEL")
        from certkit.kernel.__main__ import main as audit

        return audit(arguments[1:])
    from certkit.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
