"""Work done query by query: in one process or several the same, counted, reported, and ended by errors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from certkit import cost
from proofs.listening import listening, report
from proofs.paths import path_tables
from proofs.separable import queries
from proofs.separable.alive import alive_terms
from proofs.separable.union import SeparableUnion
from proofs.strategy import StrategyError
from proofs.witness import witness_to_json
from tests.separable.classes import some_model
from tests.support.models import Kind, Sizes, tiny_model

forking = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


@pytest.fixture
def three_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Queries of tiny models, too, are given to three processes."""
    before = torch.get_num_threads()
    monkeypatch.setattr(queries, "FEWEST", 1)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_processes")
def test_several_processes_find_the_same() -> None:
    model = some_model(3)
    union = SeparableUnion()
    witness = union.search(model)
    assert len(set(queries.each_query(lambda _: os.getpid(), 6)) - {os.getpid()}) > 0
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        with cost.counting() as spent:
            found.append((witness_to_json(union.search(model)), union.verify(model, witness), spent))
    assert found[0] == found[1]


@pytest.mark.usefixtures("three_processes")
@pytest.mark.parametrize("threads", [1, 3])
def test_each_query_is_reported(threads: int) -> None:
    torch.set_num_threads(threads)
    told = list[tuple[int, int]]()
    with listening(lambda done, total: told.append((done, total))):
        assert list(queries.each_query(lambda q: 2 * q, 4)) == [0, 2, 4, 6]
        for _ in alive_terms(path_tables(tiny_model(Kind.SKILLED, Sizes(3, 2), 0))):
            pass
    list(queries.each_query(lambda q: q, 2))  # nobody listens
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4), (1, 3), (2, 3), (3, 3)]


@pytest.mark.usefixtures("three_processes")
def test_a_killed_process_is_an_error_and_nothing_hangs() -> None:
    def dies(q: int) -> int:
        if q == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return q

    with pytest.raises(StrategyError, match="fewer threads"):
        list(queries.each_query(dies, 6))


@forking
@pytest.mark.usefixtures("three_processes")
def test_each_process_has_one_thread() -> None:
    assert set(queries.each_query(lambda _: torch.get_num_threads(), 6)) == {1}
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_processes")
def test_few_queries_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "FEWEST", 7)
    assert set(queries.each_query(lambda _: os.getpid(), 6)) == {os.getpid()}


def in_a_daemon(answers: Connection) -> None:
    answers.send(set(queries.each_query(lambda _: os.getpid(), 6)) == {os.getpid()})


@forking
@pytest.mark.usefixtures("three_processes")
def test_a_daemon_does_it_all_itself() -> None:
    """It may have no processes of its own."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=in_a_daemon, args=(there,), daemon=True)
    process.start()
    there.close()
    process.join(60)
    assert here.poll()
    assert here.recv() is True


@forking
@pytest.mark.usefixtures("three_processes")
def test_what_nobody_waits_for_is_not_begun(tmp_path: Path) -> None:
    def begun(q: int) -> int:
        (tmp_path / str(q)).touch()
        time.sleep(0.02)
        return q

    found = queries.each_query(begun, 60)
    assert next(found) == 0
    del found
    assert len(list(tmp_path.iterdir())) < 30


@pytest.mark.usefixtures("three_processes")
@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_the_work_is_an_error_here(threads: int) -> None:
    torch.set_num_threads(threads)
    told = list[int]()
    with pytest.raises(ZeroDivisionError), listening(lambda done, _: told.append(done)):
        list(queries.each_query(lambda q: 1 // (3 - q), 6))
    report(9, 9)  # the listening ended with the error
    assert told == [1, 2, 3]
