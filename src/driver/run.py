"""A run: stages in their order, what has units by a placer, and the table of the models at the end."""

import importlib
import sys
import time
from collections.abc import Collection, Iterable
from contextlib import redirect_stdout
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from src import stages
from src.base import locks, parts
from src.base.errors import UserError
from src.base.text import duration
from src.data import checked
from src.data.rows import Dataset, read_dataset
from src.driver.estimates import Estimates
from src.driver.placing import Placing
from src.leaderboard.faults import Requirements, requirements
from src.results import summary
from src.schema.competition import Competition
from src.stages import ASKED, WITH_UNITS, WITHOUT_NETWORKS
from src.units.unit import Outcome, Placer, Unit

if TYPE_CHECKING:
    from src.driver.work import CompetitionWork
    from src.units.deadline import Deadline


def run(competition: Competition, names: tuple[str, ...], placing: Placing | None = None) -> bool:
    """Run stages in order, after they have checked the config.

    Returns:
        Whether there is time left, for a report.

    Raises:
        UserError: The first of a stage or unit; what did not wait for it was run, and is blended so far.
    """
    one = Run(competition, names, placing or Placing())
    one.run()
    return one.deadline is None or one.deadline.left > 0


def pending(
    competition: Competition, asked: Collection[str] = (), places: bool = False
) -> "tuple[CompetitionWork, list[Unit]]":
    """The work of a competition, and its units that are not done; what is reused is printed.

    Args:
        asked: Stages that only run where they are named, and are.
        places: They are to be placed now: what they write to is made ready, as by who runs them.
    """
    return Run(competition, (), Placing()).pending(asked, places)


def list_pending(competition: Competition, places: bool = False) -> list[Unit]:
    """The units that are not done after the stages data and folds, which are left to another run that is at work.

    Args:
        places: As that of `pending`; beside another run nothing is made ready.

    Raises:
        locks.Busy: The other run has no folds yet.
    """
    with redirect_stdout(sys.stderr):
        try:
            with locks.exclusive(competition.folder):
                run(competition, ("data", "folds"))
                return pending(competition, places=places)[1]
        except locks.Busy:
            if not competition.folds_csv.is_file():
                raise
            print(f"another run of {competition.folder.name} is at work: what it has not finished yet is listed")
            return pending(competition)[1]


