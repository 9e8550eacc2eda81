"""A work that is made up: its units write small files, and do what their names say."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from src.base.errors import UserError
from src.base.files import read_json, write_json
from src.base.paths import submissions_root
from src.units.unit import Key, OutOfTime, Unit

SHOWN = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so, which it is soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def parent(pid: int | str) -> int:
    """The process by which another was begun. Raises OSError: It has ended."""
    return int(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[1])


def has_ended(pid: int | str) -> bool:
    """Whether a process has ended, also where nobody has asked for its exit code yet."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Made(UserError):
    """An error of its own class and code."""

    code = 7


class Files:
    """Each unit writes a file of its names and of what those that it waits for have written."""

    def __init__(self):
        self.settled: list[str] = []

    def path(self, unit: Unit) -> Path:
        return submissions_root() / "made" / f"{'-'.join(map(str, unit.key))}.json"

    def run(self, unit: Unit) -> None:
        if not self.is_done(unit):
            getattr(self, unit.stage, self.write)(unit)

    def write(self, unit: Unit) -> None:
        made = {"unit": unit.title, "of": [read_json(self.of(key)) for key in unit.after]}
        write_json(self.path(unit), made)

    def of(self, key: Key) -> Path:
        return self.path(self.unit(key))

    def unit(self, key: Key) -> Unit:
        return Unit(key[0], key[1:])

    def slow(self, unit: Unit) -> None:
        time.sleep(0.3)
        self.write(unit)

    def note(self, unit: Unit, **more: object) -> None:
        """Write where it was run, and with what."""
        env = {name: os.environ.get(name) for name in SHOWN}
        write_json(self.path(unit), {"pid": os.getpid(), **env, **more})

    where = note

    def begin(self, unit: Unit) -> int:
        """Note that it begins; return how often it has."""
        path = self.path(unit).with_suffix(f".begun-{time.monotonic_ns()}-{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return len(self.begun(unit))

    def begun(self, unit: Unit) -> list[Path]:
        return sorted(self.path(unit).parent.glob(f"{self.path(unit).stem}.begun-*"))

    def dies(self, unit: Unit) -> None:
        """(name, times): its process is killed so often."""
        if self.begin(unit) <= unit.names[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        self.note(unit)

    def sleeps(self, unit: Unit) -> None:
        """(name, seconds): it goes on from a checkpoint, which it saves when it is told to stop."""
        checkpoint = self.path(unit).with_suffix(".checkpoint")
        before = checkpoint.exists()
        try:
            self.begin(unit)
            end = time.monotonic() + unit.names[1]
            while time.monotonic() < end and not before:
                time.sleep(0.02)
        except KeyboardInterrupt:
            time.sleep(0.5)
            checkpoint.touch()
            raise
        self.note(unit, resumed=before)

    def deaf(self, unit: Unit) -> None:
        """It does not hear that it is to end, but when it is told once more."""
        for _ in range(2):
            with contextlib.suppress(KeyboardInterrupt):
                self.begin(unit)
                while True:  # Ray's interrupt wakes nobody
                    time.sleep(0.02)
        self.path(unit).with_suffix(".checkpoint").touch()  # at once: the next interrupt would break that off
        raise KeyboardInterrupt

    def keeps(self, unit: Unit) -> None:
        self.count = getattr(self, "count", 0) + 1
        time.sleep(0.1)
        self.note(unit, count=self.count)

    def refuses(self, unit: Unit) -> None:
        raise Made(f"{unit.title} is refused")

    def late(self, unit: Unit) -> None:
        """(name, key of another): out of time once that has begun."""
        wait_for(lambda: self.begun(self.unit(unit.names[1:])))
        raise OutOfTime(f"{unit.title} takes too long", 9.0)

    def breaks(self, unit: Unit) -> None:
        raise ZeroDivisionError("a bug")

    def says(self, unit: Unit) -> None:
        """It prints a line, and one without an end."""
        print(f"first of {unit.title}")
        self.note(unit)
        print(f"last of {unit.title}", end="")

    def stubborn(self, unit: Unit) -> None:
        """It does not end when it is told to."""
        for wait in (lambda: self.begin(unit), lambda: time.sleep(60), lambda: time.sleep(60)):
            with contextlib.suppress(KeyboardInterrupt):
                wait()

    def lies(self, unit: Unit) -> None:
        """It writes nothing."""

    def is_done(self, unit: Unit) -> bool:
        return self.path(unit).is_file()

    def settle(self, unit: Unit, seconds: float) -> None:
        assert seconds >= 0
        self.settled.append(unit.title)

    def outputs(self, unit: Unit) -> list[Path]:
        return [self.path(unit)]
