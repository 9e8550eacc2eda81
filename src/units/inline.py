"""Units one after the other in this process: as if there were no plan."""

import sys
import time
from collections.abc import Iterable

from src.base.errors import UserError
from src.base.files import DiskFull
from src.units.unit import NotDone, Outcome, OutOfTime, Unit, WholeFailed, Work, gone_with, in_order


class Inline:
    """The placer of one device."""

    is_wide = False

    def run(self, units: Iterable[Unit], work: Work) -> Outcome:
        """As `Placer.run`: the units in their order, each behind those that it waits for."""
        outcome, ordered = Outcome(), in_order(units)
        for i, unit in enumerate(ordered):
            if unit in outcome.skipped:
                continue
            try:
                start = time.perf_counter()
                work.run(unit)
                if not work.is_done(unit):
                    raise NotDone(f"{unit.title} has ended and its files do not say so: were they changed meanwhile?")
                work.settle(unit, time.perf_counter() - start)
            except UserError as error:
                rest = [other for other in ordered[i + 1 :] if other not in outcome.skipped]
                fail(unit, error, rest, outcome)
        return outcome


def fail(unit: Unit, error: UserError, rest: list[Unit], outcome: Outcome) -> None:
    """Note a unit's failure, and say what is skipped for it where anything else is left to do.

    Raises:
        DiskFull: That is its failure, and would be that of all others.
    """
    if isinstance(error, DiskFull):
        raise error
    outcome.failed[unit] = error
    outcome.skipped |= dict.fromkeys(skipped := gone_with(unit, error, rest), unit)
    if len(rest) == len(skipped):
        return
    if isinstance(error, OutOfTime):
        print(error)
        return
    print(f"error: {unit.title}: {error}", file=sys.stderr)
    why = "are of the same model, or wait for it" if isinstance(error, WholeFailed) else "wait for it"
    others = f"; skipped, since they {why}: {', '.join(one.title for one in skipped)}" if skipped else ""
    print(f"going on with the other units{others}", file=sys.stderr)
