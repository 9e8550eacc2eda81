"""The lines of units: what other processes print, as it comes here by way of Ray."""

import io
import re
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

END = "\x1eend of "  # before the title of a unit, once it has printed all
LATE_S = 5.0  # Ray looks for new lines several times a second
PREFIX = re.compile(r"(?:\x1b\[\d+m)?\((?P<title>[^()]+) pid=\d+(?:, ip=(?P<ip>\S+))?\)(?:\x1b\[0m)? ?")


def end(title: str) -> None:
    """Print, in a unit's process, that all its lines are printed."""
    print(f"{END}{title}", flush=True)


class Lines(io.TextIOBase):
    """An output to which lines of several threads go whole; Ray's are given the titles of their units alone."""

    def __init__(self, output: TextIO, ended: set[str]):
        """`ended`: gets the titles of units whose lines have all come."""
        self.output, self.ended, self.begun = output, ended, threading.local()

    def write(self, text: str) -> int:
        *lines, self.begun.text = (getattr(self.begun, "text", "") + text).split("\n")
        if shown := [line for line in map(self.shown, lines) if line is not None]:
            self.output.write("".join(f"{line}\n" for line in shown))
        return len(text)

    def shown(self, line: str) -> str | None:
        """The line as it is shown; None: it says no more than that a unit has ended."""
        prefix = PREFIX.match(line)
        if prefix is None:
            return line
        text, found, title = line[prefix.end() :].partition(END)
        if found:
            self.ended.add(title)
        where = f" on {prefix['ip']}" if prefix["ip"] else ""
        return f"{prefix['title']}{where} | {text}" if text or not found else None

    def flush(self) -> None:
        """Pass on what is no whole line yet, too."""
        if text := getattr(self.begun, "text", ""):
            self.output.write(text)
            self.begun.text = ""
        self.output.flush()

    @property
    def encoding(self) -> str:
        return self.output.encoding

    def isatty(self) -> bool:
        return self.output.isatty()

    def fileno(self) -> int:
        return self.output.fileno()


class Heard:
    """The units of which all lines have come."""

    def __init__(self):
        self.titles: set[str] = set()

    def wait_for(self, titles: Collection[str]) -> None:
        """Wait until all lines of units that have ended are shown: Ray brings them later than their results."""
        until = time.monotonic() + LATE_S
        while not self.titles.issuperset(titles) and time.monotonic() < until:
            time.sleep(0.05)


@contextmanager
def shown() -> Iterator[Heard]:
    """Show the lines of units in the block as `finetune convnext 0 42 | epoch 3 ...`."""
    heard = Heard()
    with redirect_stdout(Lines(sys.stdout, heard.titles)), redirect_stderr(Lines(sys.stderr, heard.titles)):
        yield heard
