"""A placer that runs units in any order, as on several devices, and a work of which a process is killed."""

import itertools
import os
import pickle
import random
import signal
from pathlib import Path
from typing import Any

from src.driver.work import CompetitionWork
from src.units.unit import Outcome, Unit, needs


class Shuffled:
    """A wide placer that runs a ready unit at random, each as if in a process of its own."""

    is_wide = True

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.order = []

    def run(self, units, work):
        waiting, done, outcome = {unit.key: unit for unit in units}, set(), Outcome()
        before = needs(waiting.values())
        while ready := [unit for key, unit in waiting.items() if before[key] <= done]:
            unit = waiting.pop(self.random.choice(ready).key)
            self.order.append(unit.title)
            try:
                (work if unit.here else copied(work)).run(unit)
            except Exception as error:  # noqa: BLE001 as Rays
                outcome.failed[unit] = error
                continue
            assert work.is_done(unit)
            work.settle(unit, 0.0)
            done.add(unit.key)
        assert outcome.failed or not waiting
        return outcome


def copied(work):
    return pickle.loads(pickle.dumps(work))  # noqa: S301 our own


class Dying(CompetitionWork):
    """The process that first trains by one unit is killed after a few steps."""

    def __init__(self, title: str, killed: Path, *arguments: Any, **options: Any):
        """`killed`: a file that is there when that has been so."""
        super().__init__(*arguments, **options)
        self.title, self.killed = title, killed

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"title": self.title, "killed": self.killed}

    def run(self, unit: Unit) -> None:
        if unit.title == self.title and not self.killed.exists():
            from src.models.finetune.training import Training

            train_step, calls = Training.train_step, itertools.count()

            def dying(*arguments: Any) -> None:
                if next(calls) == 4:
                    self.killed.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                train_step(*arguments)

            Training.train_step = dying
        super().run(unit)
