"""How long corn's whole plan takes on so many GPUs, beside what no order of its units could beat: nothing is run.

The seconds of a unit are its FLOP at one rate for all networks, and a start. So the hours are rough; the ratios, which
depend on how long the units are beside each other, are not.
"""

import json
from pathlib import Path

import numpy as np

from src import config, stages
from src.base.text import align, duration
from src.data.rows import Dataset, Rows
from src.stages import ASKED, WITH_UNITS
from src.units.schedule import least_makespan, simulate
from src.units.unit import Key, Unit

GPUS = (1, 2, 4, 8, 40)
RATE = 60e12  # FLOP/s, which is about what an A100 sustains
START_S = 10.0  # of a process: imports and the network
TRAIN, TEST = 14_322, 3_479  # corn's rows
HEAD = ("GPUs", "at best", "by what waits", "longest first", "as they come", "busy")


def run(quick: bool = False) -> int:
    units = plan("corn")
    seconds = {unit.key: 0.0 if unit.here else START_S + unit.work / RATE for unit in units}
    print(f"{len(units)} units, {duration(sum(seconds.values()))} one after the other, the longest {longest(seconds)}")
    lines = [compare(units, seconds, gpus) for gpus in (GPUS[:2] if quick else GPUS)]
    print("\n".join(align([HEAD, *(row for row, _ in lines)])))
    for _, line in lines:
        print(json.dumps({"bench": "makespan", **line}))
    return 0


def plan(name: str) -> list[Unit]:
    """All units of a competition's stages, as if nothing were done, with rows that are made up."""
    competition, data = config.load(name), made_up(TRAIN, TEST)
    names = [stage for stage in WITH_UNITS if stage not in ASKED]
    return [unit for stage in names for unit in stages.module(stage).Work(competition, data).units()]


def made_up(train: int, test: int, folds: int = 5) -> Dataset:
    """Rows without pictures, of which nothing is asked but how many they are, and that no two are alike."""
    ids = [f"{i:064x}" for i in range(train + test)]
    every = Rows(ids, [Path()] * len(ids), ids, np.zeros((len(ids), 2)))
    learnt, tested = every.take(np.arange(train)), every.take(np.arange(train, len(ids)))
    return Dataset(learnt, np.zeros(train, int), tested, fold=np.arange(train) % folds, folds_sha="")


def longest(seconds: dict[Key, float]) -> str:
    key = max(seconds, key=seconds.get)
    return f"{' '.join(map(str, key))} ({duration(seconds[key])})"


def compare(units: list[Unit], seconds: dict[Key, float], gpus: int) -> tuple[list[str], dict[str, float]]:
    """A row of the table and its line: the makespan of three orders, and how busy the GPUs are in the first."""
    best = least_makespan(units, seconds, gpus)
    orders = {"priority": None, "longest": seconds, "listed": {unit.key: -i for i, unit in enumerate(units)}}
    made = {name: simulate(units, seconds, gpus, first=first) for name, first in orders.items()}
    ratios = {name: one.makespan / best for name, one in made.items()}
    cells = [f"{duration(one.makespan)} ({ratios[name]:.3f})" for name, one in made.items()]
    busy = made["priority"].busy(units, gpus)
    line = {"gpus": gpus, "least_s": best, **ratios, "busy": busy}
    return [str(gpus), duration(best), *cells, f"{busy:.0%}"], {name: round(value, 4) for name, value in line.items()}
