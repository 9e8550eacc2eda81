"""The rows that every model learns from, with their ids, pictures, targets and folds, as the files have them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from src.base import digests, files
from src.data import columns, folds, images, tables, units
from src.data.labels import read_targets
from src.data.record import check_images
from src.data.texts import Paths, Texts
from src.data.units import Units
from src.schema.competition import Competition


@dataclass(frozen=True)
class Rows:
    """Rows and their pictures, sorted by id; all of one length n."""

    ids: Texts
    paths: Paths
    shas: Texts  # sha256 of each picture's bytes: see record.identity
    sizes: np.ndarray  # (n, 2) its width and height in pixels, as its file has them
    white: int = images.WHITE  # what is white in those of more than 8 bits

    def __post_init__(self):
        for name, kind in (("ids", Texts), ("paths", Paths), ("shas", Texts)):  # or lists of them, of few rows
            if not isinstance(column := getattr(self, name), kind):
                object.__setattr__(self, name, kind(column))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: np.ndarray | slice) -> "Rows":
        """The rows at these positions, or where a mask of n is true."""
        return Rows(self.ids[index], self.paths[index], self.shas[index], self.sizes[index], self.white)

    def distinct(self) -> "Rows":
        """The rows of distinct pictures: the first of each."""
        return self.take(~self.shas.series.duplicated().to_numpy())

    def digest(self, *beside: np.ndarray) -> str:
        """A digest of the rows' ids and pictures, and of what else is said of each row."""
        return digests.digest(digests.rows_listing(self.ids, self.shas, *beside))

    def of_units(self, units: Units) -> "Rows":
        """The first row of each unit, under the unit's id."""
        return replace(self.take(units.first), ids=units.ids)

    def __add__(self, other: "Rows") -> "Rows":
        sizes = np.concatenate([self.sizes, other.sizes])
        return Rows(self.ids + other.ids, self.paths + other.paths, self.shas + other.shas, sizes, self.white)


@dataclass(frozen=True)
class Parts:
    """The rows before there are folds."""

    train: Rows
    targets: np.ndarray  # of each train row: see src/scoring/targets.py
    test: Rows
    units: tuple[Units, Units] | None = None  # those of train and of test rows; None: each row is one
    columns: np.ndarray | None = None  # (n + m, c) float32 of `rows`: see src/data/columns.py; None: there are none

    @cached_property
    def rows(self) -> Rows:
        """The train rows and behind them the test rows."""
        return self.train + self.test


@dataclass(frozen=True)
class Dataset(Parts):
    fold: np.ndarray = field(kw_only=True)  # (n,) the fold that holds out each train row
    folds_sha: str = field(kw_only=True)
    pictures: "Dataset | None" = field(default=None, kw_only=True)  # of a dataset of units: that of their pictures

    @cached_property
    def scored(self) -> "Dataset":
        """The rows that are scored, of which stored tables are: units, each with its first picture; or these rows."""
        if self.units is None:
            return self
        train, test = self.units
        targets, fold = self.targets[train.first], self.fold[train.first]
        first = np.concatenate([train.first, len(self.train) + test.first])
        beside = None if self.columns is None else self.columns[first]
        rows = self.train.of_units(train), targets, self.test.of_units(test), None, beside
        return Dataset(*rows, fold=fold, folds_sha=self.folds_sha, pictures=self)

    def combined(self, competition: Competition, part: str, table: np.ndarray) -> np.ndarray:
        """Predictions (n, k) of the rows of a part, train or test, as those of the rows of `scored`."""
        if self.units is None:
            return table
        return self.units[("train", "test").index(part)].combine(competition, table)

    @property
    def test_index(self) -> np.ndarray:
        """(m,) the positions of the test rows in `rows`."""
        return len(self.train) + np.arange(len(self.test))

    @cached_property
    def n_folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def n_learnt(self) -> int:
        """The number of train rows outside of a fold, alike for all folds: epochs are planned by it."""
        return len(self.train) - len(self.train) // self.n_folds

    @property
    def held_out(self) -> list[np.ndarray]:
        """For each fold, which train rows (n,) it holds out."""
        return [self.fold == k for k in range(self.n_folds)]

    @cached_property
    def key(self) -> dict[str, Any]:
        """The part of a model's key that is of the rows."""
        if self.pictures is not None:
            return self.pictures.key
        train, test = self.train.digest(self.targets), self.test.digest()
        key = {"folds": self.folds_sha, "train": train, "test": test}
        if self.units is not None:
            parts = [["[", *digests.listing(one.ids), ", ", *digests.listing(one.which), "]"] for one in self.units]
            key["units"] = digests.digest(["[", *parts[0], ", ", *parts[1], "]"])
        return key if self.train.white == images.WHITE else {**key, "white": self.train.white}


def read_parts(competition: Competition) -> Parts:
    """Read and check the rows; what changed since the data stage ran is checked again.

    Raises:
        UserError: As the data stage, if anything changed since it ran.
    """
    frames = tables.read(competition)
    ids, paths = (frames.of_both(column) for column in (competition.id, tables.PATH))
    record = check_images(ids, paths, competition.images_record, competition.white)
    both = Rows(ids, paths, record["sha256"], record[["width", "height"]].to_numpy(), competition.white)
    n = len(frames.train)
    train, test = both.take(slice(0, n)), both.take(slice(n, None))
    targets = read_targets(competition, frames.train[competition.label])
    held = units.of_parts(competition, frames.train, frames.test)
    return Parts(train, targets, test, held, columns.read(competition, frames.train, frames.test))


def read_dataset(competition: Competition) -> Dataset:
    """Read and check the rows with the folds of folds.csv.

    Raises:
        UserError: As the data and folds stages, if anything changed since they ran.
    """
    rows = read_parts(competition)
    path, held = competition.folds_csv, rows.units
    fold = folds.read(path, competition.id, rows.train.ids if held is None else held[0].ids)
    fold = fold if held is None else fold[held[0].which]
    sha = files.sha256(path)
    return Dataset(rows.train, rows.targets, rows.test, held, rows.columns, fold=fold, folds_sha=sha)
