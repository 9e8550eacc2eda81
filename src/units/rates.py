"""How much of a unit's work a device does a second: measured on finished units, and kept in a file."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError
from src.base.files import write_text
from src.base.locks import locked
from src.units.unit import Key, Unit

KEPT = 5  # of a rate on a device: what is newest tells best, and their median forgives one that was disturbed


@dataclass(frozen=True)
class Measurement:
    rate: str  # a unit's
    device: str  # its name: "NVIDIA H100 80GB HBM3"
    work: float
    seconds: float


TYPES = {"rate": str, "device": str, "work": float, "seconds": float}


class Rates:
    """The measurements of a file, the newest last; several processes may add to it at a time.

    Raises:
        UserError: The file is none of ours.
    """

    def __init__(self, path: Path):
        self.path = path
        self.known = read(path)

    def seconds(self, unit: Unit, device: str) -> float | None:
        """How long the unit takes on the device; None: no unit of its rate was measured there."""
        found = [one.seconds / one.work for one in self.known if (one.rate, one.device) == (unit.rate, device)]
        return unit.work * median(found) if unit.rate and found else None

    def of(self, units: Iterable[Unit], device: str) -> dict[Key, float]:
        """The seconds of those units whose rate was measured on the device."""
        return {unit.key: s for unit in units if (s := self.seconds(unit, device)) is not None}

    def add(self, unit: Unit, device: str, seconds: float) -> None:
        """Note how long the whole of a unit took there; nothing of a unit without a rate, or without work.

        Raises:
            UserError: The disk is full or the folder is not writable.
        """
        seconds = round(seconds, 3)
        if not unit.rate or unit.work <= 0 or seconds <= 0:
            return
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            known = [*read(self.path), Measurement(unit.rate, device, unit.work, seconds)]
            same = [i for i, one in enumerate(known) if (one.rate, one.device) == (unit.rate, device)]
            self.known = [one for i, one in enumerate(known) if i not in same[:-KEPT]]
            df = pd.DataFrame([asdict(one) for one in self.known], columns=list(TYPES))
            write_text(self.path, df.to_csv(index=False, lineterminator="\n"))


def read(path: Path) -> list[Measurement]:
    """Read the measurements in the order of the file; none without a file."""
    if not path.is_file():
        return []
    df = read_csv(path)
    try:
        if list(df.columns) != list(TYPES):
            raise ValueError(f"its columns are {', '.join(df.columns)}")
        rows = df.to_dict("records")
        found = [Measurement(**{name: kind(row[name]) for name, kind in TYPES.items()}) for row in rows]
        if odd := [one for one in found if not (0 < one.work < math.inf and 0 < one.seconds < math.inf)]:
            raise ValueError(f"{odd[0].rate} has a work of {odd[0].work} in {odd[0].seconds} seconds")
        return found
    except ValueError as error:
        raise UserError(f"{path} is no table of measured rates ({error}): move it away") from error


def sizes(units: Iterable[Unit], known: Mapping[Key, float]) -> dict[Key, float]:
    """A number for each unit by which they are put in order, and which is no time to be shown: longest first.

    That is its seconds where these are known; else its work, at the median rate of the units of its stage whose seconds
    are known, or of all such units.
    """
    units = list(units)
    each = [(unit.stage, known[unit.key] / unit.work) for unit in units if known.get(unit.key) and unit.work > 0]

    def guess(unit: Unit) -> float:
        near = [one for stage, one in each if stage == unit.stage] or [one for _, one in each]
        return unit.work * (median(near) if near else 1.0)

    return {unit.key: known[unit.key] if unit.key in known else guess(unit) for unit in units}
