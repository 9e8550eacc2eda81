"""What every model is made from: the rows with their ids, pictures, targets and folds, as the files say."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from src import files, folds, images, tables
from src.config import Competition


@dataclass(frozen=True)
class Rows:
    """Rows and their pictures, sorted by id; all of one length n."""

    ids: list[str]
    paths: list[Path]
    shas: list[str]  # sha256 of each picture's bytes

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: np.ndarray) -> "Rows":
        """The rows at these positions, or where a mask of n is true."""
        index = np.arange(len(self))[index]
        return Rows([self.ids[i] for i in index], [self.paths[i] for i in index], [self.shas[i] for i in index])


@dataclass(frozen=True)
class Dataset:
    train: Rows
    targets: np.ndarray  # (n,) class index of each train row
    fold: np.ndarray  # (n,) the fold that holds out each train row
    test: Rows
    folds_sha: str

    @cached_property
    def rows(self) -> Rows:
        """The train rows and behind them the test rows."""
        return Rows(
            self.train.ids + self.test.ids, self.train.paths + self.test.paths, self.train.shas + self.test.shas
        )

    @cached_property
    def n_folds(self) -> int:
        return int(self.fold.max()) + 1

    @cached_property
    def key(self) -> dict[str, str]:
        """All that the rows put into a model's numbers."""
        train = [[*row] for row in zip(self.train.ids, self.train.shas, self.targets.tolist(), strict=True)]
        test = [[*row] for row in zip(self.test.ids, self.test.shas, strict=True)]
        return {"folds": self.folds_sha, "train": files.digest(train), "test": files.digest(test)}


def read(competition: Competition) -> Dataset:
    """The checked rows with the folds of folds.csv.

    Raises:
        UserError: As the data and folds stages, if anything changed since they ran.
    """
    rows = tables.read(competition)
    parts, together = (rows.train, rows.test), ([], [])
    for df in parts:
        together[0].extend(df[competition.id])
        together[1].extend(df["path"])
    shas = images.check(*together, competition.images_record)["sha256"].tolist()
    n = len(rows.train)
    train = Rows(rows.train[competition.id].tolist(), rows.train["path"].tolist(), shas[:n])
    test = Rows(rows.test[competition.id].tolist(), rows.test["path"].tolist(), shas[n:])
    index = {name: i for i, name in enumerate(competition.classes)}
    targets = rows.train[competition.label].map(index).to_numpy()
    fold = folds.read(competition.folds_csv, competition.id, train.ids)
    return Dataset(train, targets, fold, test, files.sha256(competition.folds_csv))
