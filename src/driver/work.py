"""The units of a competition's stages, as placers want them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from src import stages
from src.base import locks
from src.base.interrupts import TimeIsUp, time_limit
from src.data import checked
from src.data.rows import Dataset, read_dataset
from src.driver import pictures
from src.models.work import StageWork
from src.schema.competition import Competition
from src.units.deadline import Deadline
from src.units.pace import allowed
from src.units.unit import Key, OutOfTime, Unit


class CompetitionWork:
    """The units of some stages. In another process it begins with nothing but the competition, and reads its rows."""

    def __init__(
        self,
        competition: Competition,
        settled: Callable[[Unit, str | None, float], None] | None = None,
        digest: str | None = None,
        deadline: Deadline | None = None,
        rounds: Mapping[Key, int] | None = None,
    ):
        """An empty work.

        Args:
            settled: Called after each unit, with the model that it has finished, or None, and its seconds.
            digest: Of the rows that other processes read: see `data.checked`. None: they read and check the tables.
            rounds: Of each unit that has to end in time: see `units.deadline.rounds`.
        """
        self.competition, self.settled, self.digest = competition, settled, digest
        self.deadline, self.rounds = deadline, rounds or {}
        self.works: dict[str, StageWork] = {}
        self.places = True  # see `StageWork`

    def __getstate__(self) -> dict[str, Any]:
        kept = ("competition", "digest", "deadline", "rounds")
        return {"settled": None, "works": {}, "places": False} | {name: getattr(self, name) for name in kept}

    @cached_property
    def data(self) -> Dataset:
        competition = self.competition
        if not competition.input("").is_dir():  # on a machine of its own
            with locks.locked(competition.folder / ".units" / ".fetch.lock"):
                competition.source.fetch(competition.input_root)
        return read_dataset(competition) if self.digest is None else checked.read(competition, self.digest)

    def of(self, stage: str) -> StageWork:
        """The units of a stage; of other stages nothing is kept in memory."""
        if stage not in self.works:
            self.forget()
            module = pictures if stage == pictures.STAGE else stages.module(stage)
            self.works = {stage: module.Work(self.competition, self.data, self.places)}
        return self.works[stage]

    def forget(self) -> None:
        """Let go of what is kept from one unit to the next."""
        for work in self.works.values():
            work.forget()
        self.works = {}

    def pending(self, names: Iterable[str], gone: Collection[Key] = ()) -> list[Unit]:
        """The units of stages that are not done, in order."""
        found: list[Unit] = []
        for name in names:
            found += self.of(name).pending({unit.key for unit in found}.union(gone))
        return found

    def find(self, title: str) -> Unit | None:
        """The unit of a title, done or not."""
        stage = title.partition(" ")[0]
        return next((unit for unit in self.of(stage).units() if unit.title == title), None)

    def run(self, unit: Unit) -> None:
        if self.deadline is None:
            self.compute(unit)
            return
        try:
            with allowed(self.deadline.within(self.rounds.get(unit.key, 1))), time_limit(self.deadline.left):
                self.compute(unit)
        except TimeIsUp as error:
            raise OutOfTime(f"{unit.title}: the time is over: a later run with more of it goes on") from error

    def compute(self, unit: Unit) -> None:
        """Run a unit, after another process that is at the same one."""
        with locks.locked(self.competition.folder / ".units" / f".{'-'.join(map(str, unit.key))}.lock"):
            self.of(unit.stage).run(*unit.names)

    def is_done(self, unit: Unit) -> bool:
        return self.of(unit.stage).is_done(*unit.names)

    def settle(self, unit: Unit, seconds: float) -> None:
        if self.settled is not None:
            work = self.of(unit.stage)
            self.settled(unit, work.makes(*unit.names), work.seconds(*unit.names) or seconds)

    def inputs(self, unit: Unit) -> list[Path]:
        """The files that a machine without this one's folder needs for a unit, beside those of pending units.

        These are the rows and folds, what was done before of all that the unit waits for, and what is there of its own.
        """
        competition = self.competition
        found = [competition.rows_parquet, competition.folds_csv, competition.folds_csv.with_suffix(".json")]
        for stage in {start[0] for start in unit.after} - {pictures.STAGE}:
            others = [one for one in self.of(stage).units() if unit.waits_for(one.key) and self.is_done(one)]
            found += [path for one in others for path in self.outputs(one)]
        return [*found, *(path for path in self.outputs(unit) if path.is_file())]

    def outputs(self, unit: Unit) -> Collection[Path]:
        return self.of(unit.stage).outputs(*unit.names)
