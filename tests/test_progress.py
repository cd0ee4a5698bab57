"""What a person sees while work lasts: of a whole sweep, and of any work of several parts."""

import io
import sys

import pytest

from scaledis.core import progress as core_progress
from scaledis.training import progress
from scaledis.training.progress import SweepProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_sweep_says_runs_pace_and_time_left(clock, capsys):
    sweep = SweepProgress({0: (2, 100), 1: (4, 100), 2: (4, 100)})
    sweep.end(0, failed=0)  # was there before
    clock[0] = 20.0  # of compiling
    sweep.update(1, 10, failed=0)
    assert capsys.readouterr().err == ""
    clock[0] = 40.0
    sweep.update(1, 60, failed=1)
    # 4 runs x 50 steps in 20 seconds; 4 x 40 and 4 x 100 steps are left.
    line = "2 of 10 runs done, 3 running, 1 failed, 10.0 steps/s in all, 56 s left\n"
    assert capsys.readouterr().err == line
    clock[0] = 50.0
    sweep.update(1, 100, failed=1)
    assert capsys.readouterr().err == ""
    sweep.end(1, failed=1)
    assert capsys.readouterr().err == "5 of 10 runs done, 0 running, 1 failed, 12.0 steps/s in all, 33 s left\n"


def test_one_population_needs_no_line_of_its_own(clock, capsys):
    sweep = SweepProgress({3: (2, 100)})
    sweep.update(3, 50, failed=0)
    clock[0] = 100.0
    sweep.update(3, 100, failed=0)
    sweep.end(3, failed=0)
    assert capsys.readouterr().err == ""


def test_work_of_several_parts_is_named_in_lines_where_there_is_no_terminal(clock, capsys):
    def seconds(*each):
        for clock[0] in each:
            yield clock[0]

    names = {4.0: "dci", 6.0: "mig", 20.0: "sap", 40.0: "irs"}
    parts = core_progress.shown(seconds(*names), "metrics", 90, start=10, size=int, name=names.get)
    assert list(parts) == [*names]
    # 6 s is the first after five seconds, and 40 s the first half a minute later.
    assert capsys.readouterr().err == "metrics, mig: 20 of 90 done\nmetrics, irs: 80 of 90 done\n"
    assert list(core_progress.shown(seconds(41.0, 42.0), "short", 2)) == [41.0, 42.0]
    assert list(core_progress.shown(seconds(99.0), "of one part", 1)) == [99.0]
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_names_the_part_at_work(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(core_progress, "AFTER", 0.0)
    assert list(core_progress.shown(iter("ab"), "metrics", 2, name=str.upper)) == ["a", "b"]
    assert "metrics, B" in sys.stderr.getvalue() and "\n" not in sys.stderr.getvalue()
