"""When units run on so many GPUs and cores, and how soon they could be done at best: by their seconds, simulated."""

import heapq
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import NamedTuple

from src.base.errors import UserError
from src.units.unit import Key, Unit, needs

SLACK = 1e-9  # of sums of fractions of a GPU


@dataclass(frozen=True)
class Schedule:
    """Seconds from the start at which each unit begins and ends."""

    begins: dict[Key, float]
    ends: dict[Key, float]

    @property
    def makespan(self) -> float:
        """When the last unit ends."""
        return max(self.ends.values(), default=0.0)

    def busy(self, units: Iterable[Unit], gpus: float) -> float:
        """The share of the time until the last unit ends in which the GPUs compute; 0 where nothing takes time."""
        used = sum(unit.gpus * (self.ends[unit.key] - self.begins[unit.key]) for unit in units)
        return used / (gpus * self.makespan) if gpus * self.makespan > 0 else 0.0


def priority(units: Iterable[Unit], seconds: Mapping[Key, float]) -> dict[Key, float]:
    """For each unit the longest way from its start to the end of all that wait for it, in seconds.

    Placed by it, the largest first, units that wait for nothing and hold up nothing come longest first.
    """
    after = needs(units)
    longest = {key: seconds[key] for key in after}
    for key in reversed(list(TopologicalSorter(after).static_order())):
        for other in after[key]:
            longest[other] = max(longest[other], seconds[other] + longest[key])
    return longest


def simulate(
    units: Iterable[Unit],
    seconds: Mapping[Key, float],
    gpus: float,
    cpus: float = math.inf,
    first: Mapping[Key, float] | None = None,
) -> Schedule:
    """When units run whose seconds are known, placed as soon as they are ready and what they need is free.

    Args:
        gpus: Of all machines; 0: units compute on the cores.
        cpus: Of all machines; a unit that asks for more takes all of them. 1, without GPUs: one after the other.
        first: Of the ready ones the largest number begins first, if there is room for it; None: by `priority`.

    Raises:
        UserError: A unit needs more GPUs than there are.
    """
    by_key = {unit.key: unit for unit in units}
    waits = needs(by_key.values())
    first = priority(by_key.values(), seconds) if first is None else first
    order = {key: place for place, key in enumerate(sorted(by_key, key=lambda key: -first[key]))}
    wanted = {key: demand(unit, gpus, cpus) for key, unit in by_key.items()}
    for key, unit in by_key.items():
        if wanted[key].gpus > gpus:
            raise UserError(f"{unit.title} needs {unit.gpus:g} GPUs, and there are {gpus:g}")
    holds_up: dict[Key, list[Key]] = {key: [] for key in by_key}
    for key, others in waits.items():
        for other in others:
            holds_up[other].append(key)
    ready: dict[Demand, list[tuple[int, Key]]] = {one: [] for one in wanted.values()}  # heaps: of one demand all fit
    for key in (key for key in by_key if not waits[key]):
        heapq.heappush(ready[wanted[key]], (order[key], key))
    begins, ends, running, now, free = {}, {}, [], 0.0, Demand(gpus, cpus)
    while True:
        while fitting := [heap for one, heap in ready.items() if heap and one.fits(free)]:
            _, key = heapq.heappop(min(fitting))
            free = free.less(wanted[key])
            begins[key], ends[key] = now, now + seconds[key]
            heapq.heappush(running, (ends[key], order[key], key))
        if not running:
            return Schedule(begins, ends)
        now, _, key = heapq.heappop(running)
        free = free.less(wanted[key], -1)
        for other in holds_up[key]:
            waits[other].remove(key)
            if not waits[other]:
                heapq.heappush(ready[wanted[other]], (order[other], other))


class Demand(NamedTuple):
    """What a unit takes while it runs, or what is free."""

    gpus: float
    cores: float

    def fits(self, free: "Demand") -> bool:
        return self.gpus <= free.gpus + SLACK and self.cores <= free.cores + SLACK

    def less(self, other: "Demand", times: int = 1) -> "Demand":
        return Demand(self.gpus - times * other.gpus, self.cores - times * other.cores)


def demand(unit: Unit, gpus: float, cpus: float) -> Demand:
    """What the unit takes while it runs; none of it where it is run by the process that places."""
    return Demand(0, 0) if unit.here else Demand(unit.gpus if gpus else 0, min(unit.cpus, cpus))


def least_makespan(units: Iterable[Unit], seconds: Mapping[Key, float], gpus: float, cpus: float = math.inf) -> float:
    """A time before which the units cannot be done, however they are placed: the largest of what holds for each part.

    These are the longest way through units that wait for each other, and the work on the GPUs (and on the cores) by
    their number. On GPUs there is before it what all of these units wait for, and after it what waits for all of them;
    and the units that need a GPU each come in rounds: five alike on four GPUs take two.
    """
    units = list(units)
    after = priority(units, seconds)
    before = {key: end - seconds[key] for key, end in earliest_ends(units, seconds).items()}
    bounds = [max(after.values(), default=0.0)]
    bounds.append(sum(seconds[unit.key] * demand(unit, gpus, cpus).cores for unit in units) / cpus)
    on_gpu = [unit for unit in units if demand(unit, gpus, cpus).gpus]
    for start in {before[unit.key] for unit in on_gpu}:
        late = [unit for unit in on_gpu if before[unit.key] >= start]
        rest = min(after[unit.key] - seconds[unit.key] for unit in late)
        area = sum(unit.gpus * seconds[unit.key] for unit in late) / gpus
        whole = rounds([seconds[unit.key] for unit in late if unit.gpus >= 1], int(gpus))
        bounds.append(start + max(area, whole) + rest)
    return max(bounds)


def earliest_ends(units: Collection[Unit], seconds: Mapping[Key, float]) -> dict[Key, float]:
    """For each unit the longest way from the start of all to its own end, in seconds."""
    after, ends = needs(units), {}
    for key in TopologicalSorter(after).static_order():
        ends[key] = seconds[key] + max((ends[other] for other in after[key]), default=0.0)
    return ends


def rounds(seconds: Iterable[float], machines: int) -> float:
    """A time within which so many machines cannot do pieces of these seconds, one at a time each.

    Of k x machines + 1 pieces one machine has at least k + 1, and these take at least what the k + 1 shortest take.
    """
    longest = sorted(seconds, reverse=True)
    tops = range(0, len(longest), machines) if machines else ()
    return max((sum(longest[top - k : top + 1]) for k, top in enumerate(tops)), default=0.0)
