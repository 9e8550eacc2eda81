"""Progress: everything passes through; plain lines with rate and time left in a pipe, a bar on a terminal."""

import sys

import pytest

from src.base import progress
from src.base.text import duration


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by a second a look."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def test_plain_lines_in_a_pipe(clock, capsys):
    assert list(progress.track(range(40), "features x", 40, "images")) == list(range(40))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "features x  10/40 images  1.0/s  30s left"
    assert len(lines) == 3


def test_batches_count_by_their_size(clock, capsys):
    list(progress.track(["abcd"] * 15, "x", 60, "images", of=len))
    assert capsys.readouterr().out.startswith("x  40/60 images  4.0/s  5.0s left")


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.track("abc", "x", 3, "images")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0s"), (9.94, "9.9s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said
