"""A unit of work by its names, with what it needs; and what placers ask of whoever has units."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from src.base.errors import UserError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Unit:
    """Names and nothing else say what it computes; the rest is where and when."""

    stage: str
    names: Key  # such as (model, fold, seed)
    gpus: float = 0  # 1: it computes on a GPU, where there is one
    cpus: int = 1
    gb: float = 2.0  # of memory
    after: tuple[Key, ...] = ()  # the keys of units that it waits for; those that are not pending are done
    work: float = 1.0  # how much there is to do, in the measure of its rate
    rate: str = ""  # units of one rate do as much of `work` a second on one device: "finetune convnext_tiny 224"
    keeps: str = ""  # what a process keeps from one unit to the next that keeps the same, such as a network

    @property
    def key(self) -> Key:
        return (self.stage, *self.names)

    @property
    def title(self) -> str:
        """`finetune convnext 0 42`: what is typed behind `./run.sh NAME unit`."""
        return " ".join(map(str, self.key))


class Work(Protocol):
    """What units do. It is pickled, to run units in other processes: it holds names, and reads files where it runs."""

    def run(self, unit: Unit) -> None:
        """Compute the unit's files, in any process; what is there is computed only if it is not the unit's."""

    def is_done(self, unit: Unit) -> bool:
        """Whether the files say that the unit is done; asked by the process that places."""

    def settle(self, unit: Unit) -> None:
        """What the process that places has to do once a unit is done, before what waits for it begins."""

    def outputs(self, unit: Unit) -> Collection[Path]:
        """The files that a done unit has left, for machines that do not share the folder; the description last."""


@dataclass
class Outcome:
    """What became of the units that were placed."""

    failed: dict[Unit, BaseException] = field(default_factory=dict)  # in the order in which they failed
    skipped: dict[Unit, Unit] = field(default_factory=dict)  # each with the one that failed, and that it waits for

    def raise_first(self) -> None:
        """Raise the first error of a unit, if any: the exit code is that one's."""
        for error in self.failed.values():
            raise error


class Placer(Protocol):
    def run(self, units: Iterable[Unit], work: Work) -> Outcome:
        """Have the units run, each after those that it waits for; a UserError of one does not stop the others.

        Raises:
            UserError: A unit asks for what no machine has; then nothing is begun.
            KeyboardInterrupt: Ctrl-C or SIGTERM; what runs was told to save, and has.
        """


class NotDone(UserError):
    """A unit has ended well and is not done by its files."""


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """The units in their own order, but each behind those that it waits for."""
    waiting, ordered = list(units), []
    pending = {unit.key for unit in waiting}
    while waiting:
        ready = next((unit for unit in waiting if not pending.intersection(unit.after)), None)
        if ready is None:
            raise AssertionError(f"units that wait for each other: {', '.join(unit.title for unit in waiting)}")
        waiting.remove(ready)
        pending.remove(ready.key)
        ordered.append(ready)
    return ordered


def waiting_for(failed: Unit, units: Iterable[Unit]) -> list[Unit]:
    """Those of the units that wait for the failed one, also by way of others."""
    gone, found = {failed.key}, []
    for unit in in_order(units):
        if gone.intersection(unit.after):
            gone.add(unit.key)
            found.append(unit)
    return found
