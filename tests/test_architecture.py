"""The laws of the house, read off the source: who may import whom, who may round, and what no line may hold.

Every rule is a function from a parsed file to the offences in it, so that the rules themselves can be
tested on offending sources (`test_each_rule_catches_its_offence`): a rule that cannot fail is no rule.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import certkit
import certkit.kernel

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("certkit", "proofs")
MAX_FILE_LINES = 400
MAX_BODY_LINES = 60
MAX_PARAMETERS = 6


@dataclass(frozen=True)
class Source:
    """One Python file: its path inside the project, its text and its syntax tree."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def is_under(self, *packages: str) -> bool:
        return any(self.module == p or self.module.startswith(p + ".") for p in packages)


Rule = Callable[[Source], Iterator[str]]


def _project_sources(*folders: str) -> list[Source]:
    files = (f for folder in folders for f in sorted((ROOT / folder).rglob("*.py")))
    return [Source(f.relative_to(ROOT).as_posix(), f.read_text(encoding="utf-8")) for f in files]


def _imports(source: Source) -> Iterator[tuple[int, str]]:
    """Every module named in an import statement, with relative ones resolved, wherever it stands."""
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def arrows_go_one_way(source: Source) -> Iterator[str]:
    """cli → proofs → certkit; the kernel imports the standard library, flint and itself."""
    for line, name in _imports(source):
        top = name.partition(".")[0]
        if source.is_under("certkit.kernel"):
            if top not in sys.stdlib_module_names and top != "flint" and not _within(name, "certkit.kernel"):
                yield f"{source.path}:{line}: the kernel imports {name}, neither stdlib nor flint"
            continue
        if source.is_under("certkit.cli"):
            continue
        if source.is_under(*PRODUCT) and _within(name, "certkit.cli"):
            yield f"{source.path}:{line}: imports {name}; only the command line knows the command line"
        if source.is_under("certkit") and top == "proofs":
            yield f"{source.path}:{line}: certkit imports {name}; the toolkit knows nothing of any task"


def kernel_by_its_face(source: Source) -> Iterator[str]:
    """Outside the kernel only names of `certkit.kernel` itself, never of a module inside it (the
    command line's hand-over to `certkit.kernel.__main__` excepted)."""
    if source.is_under("certkit.kernel") or not source.is_under(*PRODUCT):
        return
    allowed = {"certkit.kernel.__main__.main"} if source.is_under("certkit.cli") else set()
    inner = {f"certkit.kernel.{p.stem}" for p in (ROOT / "certkit" / "kernel").glob("*.py")}
    inner -= {f"certkit.kernel.{name}" for name in certkit.kernel.__all__}
    for line, name in _imports(source):
        if name not in allowed and (name.count(".") > 2 or name in inner) and _within(name, "certkit.kernel"):
            yield f"{source.path}:{line}: reaches into the kernel ({name}); use its public face"


