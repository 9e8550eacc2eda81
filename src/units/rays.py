"""Units as tasks of Ray: on all GPUs of this machine, side by side on its cores, or on a cluster."""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from src.base.files import explain_os_errors
from src.base.paths import submissions_root
from src.units import apart, lines, process
from src.units.cluster import Machines, connected
from src.units.inline import Inline
from src.units.placement import Placement
from src.units.processes import Processes
from src.units.unit import Outcome, Unit, Work, in_order


def nothing(unit: Unit) -> Collection[Path]:
    return ()


class Rays:
    """The placer of several devices. Ray runs only while units do."""

    is_wide = True

    def __init__(
        self,
        gpus: int = 0,
        at_once: int | None = None,
        address: str | None = None,
        inputs: Callable[[Unit], Collection[Path]] = nothing,
    ):
        """
        Args:
            gpus: So many of this machine's.
            at_once: Units side by side where there is no GPU, each with as many cores as the others; None: as many as
                there are cores for.
            address: `auto` or HOST:PORT of a cluster, in place of this machine alone.
            inputs: The files, below SUBMISSIONS_DIR, that a unit reads beside the outputs of pending units that it
                waits for: they are sent to machines that do not share the folder.
        """
        self.gpus, self.at_once, self.address = gpus, at_once, address
        self.inputs = inputs

    def run(self, units: Iterable[Unit], work: Work) -> Outcome:
        """As `Placer.run`: of units that may begin the first ones do. Where Ray does not start here, one at a time.

        An exception that is no UserError does not stop the others either: it is the unit's failure in the outcome.
        """
        if not (ordered := in_order(units)):
            return Outcome()
        with connected(self.gpus, self.address) as ray:
            if ray is None:
                return Inline().run(ordered, work)
            machines = Machines(ray.nodes())
            given = {unit: machines.need(unit, self.at_once) for unit in ordered if not unit.here}
            with self.home(ray) as home, lines.shown() as heard:
                processes = Processes(ray, machines.total, work, home)
                outcome = Placement(ordered, given, processes, work, self.inputs).run()
                heard.wait_for(processes.ended)
                return outcome

    @contextmanager
    def home(self, ray: ModuleType) -> Iterator[process.Home]:
        """What processes are told of this one; on a cluster a file is there by which they see whether they share it."""
        if self.address is None:
            yield process.Home(process.roots())
            return
        root = submissions_root().absolute()
        token = root / f".here-{secrets.token_hex(8)}"
        with explain_os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            token.touch()
        try:
            beside = ray.get_runtime_context().get_node_id()
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            shelf = ray.remote(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(beside, soft=False),
                runtime_env={"env_vars": process.environment(1, 0)},
            )(apart.Shelf).remote(root)
            try:
                yield process.Home(process.roots(), shelf, token)
            finally:
                ray.kill(shelf)
        finally:
            token.unlink(missing_ok=True)