class Run:
    def __init__(self, competition: Competition, names: tuple[str, ...], placing: Placing):
        self.whole = self.competition = competition  # what is run may be less: without models of the hub
        self.names, self.placing = names, placing
        self.computed: set[str] = set()
        self.finished: set[str] = set()  # models that were computed, or reused
        self.outcome = Outcome()  # of all units
        self.estimates = Estimates()

    @cached_property
    def placer(self) -> Placer:
        return self.placing.placer(lambda unit: self.work().inputs(unit))

    @cached_property
    def deadline(self) -> "Deadline | None":
        return imported("hours").deadline(self.placing.hours, self.placing.started)

    @cached_property
    def is_together(self) -> bool:
        """Whether the units of all stages are given at once: they run side by side, or the cheap ones come first."""
        return self.placer.is_wide or self.deadline is not None

    @cached_property
    def data(self) -> Dataset:
        return read_dataset(self.competition)

    @cached_property
    def asked(self) -> Requirements:
        """What a submission has to be."""
        (asked,) = requirements(self.competition)
        return asked

    def run(self) -> None:
        start, submission, is_checked = time.perf_counter(), None, False
        parts.remove_strays(self.competition.folder)
        for group in self.groups():
            if group[0] not in WITH_UNITS:
                self.outcome.raise_first()  # what follows is of all models
            print(f"== {self.competition.folder.name}: {', '.join(group)}")
            if not is_checked and {*group} - {*WITHOUT_NETWORKS}:
                self.check(self.names[self.names.index(group[0]) :])
                is_checked = True
            if group[0] in WITH_UNITS:
                self.place(group)
                continue
            module = stages.module(group[0])
            if group[0] == "blend":
                imported("so_far").leave_blend(self.competition)
                self.computed.update(module.run(self.competition, self.data))
            elif group[0] == "submission":
                submission = module.run(self.competition, self.data)
                imported("so_far").clear(self.competition, submission)
            else:
                module.run(self.competition)
        self.outcome.raise_first()
        if submission:
            print(f"== {self.competition.folder.name}: done in {duration(time.perf_counter() - start)}")
            print(summary.table(self.whole, self.computed, self.finished))
            print(summary.next_step(self.competition, submission))

    def groups(self) -> Iterable[tuple[str, ...]]:
        """Stages that are run together: those whose units go to many places at once, else each by itself."""
        together: list[str] = []
        for name in self.names:
            if together and not (name in WITH_UNITS and self.is_together):
                yield tuple(together)
                together = []
            together.append(name)
            if name not in WITH_UNITS:
                yield tuple(together)
                together = []
        if together:
            yield tuple(together)

    def check(self, names: Iterable[str]) -> None:
        """Have stages check the config, and leave out what the hub has and does not give; here torch is imported."""
        for name in names:
            getattr(stages.module(name), "check", lambda competition: None)(self.competition)
        self.competition = importlib.import_module("src.models.at_hand").without_hub(self.competition)

    def pending(self, asked: Collection[str], places: bool) -> "tuple[CompetitionWork, list[Unit]]":
        """The units of all stages of a whole run, and of those that are asked for, that are not done."""
        names = [name for name in WITH_UNITS if name not in ASKED or name in asked]
        self.check(names)
        work = self.work()
        work.places = places
        if units := work.pending(names):
            work.digest = self.digest  # written for whoever runs one
        return work, units

    @cached_property
    def digest(self) -> str:
        """That of the rows, which are on the disk for other processes."""
        return checked.write(self.competition, self.data)

    def work(self, **options: Any) -> "CompetitionWork":
        work = imported("work").CompetitionWork(self.competition, self.settled, **options)
        work.data = self.data
        return work

    def place(self, names: tuple[str, ...]) -> None:
        """Have the pending units of stages run."""
        work = self.work()
        pending = self.with_pictures(work.pending(names), work)
        gone = {unit.key for unit in (*self.outcome.failed, *self.outcome.skipped)}
        unfinished = {work.of(unit.stage).makes(*unit.names) for unit in pending}
        models = {name for stage in names for name in self.competition.of_stage(stage)}
        self.finished |= models - unfinished
        if unfinished - {None}:
            self.write_so_far()
        skipped = {unit: self.failed_before(unit) for unit in pending if any(map(unit.waits_for, gone))}
        outcome = self.run_units([one for one in pending if one not in skipped and one.key not in gone], work)
        again = [one for one, error in outcome.failed.items() if work.of(one.stage).recover(error, *one.names)]
        work.forget()
        self.outcome.failed |= {one: error for one, error in outcome.failed.items() if one not in again}
        self.outcome.skipped |= skipped | {one: why for one, why in outcome.skipped.items() if why not in again}
        if again:
            self.place(names)

    def with_pictures(self, units: list[Unit], work: "CompetitionWork") -> list[Unit]:
        """The units, and before them those that decode the pictures for them, where several GPUs would wait for that.

        On a cluster each machine decodes what it needs, when it needs it.
        """
        if not self.placer.is_wide or self.placing.ray is not None:
            return units
        asked = {key for unit in units for key in unit.after}
        return [one for one in work.of("pictures").units() if one.key in asked and not work.is_done(one)] + units

    def run_units(self, units: list[Unit], work: "CompetitionWork") -> Outcome:
        """Have units run, with a deadline those for which there is time; the models that are left out are named."""
        if units and self.placer.is_wide:  # the folder of what is finished may be one that is only read
            work.digest = self.digest
        if self.deadline is None:
            return self.placer.run(self.estimates.longest_first(units) if self.placer.is_wide else units, work)
        timed = imported("hours").Timed(self.deadline, self.estimates, *self.placing.places)
        options = {"deadline": self.deadline, "digest": work.digest}
        outcome = timed.run(units, self.placer, lambda rounds: self.work(rounds=rounds, **options))
        for name, reason in timed.left_out.items():
            print(f"left out, for want of time: {name} ({reason})")
        if timed.left_out:
            if not self.finished:
                raise UserError(
                    "no model was finished in time: give more --hours; what was begun goes on from where it is"
                )
            self.competition = importlib.import_module("src.models.at_hand").only(self.competition, self.finished)
        return outcome

    def failed_before(self, unit: Unit) -> Unit:
        """The unit of an earlier stage that failed, and for which this one waits."""
        return next(one for one in (*self.outcome.failed, *self.outcome.skipped) if unit.waits_for(one.key))

    def settled(self, unit: Unit, model: str | None, seconds: float) -> None:
        if self.placing.ray is None:  # on a cluster it may have been another device
            self.estimates.note(unit, seconds)
        if model is not None:
            self.computed.add(model)
            self.finished.add(model)
            self.write_so_far()

    def write_so_far(self) -> None:
        """Write the submission so far, where one is asked for and other models are still to come."""
        if "submission" in self.names and self.competition.models.keys() - self.finished:
            imported("so_far").write(self.competition, self.finished, self.data, self.asked)


def imported(name: str) -> ModuleType:
    """A module of this room that imports torch, when it is wanted: data and folds do without."""
    return importlib.import_module(f"src.driver.{name}")
