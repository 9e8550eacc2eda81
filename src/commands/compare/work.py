"""Cells as units of work: those of all data sets side by side, on all GPUs of a machine or on a cluster."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from src.base import locks
from src.base.errors import UserError
from src.commands.compare import contenders
from src.commands.compare.cells import Cell, Holdout, split
from src.data.rows import Dataset
from src.driver.work import CompetitionWork
from src.models.finetune.cost import rate_of, run_cost
from src.models.work import FITTED
from src.networks import features
from src.networks.flops import flops
from src.results import shards
from src.schema.competition import Competition
from src.units.unit import Unit

STAGE = "compare"  # the first of a unit's names; the others are its data set and its cell


class CellWork:
    """The units of cells. In another process it begins with their competitions, and reads the rows."""

    def __init__(self):
        self.take((), {})

    def take(self, cells: Iterable[Cell], digests: Mapping[str, str | None]) -> None:
        """Go on with these cells, in the place of others.

        Args:
            digests: Of the rows of each data set, which other processes read: see `data.checked`.
        """
        self.cells = {unit_of(cell): cell for cell in cells}
        self.named = {unit.key: (cell.competition, cell.model, cell.templates) for unit, cell in self.cells.items()}
        self.digests = digests
        self.rows: dict[str, tuple[Dataset, Holdout]] = {}  # by data set, as this process has read them

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cells": {}, "rows": {}}

    def pending(self) -> list[Unit]:
        """The units of cells that are not made; a line for each that is."""
        found = []
        for unit, cell in self.cells.items():
            if self.is_made(unit):
                contenders.make(cell)
            else:
                found.append(unit)
        return found

    def is_made(self, unit: Unit) -> bool:
        try:
            return self.is_done(unit)
        except UserError:  # which is the unit's own
            return False

    def cell(self, unit: Unit) -> Cell:
        if unit not in self.cells:
            competition, model, templates = self.named[unit.key]
            self.cells[unit] = Cell(competition, model, templates, *self.read(competition))
        return self.cells[unit]

    def read(self, competition: Competition) -> tuple[Dataset, Holdout]:
        name = competition.name
        if name not in self.rows:
            data = CompetitionWork(competition, digest=self.digests[name]).data
            self.rows = {name: (data, split(competition, data))}
        return self.rows[name]

    def run(self, unit: Unit) -> None:
        """Make a cell, after another process that is at the same one."""
        cell = self.cell(unit)
        with locks.locked(cell.competition.folder / ".units" / f".{'-'.join(unit.key)}.lock"):
            contenders.make(cell)

    def is_done(self, unit: Unit) -> bool:
        cell = self.cell(unit)
        return cell.about() is not None and cell.has(contenders.key_of(cell))

    def settle(self, unit: Unit, seconds: float) -> None:
        """Nothing: no other unit waits for a cell, and of one that was resumed the seconds are not all."""

    def inputs(self, unit: Unit) -> list[Path]:
        """The files that a machine without this one's folder needs for a cell: rows, folds and features."""
        competition, spec = self.cell(unit).competition, self.cell(unit).spec
        read = (spec.encoder,) if spec.is_trained and spec.start == "probe" else spec.encoders
        folders = [cache.folder for encoder in read for cache in features.feature_caches(competition, encoder)]
        found = [competition.rows_parquet, competition.folds_csv, competition.folds_csv.with_suffix(".json")]
        found += [path for folder in folders for path in (*shards.paths(folder), folder / "key.json")]
        return [path for path in found if path.is_file()]  # a cell encodes what no stage has

    def outputs(self, unit: Unit) -> Collection[Path]:
        return self.cell(unit).files


def unit_of(cell: Cell) -> Unit:
    """The unit of a cell, whose network was checked."""
    names, spec = (cell.competition.name, cell.name), cell.spec
    learnt, valid = len(cell.split.train), len(cell.split.valid)
    if spec.is_trained:
        work = run_cost(spec, learnt, valid, 0, flops(spec)).total
        return Unit(STAGE, names, gpus=1, work=work, rate=rate_of(spec))
    if cell.templates:
        return Unit(STAGE, names, gpus=1, work=FITTED * valid)
    return Unit(STAGE, names, work=0.0, here=True)  # its stage has computed it
