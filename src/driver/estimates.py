"""How long a run takes on this machine: by the rates that its finished units had."""

from collections.abc import Iterable
from functools import cached_property

from src.base import machine
from src.base.paths import submissions_root
from src.units.rates import Rates, sizes
from src.units.schedule import priority, simulate
from src.units.unit import Key, Unit


class Estimates:
    """The rates of submissions/rates.csv, which all competitions share, on this machine's device."""

    @cached_property
    def rates(self) -> Rates:
        return Rates(submissions_root() / "rates.csv")

    @cached_property
    def device(self) -> str:
        return machine.device_name()

    def known(self, units: Iterable[Unit]) -> dict[Key, float]:
        """The seconds of those units whose rate was measured here; those that take no time to speak of take none."""
        units = list(units)
        return {unit.key: 0.0 for unit in units if unit.here or not unit.work} | self.rates.of(units, self.device)

    def note(self, unit: Unit, seconds: float) -> None:
        """Keep how long a unit took, or would take at its pace."""
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
