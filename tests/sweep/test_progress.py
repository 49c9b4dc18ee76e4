"""Progress for a log file."""

from __future__ import annotations

import io

from rich.console import Console

from proofs.progress import Lines, shown


def test_lines_come_at_most_every_minute_and_estimate_the_rest() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines("proving", Console(file=stream, width=200), every=60, clock=lambda: now[0])
    for now[0], done in ((1.0, 1), (59.9, 3), (60.0, 25), (61.0, 26), (120.0, 50)):
        lines(done, 100, "0 failed")
    assert stream.getvalue().splitlines() == [
        "proving: 25 of 100 in 0:01:00, about 0:03:00 left, 0 failed",
        "proving: 50 of 100 in 0:02:00, about 0:02:00 left, 0 failed",
    ]


def test_what_begins_anew_is_estimated_anew() -> None:
    """A proof goes through all queries twice: to search, then to verify."""
    stream, now = io.StringIO(), [0.0]
    lines = Lines("proving", Console(file=stream, width=200), every=60, clock=lambda: now[0])
    for now[0], done in ((300.0, 4), (310.0, 1), (370.0, 2), (420.0, 3)):
        lines(done, 4)
    assert stream.getvalue().splitlines()[1:] == ["proving: 2 of 4 in 0:01:10, about 0:01:10 left"]


def test_as_much_done_as_before_begins_nothing_anew() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines("proving", Console(file=stream, width=200), every=60, clock=lambda: now[0])
    for now[0], done in ((30.0, 1), (50.0, 1), (90.0, 2)):
        lines(done, 4)
    assert stream.getvalue() == "proving: 2 of 4 in 0:01:30, about 0:01:30 left\n"


def test_nothing_done_gives_no_estimate() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines("proving", Console(file=stream, width=200), every=60, clock=lambda: now[0])
    now[0] = 90.0
    lines(0, 7)
    assert stream.getvalue() == "proving: 0 of 7 in 0:01:30\n"


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, width=120, force_terminal=terminal)
        with shown("auditing", console) as show:
            show(3, 4, "one failed")
            assert isinstance(show, Lines) is not terminal
        assert ("3/4" in stream.getvalue() and "one failed" in stream.getvalue()) is terminal
