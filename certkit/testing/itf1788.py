"""Runs IEEE-1788 conformance vectors (``.itl`` files of the interval test framework) against
`certkit.Interval`.

    python -m certkit.testing.itf1788 DIR [--json | --markdown]

For every operation it counts the vectors passed, failed and not implemented. A vector of a *tightest*
operation passes if the bounds are equal to the expected ones; of the others, if the result contains the
expected interval and each bound is within the stated number of ulps of it. An expected ``signal
UndefinedOperation`` is met by a ValueError. Decorated vectors are counted as not implemented: certkit has
bare intervals.

Exit codes: 0 nothing failed, 1 a vector failed, 2 usage or unreadable files.
"""

from __future__ import annotations

import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch

from certkit import rounding
from certkit._interval.text import number
from certkit.interval import Interval, Overlap

__all__ = ["OPERATIONS", "Operation", "Tally", "main", "read_vectors", "run"]


@attrs.frozen
class Vector:
    """One test statement: operation, argument tokens, expected tokens, expected signal."""

    file: str
    line: int
    text: str
    operation: str
    arguments: tuple[str, ...]
    expected: tuple[str, ...]
    signal: str | None

    @property
    def decorated(self) -> bool:
        """True if it is about decorated intervals."""
        tokens = (*self.arguments, *self.expected)
        return self.operation.startswith("d-") or any(
            t.startswith("[") and (not t.endswith("]") or t.lower() == "[nai]") for t in tokens
        )


@attrs.frozen
class Operation:
    """What stands for an operation of the standard: our spelling, and how far a bound may be from the
    tightest.
    """

    ours: str
    apply: Callable[..., Any]
    ulps: int = 0

    @property
    def guarantee(self) -> str:
        """In words, for the table."""
        return "tightest" if self.ulps == 0 else f"≤ {self.ulps} ulp per bound"


def _method(name: str, ulps: int = 0) -> Operation:
    return Operation(name, lambda x, *rest: getattr(x, name)(*rest), ulps)


def _operator(name: str, symbol: str) -> Operation:
    return Operation(symbol, lambda x, *rest: getattr(x, name)(*rest))


OPERATIONS: dict[str, Operation] = {
    "pos": _operator("__pos__", "+x"),
    "neg": _operator("__neg__", "-x"),
    "add": _operator("__add__", "x + y"),
    "sub": _operator("__sub__", "x - y"),
    "mul": _operator("__mul__", "x * y"),
    "div": _operator("__truediv__", "x / y"),
    "abs": _operator("__abs__", "abs(x)"),
    "recip": _method("reciprocal"),
    "min": _method("minimum"),
    "max": _method("maximum"),
    "roundTiesToEven": _method("round"),
    "roundTiesToAway": _method("round_ties_to_away"),
    "convexHull": _method("convex_hull"),
    "midRad": Operation("mid, rad", lambda x: (x.mid(), x.rad())),
    "isEmpty": _method("is_empty"),
    "isEntire": _method("is_entire"),
    "equal": _method("same_bounds"),
    "strictLess": _method("strictly_less"),
    "strictPrecedes": _method("strictly_precedes"),
    "inf": Operation("lo", lambda x: x.lo),
    "sup": Operation("hi", lambda x: x.hi),
    "b-numsToInterval": Operation("Interval.hull", Interval.hull),
    "b-textToInterval": Operation("Interval.from_text", Interval.from_text),
    **{
        name: _method(name)
        for name in ("sqr", "sqrt", "fma", "floor", "ceil", "trunc", "sign", "intersection")
    },
    **{name: _method(name) for name in ("mid", "rad", "wid", "mag", "mig", "subset", "less", "precedes")},
    **{name: _method(name) for name in ("interior", "disjoint", "overlap")},
    **{name: _method(name, ulps=2) for name in ("exp", "log", "sin", "cos", "tanh")},
    "pown": Operation("pow", lambda x, n: x.pow(int(n)), ulps=2),
}
"""The operations we have, by the standard's name."""


