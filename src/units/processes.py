"""The processes that Ray was asked for, and the units that it was asked to run in them."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from src.base.errors import UserError
from src.base.interrupts import StopRequest
from src.units import process
from src.units.cluster import Need, first_line, host, refuses
from src.units.unit import Unit, Work

AHEAD = 2  # times what there is: so much is asked of Ray at a time, so that no device waits while this process settles
AGAIN_S = 60  # after which a unit is told once more to end: Ray can lose the interrupt of one that is about to begin
LOOK_S = 2  # between two looks at whether Ray is still there, while nothing is answered


@dataclass(eq=False)
class Keeper:
    """A process that is kept from one unit to the next that keeps the same."""

    actor: Any
    need: Need
    sake: Unit  # for which it was hired
    host: str | None = None  # its machine; None: it is on none yet
    units: list[Unit] = field(default_factory=list)  # the one that it runs, and those behind it


@dataclass(frozen=True, eq=False)
class Begun:
    """What a reference of Ray is the answer of."""

    unit: Unit | None  # None: it is of a keeper's start
    need: Need
    keeper: Keeper | None = None


@dataclass(frozen=True)
class Lost:
    """A process has ended before its unit did."""

    host: str
    why: str
    at_work: bool  # whether the unit was, and not behind another


Answer = process.Report | Lost | Exception  # the last one is a bug's


class Processes:
    def __init__(self, ray: ModuleType, total: Mapping[str, float], work: Work, home: process.Home):
        """`total`: what all machines have."""
        self.ray, self.total, self.work, self.home = ray, total, work, home
        self.functions: dict[Need, Any] = {}
        self.begun: dict[Any, Begun] = {}  # by references that are not answered
        self.told: dict[Any, float] = {}  # references whose units were told to end, and when
        self.keepers: list[Keeper] = []
        self.ended: set[str] = set()  # the titles of units that were not lost

    @property
    def units(self) -> list[Unit]:
        """Those that Ray was asked to run."""
        return [begun.unit for begun in self.begun.values() if begun.unit is not None]

    def begin(self, unit: Unit, need: Need, files: Callable[[], Collection[str]]) -> bool:
        """Ask for a unit to be run, if there is room: whether it was. What keeps something waits for a keeper."""
        if not unit.keeps:
            if has_room := self.has_room(need):
                run = self.function(need).options(name=unit.title)  # with which Ray begins its lines
                self.begun[run.remote(self.work, unit, self.home, files())] = Begun(unit, need)
            return has_room
        crew = [keeper for keeper in self.keepers if (keeper.sake.keeps, keeper.need) == (unit.keeps, need)]
        free = min((one for one in crew if one.host), key=lambda one: len(one.units), default=None)
        if free is not None and len(free.units) < AHEAD:
            self.begun[free.actor.run.remote(unit, files())] = Begun(unit, need, free)
            free.units.append(unit)
            return True
        if all(keeper.host for keeper in crew) and self.has_room(need):
            self.hire(unit, need)
        return False

    def has_room(self, need: Need) -> bool:
        held = [begun.need for begun in self.begun.values() if begun.keeper is None]
        held += [keeper.need for keeper in self.keepers]
        used = {name: sum(one.demand[name] for one in held) for name in self.total}
        return all(used[name] + n <= AHEAD * self.total[name] for name, n in need.demand.items())

    def function(self, need: Need) -> Any:
        """What runs units of a need: on a GPU each in a process of its own, since one that has seen a GPU keeps it."""
        if need not in self.functions:
            calls = {"max_calls": 1} if need.gpus else {}
            self.functions[need] = self.remote(process.run_unit, need, max_retries=0, **calls)
        return self.functions[need]

    def hire(self, unit: Unit, need: Need) -> None:
        actor = self.remote(process.Keeper, need).remote(f"{unit.stage} {unit.keeps}", self.work, self.home)
        self.keepers.append(Keeper(actor, need, unit))
        self.begun[actor.begin.remote()] = Begun(None, need, self.keepers[-1])

    def remote(self, what: Any, need: Need, **options: Any) -> Any:
        asked = {"num_gpus": need.gpus, "num_cpus": need.cpus, "memory": need.memory}
        environment = {"env_vars": process.environment(need.cores, need.gpus)}
        return self.ray.remote(**asked, runtime_env=environment, **options)(what)

    def dismiss(self, wanted: Collection[str]) -> None:
        """End the keepers that have nothing to do, unless they keep what is wanted."""
        for keeper in list(self.keepers):
            if not keeper.units and keeper.sake.keeps not in wanted:
                self.let_go(keeper)

    def let_go(self, keeper: Keeper) -> None:
        self.keepers.remove(keeper)
        self.ray.kill(keeper.actor)
        self.begun = {one: begun for one, begun in self.begun.items() if begun.keeper is not keeper}

    def wait(self, request: StopRequest, all_of_them: bool = False) -> list[Any]:
        """The references that are answered, once one is, or all of them; a signal ends the waiting at once.

        Raises:
            UserError: Ray has ended, and will answer none; where all are waited for that is no error.
        """
        request.waiting = True
        try:
            if not all_of_them:
                request.raise_if_set()  # one that came just before
            references = list(self.begun)
            n = len(references) if all_of_them else 1
            self.tell_again()
            while len(answered := self.ray.wait(references, num_returns=n, timeout=LOOK_S)[0]) < n:
                self.tell_again()
                if not self.is_there():
                    if all_of_them:
                        break
                    raise UserError(f"Ray has ended on {host()}: the same command again goes on from what is saved")
            return answered
        finally:
            request.waiting = False

    def is_there(self) -> bool:
        """Whether Ray is still there on this machine, by which this process reaches all others."""
        context = self.ray.get_runtime_context()
        if self.home.shelf is None and refuses(context.gcs_address):  # to ask for the nodes would take a minute
            return False
        own = context.get_node_id()
        return any(node["Alive"] for node in self.ray.nodes() if node["NodeID"] == own)

    def answer(self, reference: Any) -> tuple[Unit, Answer] | None:
        """What Ray says of a unit; None: a keeper is ready for units."""
        begun = self.begun.pop(reference)
        self.told.pop(reference, None)
        unit, keeper = begun.unit, begun.keeper
        try:
            answer = self.ray.get(reference)
        except self.ray.exceptions.TaskCancelledError:  # which is a RayTaskError too, where the unit was at work
            answer = Lost(self.where(begun), "it was told to end", at_work=True)
        except self.ray.exceptions.RayTaskError as error:
            answer = error
        except self.ray.exceptions.RayError as error:
            at_work = keeper is None or keeper.units[:1] in ([], [unit])
            answer = Lost(self.where(begun), first_line(error).partition(" Check ")[0], at_work)
        if keeper and isinstance(answer, Lost) and keeper in self.keepers:
            self.keepers.remove(keeper)
        if unit is None:
            if not isinstance(answer, str):
                return keeper.sake, answer
            keeper.host = answer
            return None
        if keeper:
            keeper.units.remove(unit)
        if not isinstance(answer, Lost):
            self.ended.add(unit.title)
        return unit, answer

    def where(self, begun: Begun) -> str:
        """The machine on which something was lost."""
        if self.home.shelf is None:
            return host()
        if begun.keeper is not None:
            return begun.keeper.host or "a machine on which it did not begin"
        return self.ray.get(self.home.shelf.where.remote(begun.unit.title))

    def cancel(self, units: Collection[Unit]) -> None:
        """Have those of the units that are begun save what they have, and end: their processes are lost."""
        for reference, begun in self.begun.items():
            if begun.unit in units and begun.keeper is None:
                self.tell(reference)

    def tell(self, reference: Any) -> None:
        """Have a unit save what it has, and end."""
        self.told[reference] = time.monotonic()
        self.ray.cancel(reference)

    def tell_again(self) -> None:
        """Tell those that were told to end long ago, and have not, once more; one that still saves ends at once."""
        for reference, when in self.told.items():
            if time.monotonic() - when > AGAIN_S:
                self.tell(reference)

    def stop(self, request: StopRequest) -> None:
        """Have all that runs save what it has, and wait until it has ended; a second signal does not wait."""
        for keeper in list(self.keepers):  # what these have made is whole, or is not there
            self.let_go(keeper)
        for reference in self.begun:
            self.tell(reference)
        try:
            if self.begun:
                self.wait(request, all_of_them=True)
        except KeyboardInterrupt:
            for reference in self.begun:
                self.ray.cancel(reference, force=True)
            raise