def only_rounding_rounds(source: Source) -> Iterator[str]:
    """`nextafter` and its relatives live in certkit/rounding.py; the kernel has its own arithmetic."""
    if source.module == "certkit.rounding" or not source.is_under(*PRODUCT):
        return
    for node in ast.walk(source.tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in {"nextafter", "ulp", "frexp_ulp"} or name == "fesetround":
            yield f"{source.path}:{node.lineno}: {name} outside certkit/rounding.py"


def no_tolerances(source: Source) -> Iterator[str]:
    """No closeness instead of a bound: neither as a call nor as a keyword."""
    if not source.is_under(*PRODUCT):
        return
    banned = {"isclose", "allclose", "assert_close", "atol", "rtol"}
    for node in ast.walk(source.tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if isinstance(node, ast.keyword):
            name = node.arg or ""
        if name in banned:
            yield f"{source.path}:{getattr(node, 'lineno', 0)}: {name}: bounds, not tolerances"


def infinity_stays(source: Source) -> Iterator[str]:
    """`nan_to_num` makes infinity the largest float unless told otherwise: as a bound, that is false."""
    if not source.is_under(*PRODUCT):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            told = any(keyword.arg == "posinf" for keyword in node.keywords)
            if node.func.attr == "nan_to_num" and not told:
                yield f"{source.path}:{node.lineno}: nan_to_num without posinf"


def no_broad_except(source: Source) -> Iterator[str]:
    """An error is handled by its own name or not at all; cleaning up and raising it again is no handling."""
    if not source.is_under(*PRODUCT):
        return
    broad = {"Exception", "BaseException"}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else broad
            cleans_up = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught & broad and not cleans_up:
                yield f"{source.path}:{node.lineno}: broad except"
            elif all(isinstance(statement, ast.Pass) for statement in node.body):
                yield f"{source.path}:{node.lineno}: an error is caught and ignored"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            names = {n.id for a in node.args for n in ast.walk(a) if isinstance(n, ast.Name)}
            if called == "suppress" and names & broad:
                yield f"{source.path}:{node.lineno}: suppress of everything"


def no_unfinished_work(source: Source) -> Iterator[str]:
    """No promise instead of code, no silenced type checker, no path of somebody's machine."""
    marks = (
        "TO" + "DO",
        "FIX" + "ME",
        "XX" + "X",
        "HA" + "CK",
        "NotImplemented" + "Error",
        "type: " + "ignore",
    )
    machine = re.compile(r"""(?<![\w.~*<])/(?:home|root|work|Users|mnt|tmp)/[\w.]""")
    for number, line in enumerate(source.text.splitlines(), 1):
        for mark in marks:
            if re.search(rf"(?<!\w){re.escape(mark)}(?!\w)", line):
                yield f"{source.path}:{number}: {mark}"
        if machine.search(line):
            yield f"{source.path}:{number}: the path of a machine"


def files_fit(source: Source) -> Iterator[str]:
    """A file is one room."""
    lines = source.text.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{source.path}: {lines} lines, at most {MAX_FILE_LINES}"


def functions_fit(source: Source) -> Iterator[str]:
    """A function body (its docstring apart) fits a screen and takes at most six parameters."""
    if not source.is_under(*PRODUCT):
        return
    commands = source.is_under("certkit.cli")  # there a parameter is an option of the command line
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        lines = body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0
        if lines > MAX_BODY_LINES:
            yield f"{source.path}:{node.lineno}: {node.name} is {lines} lines long, at most {MAX_BODY_LINES}"
        named = [a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
        count = len([name for name in named if name not in {"self", "cls"}])
        if count > MAX_PARAMETERS and not commands:
            yield f"{source.path}:{node.lineno}: {node.name} takes {count} parameters"


def no_asserts(source: Source) -> Iterator[str]:
    """`python -O` drops assert statements: nothing in the product may depend on one."""
    if not source.is_under(*PRODUCT) or source.is_under("certkit.testing"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            yield f"{source.path}:{node.lineno}: assert; raise instead"


RULES: tuple[Rule, ...] = (
    arrows_go_one_way,
    kernel_by_its_face,
    only_rounding_rounds,
    no_tolerances,
    infinity_stays,
    no_broad_except,
    no_unfinished_work,
    files_fit,
    functions_fit,
    no_asserts,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule) -> None:
    sources = _project_sources("certkit", "proofs", "tests", "benchmarks", "examples")
    assert len(sources) > 5
    offences = [offence for source in sources for offence in rule(source)]
    assert offences == []


OFFENCES = [
    (arrows_go_one_way, "certkit/interval.py", "import proofs.model"),
    (arrows_go_one_way, "certkit/interval.py", "def f():\n    from certkit.cli import main"),
    (arrows_go_one_way, "certkit/kernel/core.py", "import torch"),
    (arrows_go_one_way, "certkit/kernel/core.py", "from ..certificate import Certificate"),
    (arrows_go_one_way, "proofs/cubic.py", "from certkit.cli.output import table"),
    (kernel_by_its_face, "proofs/cubic.py", "from certkit.kernel.__main__ import main"),
    (kernel_by_its_face, "certkit/cli/main.py", "from certkit.kernel._reader import read"),
    (only_rounding_rounds, "certkit/interval.py", "import torch\nx = torch.nextafter"),
    (no_tolerances, "proofs/cubic.py", "import math\nmath.isclose(1, 1)"),
    (no_tolerances, "proofs/cubic.py", "f(1, atol=0)"),
    (infinity_stays, "proofs/cubic.py", "x = bound.nan_to_num(nan=torch.inf)"),
    (infinity_stays, "proofs/cubic.py", "x = torch.nan_to_num(bound)"),
    (no_broad_except, "proofs/cubic.py", "try:\n    f()\nexcept Exception:\n    g()"),
    (no_broad_except, "proofs/cubic.py", "try:\n    f()\nexcept (ValueError, BaseException):\n    g()"),
    (no_broad_except, "proofs/cubic.py", "try:\n    f()\nexcept:\n    raise ValueError"),
    (no_broad_except, "proofs/cubic.py", "try:\n    f()\nexcept ValueError:\n    pass"),
    (no_broad_except, "proofs/cubic.py", "with suppress(Exception):\n    f()"),
    (no_unfinished_work, "proofs/cubic.py", "x = 1  # TO" + "DO later"),
    (no_unfinished_work, "tests/test_x.py", "open('/ho" + "me/me/x')"),
    (files_fit, "proofs/cubic.py", "x = 1\n" * 401),
    (functions_fit, "proofs/cubic.py", "def f():\n" + "    x = 1\n" * 61),
    (functions_fit, "proofs/cubic.py", "def f(a, b, c, d, e, g, h): ..."),
    (no_asserts, "proofs/cubic.py", "assert True"),
]


@pytest.mark.parametrize(("rule", "path", "text"), OFFENCES)
def test_each_rule_catches_its_offence(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


ALLOWED = [
    (arrows_go_one_way, "proofs/cubic.py", "from certkit import Interval"),
    (arrows_go_one_way, "certkit/kernel/core.py", "import json\nfrom flint import arb\nfrom . import reader"),
    (arrows_go_one_way, "certkit/cli/main.py", "import proofs"),
    (kernel_by_its_face, "certkit/cli/main.py", "from certkit.kernel.__main__ import main"),
    (only_rounding_rounds, "certkit/rounding.py", "import torch\nx = torch.nextafter"),
    (
        no_broad_except,
        "proofs/cubic.py",
        "try:\n    f()\nexcept OSError as error:\n    raise ValueError from error",
    ),
    (no_broad_except, "proofs/cubic.py", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    (functions_fit, "proofs/cubic.py", "class C:\n    def f(self, a, b, c, d, e, g): ..."),
]


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED)
def test_no_rule_forbids_what_is_right(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []


_WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run_without(blocked: set[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter in which the `blocked` packages cannot be imported."""
    script = _WITHOUT.format(blocked=blocked) + code
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def call_main(arguments: list[str]) -> str:
    return f"import sys\nfrom certkit.cli.main import main\nsys.exit(main({arguments!r}))"


HEAVY = {"torch", "numpy", "attr", "attrs", "cattrs", "safetensors", "cyclopts", "rich", "matplotlib"}


def test_importing_certkit_needs_none_of_its_extras() -> None:
    done = run_without(HEAVY, "import certkit")
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there() -> None:
    names = [name for name in dir(certkit) if not name.startswith("_")]
    assert {"Interval", "Certificate", "Estimate", "Verdict", "audit"} <= set(names)
    assert all(getattr(certkit, name) is not None for name in names)
    assert callable(certkit.audit)


def test_audit_runs_with_python_flint_alone() -> None:
    done = run_without(HEAVY, call_main(["audit", "no-such.cert", "no-such.safetensors"]))
    assert done.returncode == 2, done.stderr
    assert "no-such.cert" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_other_commands_name_the_extra_they_need() -> None:
    done = run_without(HEAVY, call_main(["prove", "x.safetensors"]))
    assert done.returncode == 4, done.stderr
    assert "certkit[prove]" in done.stderr
    assert "Traceback" not in done.stderr