@attrs.define
class Tally:
    """What came of one operation's vectors."""

    passed: int = 0
    failed: int = 0
    not_implemented: int = 0
    failures: list[dict[str, object]] = attrs.Factory(list)


# --- reading ---

_COMMENT = re.compile(r'("[^"]*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_STATEMENT = re.compile(r'(?:"[^"]*"|[^";{}]|\{[^}]*\})+;')
_TOKEN = re.compile(r'\[[^\]]*\](?:_\w+)?|"[^"]*"|\{[^}]*\}|=|[^\s=]+')
_HEADER = re.compile(r"testcase\s+\S+\s*\{|^\s*\}", re.MULTILINE)


def read_vectors(path: Path) -> Iterator[Vector]:
    """The statements of one ``.itl`` file, in order."""
    source = path.read_text(encoding="utf-8")

    def blank(found: re.Match[str]) -> str:
        return found[1] or re.sub(r"[^\n]", " ", found[0])

    source = _HEADER.sub(_blank_header, _COMMENT.sub(blank, source))
    for found in _STATEMENT.finditer(source):
        text = " ".join(found[0].rstrip(";").split())
        start = found.start() + len(found[0]) - len(found[0].lstrip())
        yield _vector(path.name, source.count("\n", 0, start) + 1, text)


def _blank_header(found: re.Match[str]) -> str:
    """Test case headers and closing braces carry nothing; line breaks are kept for the line numbers."""
    return re.sub(r"[^\n]", " ", found[0])


def _vector(file: str, line: int, text: str) -> Vector:
    operation, *tokens = _TOKEN.findall(text)
    if "=" not in tokens:
        raise ValueError(f"{file}:{line}: no expected result in {text!r}")
    middle = tokens.index("=")
    expected, signal = tokens[middle + 1 :], None
    if "signal" in expected:
        at = expected.index("signal")
        expected, signal = expected[:at], expected[at + 1]
    return Vector(file, line, text, operation, tuple(tokens[:middle]), tuple(expected), signal)


def _float(token: str) -> float:
    word = token.strip().lower()
    special = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
    if (bare := word.lstrip("+-")) in special:
        return -special[bare] if word.startswith("-") else special[bare]
    return float(number(word))


def _argument(token: str) -> Interval | float | str:
    if token.startswith("["):
        return _interval(token)
    return token[1:-1] if token.startswith('"') else _float(token)


def _interval(token: str) -> Interval:
    inner = token[1:-1].strip().lower()
    if inner in ("empty", ""):
        return Interval.empty()
    if inner == "entire":
        return Interval.entire()
    lo, _, hi = inner.partition(",")
    return Interval.hull(_float(lo), _float(hi or lo))


# --- deciding ---


def _meets(result: object, expected: tuple[str, ...], ulps: int) -> bool:
    if isinstance(result, tuple):
        return len(result) == len(expected) and all(
            _meets(part, (token,), ulps) for part, token in zip(result, expected, strict=True)
        )
    (token,) = expected
    if isinstance(result, Interval):
        return _interval_meets(result, _interval(token), ulps)
    if not isinstance(result, torch.Tensor):
        return False
    if token in ("true", "false"):
        return result.dtype == torch.bool and bool(result) == (token == "true")
    if result.dtype == torch.int64:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", token).upper()
        return Overlap(int(result)).name == name
    value = _float(token)
    return float(result) == value or (math.isnan(value) and math.isnan(float(result)))


def _interval_meets(result: Interval, expected: Interval, ulps: int) -> bool:
    if bool(expected.is_empty()) or ulps == 0:
        return bool(result.same_bounds(expected))
    lo, hi = expected.lo, expected.hi
    for _ in range(ulps):
        lo, hi = rounding.next_down(lo), rounding.next_up(hi)
    return bool(expected.subset(result)) and bool((lo <= result.lo) & (result.hi <= hi))


