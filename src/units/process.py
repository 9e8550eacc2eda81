"""The process of a unit, where Ray has started it: what it is told of the process that places, and what it answers."""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.base import threads
from src.base.errors import UserError
from src.base.interrupts import accept_interrupts
from src.base.paths import ROOT, input_root, submissions_root
from src.units import apart, lines
from src.units.cluster import host
from src.units.unit import Unit, Work

# Nothing that is a secret: whoever sees a cluster sees these.
PASSED = ("CALLED_FROM", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "PREDICT_ONLY", "TORCH_HOME")
PASSED += ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


@dataclass(frozen=True)
class Report:
    """What became of a unit in its process."""

    host: str
    seconds: float
    error: UserError | None = None


@dataclass(frozen=True)
class Home:
    """Where the process that places has its files."""

    roots: dict[str, str]  # the variables that lead to its folders, absolute
    shelf: Any = None  # apart.Shelf, as an actor beside it; None: all processes are on its machine
    token: Path | None = None  # a file that is there for whoever sees its folder

    def enter(self) -> bool:
        """Have this process find the same folders; whether that can be: else it has those of its own machine.

        A machine of a cluster that names a SUBMISSIONS_DIR of its own means that one.
        """
        own = Path(os.environ.get("SUBMISSIONS_DIR") or "/").absolute()
        is_apart = self.token is not None and own != Path("/") and own.is_dir()
        there = self.token is None or (own / self.token.name if is_apart else self.token).is_file()
        os.environ.update(self.roots if there else {})
        return there


def roots() -> dict[str, str]:
    """The folders of this process, by the variables that lead to them."""
    found = {"INPUT_DIR": input_root(), "SUBMISSIONS_DIR": submissions_root()}
    if scratch := os.environ.get("SCRATCH_DIR"):
        found["SCRATCH_DIR"] = Path(scratch)
    return {name: str(path.absolute()) for name, path in found.items()}


def environment(cores: int, gpus: float) -> dict[str, str]:
    """The variables with which a unit's process starts, beside those of its machine."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": path, **threads.environment(cores)}
    if not gpus:
        own["CUDA_VISIBLE_DEVICES"] = ""  # Ray shows all of a machine's to what asks for none
    return {name: os.environ[name] for name in PASSED if name in os.environ} | own


def run_unit(work: Work, unit: Unit, home: Home, needs: Collection[str] = ()) -> Report:
    """Run a unit; `needs`: the files, below SUBMISSIONS_DIR, that a machine with a folder of its own has to have."""
    start = time.perf_counter()
    accept_interrupts()  # by which Ray tells a unit to end: a `ray start` in the background has them ignored
    try:
        threads.use(threads.cores())  # Ray gives a process as many as the one before it had
        shared = home.enter()
        if home.shelf is not None:
            home.shelf.begun.remote(unit.title, host())
        if not shared:
            apart.fetch(home.shelf, needs)
        work.run(unit)
        if not shared:
            apart.bring(home.shelf, apart.names(work.outputs(unit)))
    except UserError as error:
        return Report(host(), time.perf_counter() - start, error)
    finally:
        lines.end(unit.title)
    return Report(host(), time.perf_counter() - start)


class Keeper:
    """A process that runs several units one after the other, and keeps what they have in common."""

    def __init__(self, title: str, work: Work, home: Home):
        self.title, self.work, self.home = title, work, home

    def __repr__(self) -> str:
        return self.title  # with which Ray begins its lines

    def begin(self) -> str:
        """The machine on which it is, as soon as it is anywhere."""
        return host()

    def run(self, unit: Unit, needs: Collection[str] = ()) -> Report:
        return run_unit(self.work, unit, self.home, needs)
