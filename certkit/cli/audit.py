"""`certkit audit`, for help and completion: `certkit.cli.main` hands the real command to the kernel."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

MINUTE = 60.0  # seconds


class EveryMinute:
    """Says every minute on stderr how many classes are decided; that it cannot be said changes nothing."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, done: int, classes: int) -> None:
        """Take note that so many are decided, of so many."""
        if time.monotonic() - self.told > MINUTE:
            self.told = time.monotonic()
            with suppress(OSError):
                print(f"c {done} of {classes} classes", file=sys.stderr, flush=True)


def audit(*files: Path, sample: int | None = None, jobs: int = 1, json: bool = False) -> int:
    """Check certificates with the independent auditor.

    The auditor needs python-flint alone and shares no code with the provers. Exit code 0: verified;
    1: refuted; 2: unreadable or foreign; 3: undecided, or only a sample was checked.

    Parameters
    ----------
    files
        Certificates, then the model they are about.
    sample
        Decide only so many classes, drawn at random.
    jobs
        Processes to use.
    json
        One JSON object per certificate instead of text.
    """
    from certkit.kernel.__main__ import main

    drawn = [] if sample is None else ["--sample", str(sample)]
    return main([*map(str, files), *drawn, "--jobs", str(jobs), *(["--json"] if json else [])], EveryMinute())
