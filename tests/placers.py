"""A placer that runs units in any order, as on several devices."""

import pickle
import random

from src.units.unit import Outcome, needs


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
