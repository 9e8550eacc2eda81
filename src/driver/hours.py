"""A run with a deadline: whole models, the cheap ones first, as many as the time allows.

What was measured on this machine and does not fit is left out before it begins; what was not is measured by its first
epochs, and stopped where it would end too late. Each model that is left out is named, and a run without the deadline
goes on with it from where it is.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from src.base.text import duration
from src.driver.estimates import Estimates
from src.schema.settings import SESSION_HOURS
from src.units.deadline import Deadline, admit, rounds
from src.units.unit import Key, Outcome, OutOfTime, Placer, Unit, Work

RESERVE, LEAST_S, MOST_S = 0.05, 2.0, 300.0  # of the time for blend and submission: a share of it, within bounds


def deadline(hours: float | None, started: float) -> Deadline | None:
    """The moment to end at: `hours` after the start by time.time(), or the end of a notebook's session; None: none."""
    left = notebook_left()
    if left is not None and (hours is None or left < 3600 * hours):
        print(f"the notebook's session has {duration(left)} left: that is this run's deadline")
        hours = left / 3600
    if hours is None:
        return None
    seconds = 3600 * hours
    return Deadline(started + seconds, min(max(RESERVE * seconds, LEAST_S), MOST_S))


def notebook_left() -> float | None:
    """The seconds that the session of Kaggle's notebook has left, since its first process started; None elsewhere."""
    if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return None
    try:
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        begun = Path("/proc/1/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return None
    return max(0.0, 3600 * SESSION_HOURS - (uptime - int(begun) / os.sysconf("SC_CLK_TCK")))


@dataclass
class Timed:
    """Pending units, of which those that fit are placed until none is left that does."""

    deadline: Deadline
    estimates: Estimates
    gpus: int
    at_once: int
    left_out: dict[str, str] = field(default_factory=dict)  # models, each with the reason

    def run(self, units: list[Unit], placer: Placer, work: Callable[[dict[Key, int]], Work]) -> Outcome:
        """Place the units that fit until none is left that does.

        Args:
            work: Makes the work of units, each of which has so many rounds of its model to come, itself among them.

        Returns:
            What became of them; those that there was no time for are in `left_out` and nowhere else.
        """
        outcome, waiting = Outcome(), list(units)
        while chosen := self.choose(waiting, placer):
            groups = {unit.key: unit.whole for unit in chosen if unit.whole}
            made = placer.run(chosen, work(rounds(chosen, groups, max(self.gpus, self.at_once))))
            for unit, error in made.failed.items():
                if isinstance(error, OutOfTime):
                    self.leave_out(unit, error)
                else:
                    outcome.failed[unit] = error
            for unit, first in made.skipped.items():
                if first in outcome.failed:
                    outcome.skipped[unit] = first
                else:
                    self.left_out.setdefault(unit.whole or unit.title, f"it waits for {first.title}")
            gone = {unit.whole for unit in (*made.failed, *made.skipped) if unit.whole}
            waiting = [unit for unit in waiting if unit not in chosen and unit.whole not in gone]
        return outcome

    def choose(self, waiting: list[Unit], placer: Placer) -> list[Unit]:
        """The units to place now: all that fit where they run side by side, else those of one model.

        After each model it is looked again at what fits: by then more is known.
        """
        groups = {unit.key: unit.whole for unit in waiting if unit.whole}
        places = (self.gpus, math.inf if self.gpus else self.at_once) if placer.is_wide else (0, 1)
        made = admit(waiting, self.estimates.known(waiting), groups, self.deadline.left, *places)
        self.left_out |= made.left_out
        first = next((unit.whole for unit in made.units if unit.whole), "")
        if placer.is_wide or not first:
            return made.units
        last = max(i for i, unit in enumerate(made.units) if unit.whole == first)
        return made.units[: last + 1]

    def leave_out(self, unit: Unit, error: OutOfTime) -> None:
        """Note that there is no time for a unit, and so for its model."""
        self.left_out[unit.whole or unit.title] = str(error)
        if error.seconds is not None:
            self.estimates.note(unit, error.seconds)