def _outcome(vector: Vector, operation: Operation) -> object:
    """The result, or the ValueError, of one vector."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if vector.signal else "error")
            return operation.apply(*map(_argument, vector.arguments))
    except (ValueError, UserWarning) as error:
        return error


def run(folder: Path) -> dict[str, Tally]:
    """Every vector of every ``.itl`` file of a folder; the tallies by operation, sorted by name."""
    tallies: dict[str, Tally] = {}
    for path in sorted(folder.glob("*.itl")):
        for vector in read_vectors(path):
            tally = tallies.setdefault(vector.operation, Tally())
            operation = OPERATIONS.get(vector.operation)
            if vector.decorated or operation is None:
                tally.not_implemented += 1
                continue
            result = _outcome(vector, operation)
            refused = isinstance(result, ValueError) and vector.signal == "UndefinedOperation"
            if refused or _meets(result, vector.expected, operation.ulps):
                tally.passed += 1
            else:
                tally.failed += 1
                failure = {
                    "file": vector.file,
                    "line": vector.line,
                    "vector": vector.text,
                    "got": str(result),
                }
                tally.failures.append(failure)
    return dict(sorted(tallies.items()))


# --- telling ---


def _total(tallies: dict[str, Tally]) -> dict[str, int]:
    kinds = ("passed", "failed", "not_implemented")
    return {kind: sum(getattr(tally, kind) for tally in tallies.values()) for kind in kinds}


def as_json(tallies: dict[str, Tally]) -> str:
    """One JSON object: totals, and per operation the counts and the failing vectors."""
    operations = {name: attrs.asdict(tally) for name, tally in tallies.items()}
    return json.dumps({**_total(tallies), "operations": operations}, indent=1)


def as_table(tallies: dict[str, Tally]) -> str:
    """Lines for a terminal."""
    lines = [f"{'operation':<18}{'passed':>8}{'failed':>8}{'not implemented':>17}"]
    for name, tally in tallies.items():
        lines.append(f"{name:<18}{tally.passed:>8}{tally.failed:>8}{tally.not_implemented:>17}")
        lines += [f"  {f['file']}:{f['line']}: {f['vector']}; got {f['got']}" for f in tally.failures]
    total = _total(tallies)
    lines.append(f"{'all':<18}{total['passed']:>8}{total['failed']:>8}{total['not_implemented']:>17}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    forms = {"--json": as_json, "--markdown": as_markdown}
    flags = [word for word in words if word.startswith("-")]
    folders = [word for word in words if not word.startswith("-")]
    if len(folders) != 1 or len(flags) > 1 or not set(flags) <= set(forms):
        print("usage: python -m certkit.testing.itf1788 DIR [--json | --markdown]", file=sys.stderr)
        return 2
    folder = Path(folders[0])
    if not any(folder.glob("*.itl")):
        print(f"{folder}: no .itl files there", file=sys.stderr)
        return 2
    try:
        tallies = run(folder)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(forms[flags[0]](tallies) if flags else as_table(tallies))
    return 1 if _total(tallies)["failed"] else 0


def as_markdown(tallies: dict[str, Tally]) -> str:
    """The page docs/conformance.md."""
    rows = []
    for name, tally in tallies.items():
        operation = OPERATIONS.get(name)
        ours = f"`{operation.ours}`" if operation else "—"
        guarantee = operation.guarantee if operation else "not implemented"
        cells = f"{tally.passed} | {tally.failed} | {tally.not_implemented}"
        rows.append(f"| {name} | {ours} | {guarantee} | {cells} |")
    total = _total(tallies)
    rows.append(f"| **all** | | | {total['passed']} | {total['failed']} | {total['not_implemented']} |")
    return _PAGE.format(rows="\n".join(rows))


_PAGE = """# Conformance

This page is written by `python -m certkit.testing.itf1788 DIR --markdown`, where DIR holds public
conformance vectors for IEEE 1788-2015 (`.itl` files). A test compares it with a fresh run.

*Tightest*: each bound is equal to the expected one. Otherwise the result contains the expected interval and
each bound is within the stated number of units in the last place. *Not implemented* counts the vectors on
decorated intervals (certkit has bare ones) and those of operations that certkit does not have.

| operation | here | guarantee | passed | failed | not implemented |
|---|---|---|---:|---:|---:|
{rows}
"""


if __name__ == "__main__":
    sys.exit(main())
