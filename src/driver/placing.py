"""Where units run: what the command line says, and what the machine has."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from src.base import machine, packages
from src.base.errors import UserError, counted
from src.base.threads import cores
from src.units.inline import Inline
from src.units.unit import Placer, Unit


@dataclass(frozen=True)
class Placing:
    """The options of a run that say where its units run, and until when. None: not given."""

    gpus: int | None = None  # at most so many of this machine's; 0: its CPU
    at_once: int | None = None  # units side by side on a CPU
    ray: str | None = None  # the address of a cluster, or "auto"
    hours: float | None = None
    started: float = field(default_factory=time.time)

    def __post_init__(self):
        if self.ray is not None and (self.gpus is not None or self.at_once is not None):
            raise UserError("--ray takes what the cluster has: leave out --gpus and --at-once")
        if self.at_once is not None and self.gpus:
            raise UserError("--at-once is of units on a CPU: leave it out, or --gpus")
        if self.at_once is not None and self.at_once > cores():
            raise UserError(f"--at-once {self.at_once}: this machine has {counted(cores(), 'core')}")

    @property
    def places(self) -> tuple[int, int]:
        """The GPUs that units run on, of this machine or the cluster, and how many run at once where there are none."""
        if self.ray is not None:
            from src.units.cluster import Machines, connected

            with connected(address=self.ray) as ray:
                total = Machines(ray.nodes()).total
            return int(total["GPU"]), max(1, int(total["CPU"]))
        gpus = 0 if self.gpus == 0 or self.at_once is not None else machine.gpus()
        return min(gpus, gpus if self.gpus is None else self.gpus), self.at_once or 1

    def placer(self, inputs: Callable[[Unit], Collection[Path]]) -> Placer:
        """What runs units here, with a line where that is not one after the other.

        Args:
            inputs: The files that machines of a cluster need for a unit: see `CompetitionWork.inputs`.

        Raises:
            UserError: The machine has fewer GPUs than were asked for.
        """
        if self.ray is not None:
            return self.rays(address=self.ray, inputs=inputs)
        if self.gpus == 0 or self.at_once is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch first looks
        there = machine.gpus()
        if self.gpus is not None and self.gpus > there:
            raise UserError(f"--gpus {self.gpus}: this machine has {counted(there, 'GPU')} that torch can use")
        wanted = there if self.gpus is None else self.gpus
        if wanted > 1:
            return self.rays(gpus=wanted)
        if self.at_once is not None and self.at_once > 1:
            return self.rays(at_once=self.at_once)
        return Inline()

    def rays(self, **options: object) -> Placer:
        """Ray's placer; where Ray is not installed, the one of one device, with a line that says what adds it."""
        if packages.unmet((packages.RAY,)):
            if self.ray is not None:
                raise UserError(f"--ray needs the package ray: pip install {packages.RAY}")
            print(f"units run one after the other, for want of ray: pip install {packages.RAY}")
            return Inline()
        from src.units.rays import Rays

        return Rays(**options)
