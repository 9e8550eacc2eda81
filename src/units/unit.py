"""A unit of work by its names, with what it needs; and what placers ask of whoever has units."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
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
    after: tuple[Key, ...] = ()  # beginnings of the keys of units that it waits for; what is not pending is done
    work: float = 1.0  # how much there is to do, in the measure of its rate
    rate: str = ""  # units of one rate do as much of `work` a second on one device: "finetune convnext_tiny 224"
    keeps: str = ""  # what a process keeps from one unit to the next that keeps the same, such as a network
    whole: str = ""  # what it is a part of, and of use only with all other parts: a model
    here: bool = False  # it is run by the process that places: what brings the results of others together, say

    @property
    def key(self) -> Key:
        return (self.stage, *self.names)

    @property
    def title(self) -> str:
        """`finetune convnext 0 42`: what is typed behind `./run.sh NAME unit`."""
        return " ".join(map(str, self.key))

    def waits_for(self, key: Key) -> bool:
        """Whether it waits for the unit of a key, where that is pending."""
        return key != self.key and any(key[: len(start)] == start for start in self.after)


class Work(Protocol):
    """What units do. It is pickled, to run units in other processes: it holds names, and reads files where it runs."""

    def run(self, unit: Unit) -> None:
        """Compute the unit's files, in any process; what is there is computed only if it is not the unit's."""

    def is_done(self, unit: Unit) -> bool:
        """Whether the files say that the unit is done; asked by the process that places."""

    def settle(self, unit: Unit, seconds: float) -> None:
        """What the process that places has to do once a unit is done, in so many seconds, before others begin."""

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
    is_wide: bool  # whether units run side by side, so that those of all stages are given at once

    def run(self, units: Iterable[Unit], work: Work) -> Outcome:
        """Have the units run, each after those that it waits for; a UserError of one does not stop the others.

        Raises:
            UserError: A unit asks for what no machine has; then nothing is begun.
            DiskFull: A unit found no room for its files; what runs was told to save, and no other one is begun.
            KeyboardInterrupt: Ctrl-C or SIGTERM; what runs was told to save, and has.
        """


class NotDone(UserError):
    """A unit has ended well and is not done by its files."""


def needs(units: Iterable[Unit]) -> dict[Key, set[Key]]:
    """The keys of the pending units that each of them waits for.

    Raises:
        AssertionError: Some wait for each other.
    """
    units = list(units)
    starts = {unit.key[:length] for unit in units for length in range(1, len(unit.key) + 1)}
    below: dict[Key, list[Key]] = {start: [] for start in starts}
    for unit in units:
        for length in range(1, len(unit.key) + 1):
            below[unit.key[:length]].append(unit.key)
    found = {unit.key: {key for start in unit.after for key in below.get(start, ())} - {unit.key} for unit in units}
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        raise AssertionError(f"units that wait for each other: {error.args[1]}") from error
    return found


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """The units in their own order, but each behind those that it waits for."""
    by_key = {unit.key: unit for unit in units}
    waiting, place, ordered = needs(by_key.values()), {key: i for i, key in enumerate(by_key)}, {}

    def put(key: Key) -> None:
        for other in sorted(waiting[key], key=place.get):
            if other not in ordered:
                put(other)
        ordered[key] = by_key[key]

    for key in by_key:
        if key not in ordered:
            put(key)
    return list(ordered.values())


class WholeFailed(UserError):
    """A unit's failure with which the other parts of its whole are of no use for now."""


class OutOfTime(WholeFailed):
    """A unit would take longer than it may: it has saved what it has, and a later run goes on from there."""

    def __init__(self, text: str, seconds: float | None = None):
        super().__init__(text, seconds)  # both, so that it can be pickled
        self.seconds = seconds  # that the whole unit takes, at its pace; None: it ended before there was one

    def __str__(self) -> str:
        return self.args[0]


def gone_with(failed: Unit, error: BaseException, units: Iterable[Unit]) -> list[Unit]:
    """Those of the units that wait for the failed one, also by way of others.

    Where the whole has failed they are also its other parts, and what waits for these.
    """
    units, gone, found = in_order(units), {failed.key}, []
    if isinstance(error, WholeFailed) and failed.whole:
        gone |= {unit.key for unit in units if unit.whole == failed.whole}
    for unit in units:
        if unit.key != failed.key and (unit.key in gone or any(unit.waits_for(key) for key in gone)):
            gone.add(unit.key)
            found.append(unit)
    return found
