"""Every code block of the README and of docs/ is run, in order, in an empty folder of its page's own."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.docs.blocks import Block, PageError, blocks_of, commands_of, shows

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECONDS_PER_COMMAND = 240

NOT_RUN = {
    "make demo": "tests/cli/test_demo.py runs the same program on a smaller model",
    "make test": "this is the command that runs this test",
    "pip install -e '.[prove,report]'": "installs; the Makefile's own installation is the test",
    "pip install torch --index-url https://download.pytorch.org/whl/cpu": "installs from another server",
    "pip install '.[audit]'": "installs; tests/test_architecture.py runs the audit without the extras",
    "NO_MKDOCS_2_WARNING=1 mkdocs serve": "serves until it is stopped; `make docs` builds the same site",
}
"""Commands on pages that no test runs, and why. Exact lines; an unused one is an error."""


_INSTALL = "python -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check"

INSTEAD = {
    "pip install -e ./my_strategy": f"{_INSTALL} --target plugins ./my_strategy"
    " && ln -sf ../my_strategy/my_strategy.py plugins/",
    "pytest my_strategy/test_my_strategy.py": "pytest -q my_strategy/test_my_strategy.py -k audited",
}
"""Commands run a little differently: installed into the page's folder instead of the environment, and the
minutes of the full check left to the tests of the example itself."""


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _run_command(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    scripts = sysconfig.get_path("scripts")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(folder / "plugins"), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_PER_COMMAND,
        check=False,
    )


class Page:
    """The state the blocks of one page share: a folder, a namespace, and what the last block printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, object] = {"__name__": "page"}
        self.printed: str | None = None
        self.not_run: set[str] = set()

    def run(self, block: Block) -> None:
        expects = block.kind == "text" and block.directly_below and self.printed is not None
        if expects and not shows(block.text.splitlines(), self.printed or ""):
            raise PageError(f"{block.where}: the block above prints\n{self.printed}")
        printed, self.printed = None, None
        if block.kind == "python":
            printed = self._python(block)
        elif block.kind == "console":
            self._console(block)
        elif block.kind == "pycon":
            self._session(block)
        self.printed = printed

    def _python(self, block: Block) -> str | None:
        if block.file:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
            return None
        code = compile("\n" * block.line + block.text, block.page, "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.chdir(self.folder):
            exec(code, self.namespace)
        return out.getvalue()

    def _console(self, block: Block) -> None:
        for command in commands_of(block):
            if command.line in NOT_RUN:
                self.not_run.add(command.line)
                continue
            done = _run_command(INSTEAD.get(command.line, command.line), self.folder)
            if done.returncode != 0:
                raise PageError(
                    f"{command.where}: exit code {done.returncode}\n$ {command.line}\n{done.stdout}"
                )
            if command.shown and not shows(command.shown, done.stdout):
                raise PageError(
                    f"{command.where}: the page shows other output\n$ {command.line}\n{done.stdout}"
                )

    def _session(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(
            block.text, self.namespace, block.page, block.page, block.line
        )
        out = io.StringIO()
        with contextlib.chdir(self.folder):
            result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
                test, out=out.write, clear_globs=False
            )
        if result.failed:
            raise PageError(f"{block.where}:\n{out.getvalue()}")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    state = Page(tmp_path)
    for block in blocks_of(_name(page), page.read_text(encoding="utf-8")):
        state.run(block)


def test_every_command_that_is_not_run_stands_on_a_page() -> None:
    commands = {
        command.line
        for page in PAGES
        for block in blocks_of(_name(page), page.read_text(encoding="utf-8"))
        if block.kind == "console"
        for command in commands_of(block)
    }
    assert {*NOT_RUN, *INSTEAD} - commands == set()


_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=_name)
def test_links_of_pages_outside_the_site_lead_somewhere(page: Path) -> None:
    """The site's own links are checked by its strict build."""
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []
