"""`certkit prove`: run strategies on models and write their certificates."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from certkit.certificate import Certificate
from certkit.cli.exits import CliError, Exit
from certkit.cli.inputs import require_models, writable_folder
from certkit.cli.models import read_model, remark_on_task, require_sound_machine, use_threads
from certkit.cli.output import log_console, print_json, print_table, result_console
from certkit.display import float_down, grouped, percent_down, percent_up
from certkit.fileformat import wide_int
from certkit.listing import content_kinds
from certkit.task import MAX_OF_K
from proofs.listening import Listener, listening
from proofs.model import Model
from proofs.progress import Lines
from proofs.proving import prove_with
from proofs.strategy import AnyStrategy, StrategyError, select, strategies
from proofs.task import Task, parse_task, renamed, restated
from proofs.workspace import Workspace

DEFAULTS = ("separable-tail", "cubic")
"""The tightest strategies that are cheap, best first; not each proves under every semantics."""
LARGE, LARGE_DEFAULTS = 256, ("separable-pool", "cubic")
"""The same from this vocabulary on: tails would have millions of rows."""


@attrs.frozen
class Proved:
    """One certificate, where its model came from and where it went."""

    model: Path
    certificate: Certificate
    path: Path

    def remark(self, group: str, name: str) -> int | None:
        """A number from the producer's remarks."""
        values = self.certificate.remarks.get(group)
        value = values.get(name) if isinstance(values, dict) else None
        return value if isinstance(value, int) else None

    def seconds(self, name: str) -> float | None:
        """A time from the producer's remarks."""
        micro = self.remark("time_us", name)
        return None if micro is None else micro / 1_000_000


class _Loaded(NamedTuple):
    """A model to prove something about, and the task that is proved."""

    path: Path
    model: Model
    task: Task


def prove(
    *models: Path,
    strategy: tuple[str, ...] = (),
    out: Path = Path("certs"),
    semantics: Literal["real", "float32"] = "real",
    task: str = MAX_OF_K,
    threads: int = 1,
    json: bool = False,
) -> int:
    """Prove a lower bound on the accuracy of each MODEL and write the certificates.

    Each certificate is written as soon as it is there, so an interrupted run keeps what it finished.

    Parameters
    ----------
    models
        Safetensors files.
    strategy
        A name, a glob ('EUPU-*'), 'published', 'separable' or 'all'; several with commas or repeated.
        By default the tightest that is cheap at the size of the model.
    out
        Folder for the certificates, named MODEL--STRATEGY.cert.
    semantics
        What is proved: the weights as exact reals, or the model as executed in float32.
    task
        Which answers are right: 'max-of-k', 'min-of-k', or a JSON file with an order and labels.
    threads
        Threads of the tensor library. One is fastest for small models, and makes times comparable.
    json
        One JSON object per certificate on stdout instead of a table.
    """
    require_models(models, "prove")
    _check_names(models)
    use_threads(threads)
    patterns = [pattern for text in strategy for pattern in text.split(",")]
    chosen = select(patterns, semantics) if patterns else None
    loaded = [_loaded(path, task) for path in models]
    remark_on_task(models, task)
    require_sound_machine()
    folder = writable_folder(out)
    done: list[Proved] = []
    failed: list[tuple[str, str]] = []
    try:
        for proved in _prove_all(loaded, partial(_wanted, chosen, semantics), folder, failed):
            done.append(proved)
            if json:
                print_json(_record(proved))
                sys.stdout.flush()
    finally:
        if done and not json:
            _print_table(done)
    asked_for = [reason for name, reason in failed if not patterns or name in patterns]
    if failed and (asked_for or not done):
        raise CliError((asked_for or [failed[0][1]])[0])
    return Exit.DONE


def _wanted(chosen: Sequence[AnyStrategy] | None, semantics: str, vocab: int) -> Sequence[AnyStrategy]:
    """What was chosen, or the default for a vocabulary."""
    if chosen is not None:
        return chosen
    known = {strategy.name for strategy in strategies() if strategy.semantics == semantics}
    ranked = DEFAULTS if vocab < LARGE else LARGE_DEFAULTS
    return select([next(name for name in ranked if name in known)], semantics)


def _loaded(path: Path, task: str) -> _Loaded:
    model = read_model(path)
    return _Loaded(path, model, parse_task(task, model.vocab))


def _check_names(models: Sequence[Path]) -> None:
    stems: dict[str, Path] = {}
    for path in models:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise CliError(
                f"{other} and {path} would write certificates of the same name; use a different --out"
            )


def _prove_all(
    loaded: Sequence[_Loaded],
    wanted: Callable[[int], Sequence[AnyStrategy]],
    folder: Path,
    failed: list[tuple[str, str]],
) -> Iterator[Proved]:
    """Prove and save what is wanted at each model's vocabulary, one after the other; a strategy that cannot
    reach a model is passed over.
    """
    log = log_console()
    for path, model, task in loaded:
        subject = renamed(model, task)
        searching, verifying = Workspace(subject), Workspace(subject)
        chosen = wanted(model.vocab)
        for number, strategy in enumerate(chosen, 1):
            title = f"{path.stem}: {strategy.name} ({number}/{len(chosen)})"
            with log.status(Text(title)) as status, listening(_listener(title, status, log)):
                try:
                    proof = prove_with(strategy, subject, searching, verifying)
                except StrategyError as error:
                    failed.append((strategy.name, f"{path}: {error}"))
                    proof = None
            if proof is None:
                log.print(Text(f"passed over: {failed[-1][1]}"))
                continue
            certificate = restated(proof, model, task)
            yield Proved(path, certificate, _save(certificate, path, folder))


def _listener(title: str, status: Status, log: Console) -> Listener:
    """On a terminal the status says which query it is, elsewhere a line every minute does."""

    def show(done: int, total: int) -> None:
        status.update(Text(f"{title}, query {done:,} of {total:,}"))

    return show if log.is_terminal else Lines(title, log)


def _save(certificate: Certificate, model: Path, folder: Path) -> Path:
    claim = certificate.claim
    suffix = "" if claim.semantics == "real" else f"--{claim.semantics}"
    suffix += "" if claim.task.is_max_of_k else f"--{claim.task.name}"
    path = folder / f"{model.stem}--{certificate.strategy}{suffix}.cert"
    certificate.save(path)
    return path


def _record(proved: Proved) -> dict[str, object]:
    """The JSON line of a certificate."""
    certificate, claim = proved.certificate, proved.certificate.claim
    most = claim.correct_at_most
    return {
        "model": str(proved.model),
        "model_sha256": claim.model_sha256,
        "strategy": certificate.strategy,
        "family": certificate.remarks.get("family"),
        **({} if claim.task.is_max_of_k else {"task": claim.task.as_json()}),
        "semantics": claim.semantics,
        "content": content_kinds(certificate.content),
        "correct": wide_int(claim.correct_at_least),
        "total": wide_int(claim.total),
        "bound": float_down(certificate.bound),
        "correct_at_most": None if most is None else wide_int(most),
        "search_s": proved.seconds("search"),
        "verify_s": proved.seconds("verify"),
        "flops": proved.remark("cost", "flops"),
        "comparisons": proved.remark("cost", "comparisons"),
        "int_ops": proved.remark("cost", "int_ops"),
        "unexplained_dimension": proved.remark("cost", "unexplained_dimension"),
        "path": str(proved.path),
    }


def _print_table(done: Sequence[Proved]) -> None:
    """One row per certificate, the best bound of each model first."""
    order = {path: position for position, path in enumerate(dict.fromkeys(p.model for p in done))}
    rows = sorted(done, key=lambda p: (order[p.model], -p.certificate.bound))
    totals = {proved.certificate.claim.total for proved in rows}
    of_all = f", of {grouped(totals.pop())} sequences" if len(totals) == 1 else ""
    title = f"Certified correct{of_all}"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    columns = [_columns(proved) for proved in rows]
    kept = [name for name in columns[0] if any(column[name] for column in columns)]
    for name in kept if len(order) > 1 else [name for name in kept if name != "model"]:
        table.add_column(name, justify="left" if name in ("model", "strategy") else "right", no_wrap=True)
    best: dict[Path, Fraction] = {}
    for proved, column in zip(rows, columns, strict=True):
        bound = proved.certificate.bound
        is_best = best.setdefault(proved.model, bound) == bound and len(rows) > len(order)
        cells = (column[str(heading.header)] for heading in table.columns)
        table.add_row(*cells, style="bold" if is_best else "")
    console = result_console()
    print_table(table)
    counted = "1 certificate" if len(rows) == 1 else f"{len(rows)} certificates"
    console.print(Text(f"{counted} in {rows[0].path.parent}/. Check with"), soft_wrap=True)
    console.print(Text(f"  certkit audit {rows[0].path} {rows[0].model}"), soft_wrap=True)


def _columns(proved: Proved) -> dict[str, str]:
    """The cells of a row by their headings; a column that is empty in every row is left out."""
    certificate, upper = proved.certificate, proved.certificate.bound_upper
    return {
        "at least": percent_down(certificate.bound),
        "at most": "" if upper is None else "the same" if upper == certificate.bound else percent_up(upper),
        "sequences": grouped(certificate.claim.correct_at_least),
        "search": _time(proved.seconds("search")),
        "verify": _time(proved.seconds("verify")),
        "operations": _magnitude(proved.remark("cost", "flops")),
        "model": proved.model.stem,
        "strategy": certificate.strategy,
    }


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _magnitude(count: int | None) -> str:
    if count is None:
        return "–"
    return f"{count:.2e}" if count >= 10_000 else str(count)
