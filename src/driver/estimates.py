"""How long a run takes on this machine: by the rates that its finished units had."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property

from src.base import machine
from src.base.errors import UserError
from src.base.paths import submissions_root
from src.units.rates import Rates, sizes
from src.units.schedule import priority, simulate
from src.units.unit import Key, Unit


class Estimates:
    """The rates of submissions/rates.csv, which all competitions share, on this machine's device.

    A file that is damaged or cannot be written costs a line, and no run: without rates less is known before it runs.
    """

    def __init__(self):
        self.is_broken = False

    @cached_property
    def rates(self) -> Rates:
        return Rates(submissions_root() / "rates.csv")

    @contextmanager
    def forgiven(self) -> Iterator[None]:
        """Do without rates from the first error of their file on, which is printed."""
        try:
            yield
        except UserError as error:
            self.is_broken = True
            print(f"how long units take is not known, nor kept: {error}")

    @cached_property
    def device(self) -> str:
        return machine.device_name()

    def known(self, units: Iterable[Unit]) -> dict[Key, float]:
        """The seconds of those units whose rate was measured here; those that take no time to speak of take none."""
        units, measured = list(units), {}
        if not self.is_broken:
            with self.forgiven():
                measured = self.rates.of(units, self.device)
        return {unit.key: 0.0 for unit in units if unit.here or not unit.work} | measured

    def note(self, unit: Unit, seconds: float) -> None:
        """Keep how long a unit took, or would take at its pace."""
        if not self.is_broken:
            with self.forgiven():
                self.rates.add(unit, self.device, seconds)

    def longest_first(self, units: Iterable[Unit]) -> list[Unit]:
        """The units, first those from whose start it is longest to the end of all that wait for them."""
        units = list(units)
        before = priority(units, sizes(units, self.known(units)))
        return sorted(units, key=lambda unit: -before[unit.key])

    def together(self, units: list[Unit], gpus: int, at_once: int) -> float:
        """The seconds for the units whose rates are known: so many at once on GPUs, or else on the CPU."""
        known = self.known(units)
        some = [unit for unit in units if unit.key in known]
        return simulate(some, known, gpus, at_once if not gpus else float("inf")).makespan
