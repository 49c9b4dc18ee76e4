"""Exit codes, and the one place where an error becomes a line on stderr and a code.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the thing checked is false |
| 2 | usage, or an input that cannot be read |
| 3 | undecided |
| 4 | environment: full disk, no permission, a missing package, the doctor refused |
| 70 | a defect in certkit (a traceback is printed; please report it) |
| 130 | interrupted; what was finished is kept |

Nothing here is on a path to a certificate: an error that reaches this module ends the command.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import sys
from types import TracebackType


class Exit(enum.IntEnum):
    """What a command's exit code says."""

    DONE = 0
    FALSE = 1
    USAGE = 2
    UNDECIDED = 3
    ENVIRONMENT = 4
    DEFECT = 70
    INTERRUPTED = 130


class CliError(Exception):
    """A command cannot go on: one line that names the value and the remedy, and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


_EXTRA_OF = {
    "torch": "prove",
    "numpy": "prove",
    "attr": "prove",
    "attrs": "prove",
    "cattrs": "prove",
    "safetensors": "prove",
    "cyclopts": "prove",
    "rich": "prove",
    "flint": "audit",
    "matplotlib": "report",
    "pyarrow": "report",
    "dask": "cluster",
    "distributed": "cluster",
    "hypothesis": "test",
}

_ENVIRONMENT_ERRNOS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the file would exceed the size limit of this system (ulimit -f)",
    errno.EACCES: "no permission; choose a place you may use",
    errno.EPERM: "not permitted; choose a place you may use",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.EIO: "the device reports an input/output error",
    errno.ENOMEM: "out of memory",
}


def _describe_os_error(error: OSError) -> tuple[str, Exit]:
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    if error.errno in _ENVIRONMENT_ERRNOS:
        return f"{place}{_ENVIRONMENT_ERRNOS[error.errno]}", Exit.ENVIRONMENT
    return f"{place}{error.strerror or error}", Exit.USAGE


def describe(error: BaseException) -> tuple[str, Exit] | None:
    """The line and the code for an expected kind of error; None for a defect of ours.

    A `ValueError` counts as bad input only if its class is defined by certkit or proofs (or by a plug-in's
    package that subclasses theirs): those are raised on purpose, with a message for the user.
    """
    if isinstance(error, CliError):
        return str(error), error.code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was finished is kept", Exit.INTERRUPTED
    if isinstance(error, ImportError) and isinstance(error.__cause__, ModuleNotFoundError):
        error = error.__cause__  # a command is imported by name, and the library wraps what went wrong
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        extra = _EXTRA_OF.get(error.name.partition(".")[0])
        if extra is not None:
            rest = "" if extra == "audit" else " (certkit audit CERT MODEL needs python-flint alone)"
            return f"this command needs {error.name}: pip install 'certkit[{extra}]'{rest}", Exit.ENVIRONMENT
    if isinstance(error, OSError):
        return _describe_os_error(error)
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return "out of memory; use a smaller model or a cheaper strategy", Exit.ENVIRONMENT
    ours = any(c.__module__.partition(".")[0] in {"certkit", "proofs"} for c in type(error).__mro__)
    if isinstance(error, ValueError) and ours:
        return str(error), Exit.USAGE
    return None


class ErrorsToExitCode:
    """A context that turns an exception into a line on stderr and an exit code.

    >>> with ErrorsToExitCode() as outcome:
    ...     outcome.code = Exit.DONE
    >>> int(outcome.code)
    0
    """

    def __init__(self) -> None:
        self.code: int = Exit.DEFECT

    def __enter__(self) -> ErrorsToExitCode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, SystemExit):
            self.code = error.code if isinstance(error.code, int) else Exit.USAGE
            return True
        if isinstance(error, BrokenPipeError):  # the reader of our output has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.code = Exit.INTERRUPTED
            return True
        described = describe(error)
        if described is None:
            sys.excepthook(type(error), error, trace)
            described = "this is a defect in certkit, not in your input; please report it", Exit.DEFECT
        message, self.code = described
        with contextlib.suppress(OSError):  # the code is there even if nobody can be told
            print(f"certkit: {message}", file=sys.stderr, flush=True)
        return True
