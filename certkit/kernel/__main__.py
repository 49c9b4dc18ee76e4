"""``certkit audit CERT… MODEL``, and ``python -m certkit.kernel`` for the same."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from certkit.kernel.audit import Progress, audit
from certkit.kernel.verdict import Verdict

_HELP = """Check certificates against a weights file, trusting neither the program that made them nor the
file. Exit code 0: verified; 1: refuted, or the model is another one; 2: usage, or a file that cannot be read;
3: undecided, or only a sample was checked."""


def main(argv: list[str] | None = None, progress: Progress | None = None) -> int:
    """Audit the certificates named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="certkit audit", description=_HELP)
    parser.add_argument("certificates", metavar="CERT", nargs="+", help="certificate files")
    parser.add_argument("model", metavar="MODEL", help="safetensors file with the weights")
    parser.add_argument("--sample", metavar="N", type=_positive, help="decide N classes drawn at random")
    parser.add_argument("--jobs", metavar="N", type=_positive, default=1, help="processes to use (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object per certificate on stdout")
    options = parser.parse_args(argv)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path need not be in the terminal's alphabet
    verdicts = []
    for path in options.certificates:
        verdict = audit(path, options.model, options.sample, options.jobs, progress)
        verdicts.append(verdict)
        fields = {"path": path} | verdict.as_json()
        shown = [f"{name:<16}{value}" for name, value in fields.items() if value not in (None, "")]
        print(json.dumps(fields) if options.json else "\n".join(shown), flush=True)
    if not options.json:
        print(_last_line(verdicts), flush=True)
    found = {verdict.exit_code for verdict in verdicts}
    return next(code for code in (1, 2, 3, 0) if code in found)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!a} must be a positive integer")
    return int(text)


def _last_line(verdicts: list[Verdict]) -> str:
    kinds = {verdict.verdict for verdict in verdicts}
    if kinds == {"verified"}:
        return "s VERIFIED"
    if kinds <= {"verified", "sampled"}:
        drawn = [verdict.sampled for verdict in verdicts if verdict.sampled is not None]
        return f"s SAMPLED {sum(n for n, _ in drawn)}/{sum(n for _, n in drawn)}"
    return "s NOT VERIFIED"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyboardInterrupt) as error:  # no answer; Python's own exit code could say "refuted"
        with suppress(OSError):
            print(f"certkit audit: {str(error) or 'interrupted'}", file=sys.stderr)
        os._exit(4 if isinstance(error, OSError) else 130)
