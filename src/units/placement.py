"""Pending units on their way through the processes of a cluster: begun when they may, retried when those are lost."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from src.base.errors import UserError
from src.base.interrupts import StopRequest, deferred_signals
from src.base.progress import LINE_INTERVAL_S
from src.units import apart, process
from src.units.cluster import Need, first_line, host
from src.units.inline import fail
from src.units.unit import NotDone, Outcome, Unit, Work, needs

AHEAD = 2  # times what there is: so much is asked of Ray at a time, so that no device waits while this process settles
RETRIES = 3  # of a unit whose process was lost


@dataclass(eq=False)
class Keeper:
    """A process that is kept from one unit to the next, and what it was given to do."""

    actor: Any
    keeps: str
    need: Need
    sake: Unit  # for which it was hired
    host: str | None = None  # its machine; None: it is on none yet
    units: list[Unit] = field(default_factory=list)  # that it runs, and will run


@dataclass(frozen=True, eq=False)
class Begun:
    """What a reference of Ray is the answer of."""

    unit: Unit | None  # None: it is of a keeper's start
    need: Need
    keeper: Keeper | None = None


class Placement:
    """Units and where they are. `running` has a reference for each that Ray was asked to run."""

    def __init__(
        self,
        ray: ModuleType,
        given: Mapping[Unit, Need],
        total: Mapping[str, float],
        home: process.Home,
        cost: Callable[[Unit], float],
        inputs: Callable[[Unit], Collection[Path]],
    ):
        """`given`: what each gets; `total`: of all machines; `inputs`: see `Rays`."""
        self.ray, self.given, self.total, self.home, self.cost, self.inputs = ray, given, total, home, cost, inputs
        self.functions: dict[Need, Any] = {}
        self.running: dict[Any, Begun] = {}
        self.keepers: list[Keeper] = []
        self.losses: Counter[Unit] = Counter()
        self.outcome, self.printed = Outcome(), time.monotonic()

    def run(self, units: list[Unit], work: Work) -> Outcome:
        """Have the units run, each after those that it waits for: see `Placer.run`."""
        self.work, self.n = work, len(units)
        self.waiting = dict.fromkeys(units)  # not begun, or to be begun again
        self.needs, self.unfinished = needs(units), {unit.key for unit in units}
        self.outputs: dict[tuple, list[str]] = {}  # of what was done by now, by key
        with deferred_signals() as request:
            try:
                while self.waiting or self.running:
                    self.step(request)
            except BaseException:
                self.stop(request)
                raise
        return self.outcome

    def step(self, request: StopRequest) -> None:
        """Begin what may begin, and go on with what has ended."""
        ready = sorted((unit for unit in self.waiting if self.is_ready(unit)), key=lambda unit: -self.cost(unit))
        for unit in ready:
            if not unit.here:
                self.begin(unit)
        self.dismiss({unit.keeps for unit in ready if unit in self.waiting})
        here = next((unit for unit in ready if unit.here), None)
        if here is not None:
            del self.waiting[here]
            self.ended(here, self.run_here(here))
        elif self.running:
            for reference in self.wait(request, 1):
                self.answered(reference)
        request.raise_if_set()
        self.tell()

    def is_ready(self, unit: Unit) -> bool:
        return not self.needs[unit.key] & self.unfinished

    def wait(self, request: StopRequest, n: int) -> list[Any]:
        """The references that are answered, once so many are; a signal ends the waiting at once."""
        request.waiting = True
        try:
            request.raise_if_set()
            return self.ray.wait(list(self.running), num_returns=n)[0]
        finally:
            request.waiting = False

    def begin(self, unit: Unit) -> None:
        """Ask Ray to run a unit, if there is room; what is for a keeper waits until one is at hand."""
        need = self.given[unit]
        if not unit.keeps:
            if self.has_room(need):
                run = self.function(need).options(name=unit.title)
                self.note(unit, run.remote(self.work, unit, self.home, self.files(unit)), Begun(unit, need))
            return
        crew = [keeper for keeper in self.keepers if (keeper.keeps, keeper.need) == (unit.keeps, need)]
        free = min((one for one in crew if one.host), key=lambda one: len(one.units), default=None)
        if free is not None and len(free.units) < AHEAD:
            free.units.append(unit)
            self.note(unit, free.actor.run.remote(unit, self.files(unit)), Begun(unit, need, free))
        elif all(keeper.host for keeper in crew) and self.has_room(need):
            self.hire(unit, need)

    def note(self, unit: Unit, reference: Any, begun: Begun) -> None:
        self.running[reference] = begun
        del self.waiting[unit]

    def has_room(self, need: Need) -> bool:
        """Whether Ray is to be asked for more."""
        held = [begun.need for begun in self.running.values() if begun.unit and not begun.keeper]
        held += [keeper.need for keeper in self.keepers]
        used = {name: sum(one.demand[name] for one in held) for name in self.total}
        return all(used[name] + n <= AHEAD * self.total[name] for name, n in need.demand.items())

    def function(self, need: Need) -> Any:
        """What runs units of a need: a process each on a GPU, since one that is used again keeps its first GPU."""
        if need not in self.functions:
            calls = {"max_calls": 1} if need.gpus else {}
            self.functions[need] = self.remote(process.run_unit, need, max_retries=0, **calls)
        return self.functions[need]

    def remote(self, what: Any, need: Need, **options: Any) -> Any:
        asked = {"num_gpus": need.gpus, "num_cpus": need.cpus, "memory": need.memory}
        environment = {"env_vars": process.environment(need.cores, need.gpus)}
        return self.ray.remote(**asked, runtime_env=environment, **options)(what)

    def hire(self, unit: Unit, need: Need) -> None:
        actor = self.remote(process.Keeper, need).remote(f"{unit.stage} {unit.keeps}", self.work, self.home)
        keeper = Keeper(actor, unit.keeps, need, unit)
        self.keepers.append(keeper)
        self.running[actor.begin.remote()] = Begun(None, need, keeper)

    def dismiss(self, wanted: Collection[str]) -> None:
        """End the keepers that have nothing to do, unless a unit that may begin keeps the same."""
        for keeper in list(self.keepers):
            if not keeper.units and keeper.keeps not in wanted:
                self.let_go(keeper)

    def let_go(self, keeper: Keeper) -> None:
        self.keepers.remove(keeper)
        self.ray.kill(keeper.actor)
        starts = [one for one, begun in self.running.items() if begun.keeper is keeper and begun.unit is None]
        for reference in starts:
            del self.running[reference]

    def files(self, unit: Unit) -> list[str]:
        """The files that a machine without this one's folder has to have, as they are called below it."""
        if self.home.shelf is None:
            return []
        found = apart.names(self.inputs(unit))
        for key in self.needs[unit.key]:
            found += self.outputs.get(key, [])
        return list(dict.fromkeys(found))

    def run_here(self, unit: Unit) -> process.Report:
        start = time.perf_counter()
        try:
            self.work.run(unit)
        except UserError as error:
            return process.Report(host(), time.perf_counter() - start, error)
        return process.Report(host(), time.perf_counter() - start)

    def answered(self, reference: Any) -> None:
        """Go on with what Ray says of a unit, or of a keeper's start."""
        begun = self.running.pop(reference, None)
        if begun is None:  # of a keeper that was let go
            return
        unit, keeper = begun.unit, begun.keeper
        try:
            answer = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if unit is None:
                raise
            answer = error
        except self.ray.exceptions.RayError as error:
            self.lost(unit, keeper, error)
            return
        if unit is None:
            keeper.host = answer
            return
        if keeper:
            keeper.units.remove(unit)
        if isinstance(answer, process.Report):
            self.ended(unit, answer)
        else:
            self.failed(unit, answer)

    def lost(self, unit: Unit | None, keeper: Keeper | None, error: BaseException) -> None:
        """Begin a unit again whose process was lost, which goes on where its files are; not more than three times."""
        if keeper in self.keepers:
            self.keepers.remove(keeper)
        if unit is None:
            raise error
        if keeper is None or keeper.units[0] is unit:  # what was behind it had not begun
            self.losses[unit] += 1
        if keeper:
            keeper.units.remove(unit)
        where = keeper.host if keeper else self.where(unit)
        if self.losses[unit] > RETRIES:
            said = f"its process was lost {self.losses[unit]} times, the last time on {where}: {first_line(error)}"
            self.failed(unit, UserError(f"{unit.title}: {said}"))
            return
        print(f"{unit.title}: its process was lost on {where}, it is begun again: {first_line(error)}", file=sys.stderr)
        self.waiting[unit] = None

    def where(self, unit: Unit) -> str:
        """The machine on which a unit was begun last."""
        if self.home.shelf is None:
            return host()
        return self.ray.get(self.home.shelf.where.remote(unit.title))

    def ended(self, unit: Unit, report: process.Report) -> None:
        """Go on with what waits for a unit, if its files say that it is done."""
        try:
            if report.error is not None:
                raise report.error
            if not self.work.is_done(unit):
                raise NotDone(
                    f"{unit.title} has ended on {report.host} and its files here do not say so: was it made by other"
                    " code or other versions of packages there?"
                )
            self.work.settle(unit, report.seconds)
            if self.home.shelf is not None:
                self.outputs[unit.key] = apart.names(self.work.outputs(unit))
            self.unfinished.discard(unit.key)
        except UserError as error:
            self.failed(unit, error)

    def failed(self, unit: Unit, error: BaseException) -> None:
        rest = [*self.waiting, *(begun.unit for begun in self.running.values() if begun.unit)]
        fail(unit, error, rest, self.outcome)
        for other in self.outcome.skipped:
            self.waiting.pop(other, None)

    def tell(self) -> None:
        """Say how far the units are, not more often than other progress does."""
        if (now := time.monotonic()) - self.printed < LINE_INTERVAL_S:
            return
        self.printed = now
        running = [begun.unit.title for begun in self.running.values() if begun.unit]
        done = self.n - len(self.unfinished)
        print(f"units  {done}/{self.n} done; at work or next: {', '.join(running)}", flush=True)

    def stop(self, request: StopRequest) -> None:
        """Have all that runs save what it has, and wait for that; once more: end it."""
        for keeper in list(self.keepers):  # what these have made is whole, or is not there
            self.let_go(keeper)
        self.running = {one: begun for one, begun in self.running.items() if not begun.keeper}
        for reference in self.running:
            self.ray.cancel(reference)
        try:
            request.waiting = True
            if self.running:
                self.ray.wait(list(self.running), num_returns=len(self.running))
        except KeyboardInterrupt:
            for reference in self.running:
                self.ray.cancel(reference, force=True)
            raise
