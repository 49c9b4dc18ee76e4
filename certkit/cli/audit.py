"""`certkit audit`, for the help text: `certkit.cli.main` hands the real command to the kernel."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def audit(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Check certificates with the independent auditor.

    `certkit audit CERT… MODEL [--sample N] [--jobs N] [--json]`

    The auditor needs python-flint alone and shares no code with the provers. Exit code 0: verified;
    1: refuted; 2: unreadable or foreign; 3: undecided, or only a sample was checked.

    Parameters
    ----------
    arguments
        What the auditor takes; `certkit audit --help` prints its own help.
    """
    from certkit.kernel.__main__ import main

    return main(list(arguments))
