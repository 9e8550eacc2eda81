"""What fits into the time until a deadline: whole groups of units, such as all folds of a model, cheap ones first."""

import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from src.base.text import duration
from src.units.rates import sizes
from src.units.schedule import priority, simulate
from src.units.unit import Key, Unit, needs


@dataclass(frozen=True)
class Deadline:
    """A moment by the clock, which other processes and machines have too."""

    until: float  # of time.time()
    reserve: float = 0.0  # seconds for what comes behind the units: a blend, a submission and a report

    @property
    def left(self) -> float:
        """The seconds that units still have."""
        return max(0.0, self.until - self.reserve - time.time())

    def within(self, rounds: int) -> float:
        """The seconds that a unit which begins now may take, if its like take so many rounds: see `rounds`."""
        return self.left / rounds


@dataclass
class Admission:
    units: list[Unit] = field(default_factory=list)  # in the order in which they are to begin
    left_out: dict[str, str] = field(default_factory=dict)  # groups, each with the reason
    unmeasured: list[str] = field(default_factory=list)  # groups that are admitted to be measured while they run


def admit(
    units: Iterable[Unit],
    known: Mapping[Key, float],
    groups: Mapping[Key, str],
    left: float,
    gpus: float,
    cpus: float = math.inf,
) -> Admission:
    """Which pending units to run: the group that costs least first, and no group that does not fit as a whole.

    A group whose seconds are not all known is admitted, and counts as nothing: its units are told what they may take.
    So this is asked again once more is known.

    Args:
        known: The seconds of units whose rate was measured on this device.
        groups: The group of each unit that is of use only with the others of it. A unit without one is admitted with
            what waits for it; one that nothing waits for is a group by itself.
        left: The seconds that there are.
    """
    by_key = {unit.key: unit for unit in units}
    waits, size = needs(by_key.values()), sizes(by_key.values(), known)
    awaited = set().union(*waits.values())
    group_of = {key: unit.title for key, unit in by_key.items() if key not in awaited}
    group_of |= {key: groups[key] for key in by_key if key in groups}
    whole = {group: closure([key for key in group_of if group_of[key] == group], waits) for group in group_of.values()}
    made, place = Admission(), {}  # of each admitted unit: that of its group
    while whole:
        group = min(whole, key=lambda one: sum(size[key] for key in whole[one] - place.keys()))
        new = whole.pop(group) - place.keys()
        if why := reason(by_key, new, place.keys(), known, left, gpus, cpus):
            made.left_out[group] = why
        elif lacks := sorted({group_of[key] for key in new if key in group_of} & made.left_out.keys()):
            made.left_out[group] = f"it waits for {', '.join(lacks)}"
        else:
            place |= dict.fromkeys(new, len(place))
            made.unmeasured += [group] if new - known.keys() else []
    chosen = [unit for key, unit in by_key.items() if key in place]
    before = priority(chosen, size)
    made.units = sorted(chosen, key=lambda unit: (place[unit.key], -before[unit.key]))
    return made


def closure(keys: Iterable[Key], waits: Mapping[Key, set[Key]]) -> set[Key]:
    """The keys and those of all units that these wait for, also by way of others."""
    found, looked = set(), list(keys)
    while looked:
        if (key := looked.pop()) not in found:
            found.add(key)
            looked += waits[key]
    return found


def reason(
    units: Mapping[Key, Unit],
    new: Collection[Key],
    admitted: Collection[Key],
    known: Mapping[Key, float],
    left: float,
    gpus: float,
    cpus: float,
) -> str:
    """Why the new units do not fit beside those that are admitted; empty where they do, as far as that is known."""

    def makespan(keys: Iterable[Key]) -> float:
        some = [units[key] for key in units if key in keys]
        return simulate(some, {one.key: known.get(one.key, 0.0) for one in some}, gpus, cpus).makespan

    if left > 0 and makespan({*admitted, *new}) <= left:
        return ""
    alone, rest = makespan(new), left - makespan(admitted)
    about = f"about {duration(alone)} on this machine" if set(new) <= known.keys() else "not measured on this machine"
    return f"{about}, {duration(max(0.0, rest))} is left"


def rounds(units: Iterable[Unit], groups: Mapping[Key, str], devices: int) -> dict[Key, int]:
    """For each unit the rounds in which those of its group that are like it are run, from itself on in their order.

    Five folds on two devices: 3, 2, 2, 1, 1. A unit that takes no more than its part of the time that is left when it
    begins leaves enough for the others of its group.
    """
    behind: Counter[tuple] = Counter()
    found = {}
    for unit in reversed(list(units)):
        alike = (groups.get(unit.key, unit.key), unit.stage, unit.rate)
        behind[alike] += 1
        found[unit.key] = math.ceil(behind[alike] / max(1, devices))
    return found
