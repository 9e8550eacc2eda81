"""The fitted baseline: what predicts, and its files. These hold a regression a fold and a forest a pair of folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.base.errors import UserError
from src.data import decoded
from src.data.geometry import Geometry
from src.models.fitted import FinishedModel
from src.models.links import link
from src.models.logreg.linear import Linear
from src.models.pictures import Pictures
from src.models.pixels import descriptors, forest
from src.models.pixels.fitting import Fits, FoldFit, pairs
from src.results import checkpoints
from src.results.model import same_model_key, without_test_rows
from src.schema.competition import Competition
from src.scoring.tables import Table


@dataclass(frozen=True)
class SquareClassifier:
    """It predicts squares of pixels, as a network does."""

    title: str  # for what is printed
    model: Fits
    side: int | None  # pixels of the shorter side to which larger pictures are reduced first
    geometry: Geometry = descriptors.SQUARE

    def probabilities(self, squares: Tensor) -> Tensor:
        """(n, size, size, 3) uint8 -> (n, k) float32 predictions, the mean over folds."""
        return torch.from_numpy(self.model.predict(descriptors.describe(squares.cpu().numpy())).astype(np.float32))

    def batches(self, pictures: decoded.Pictures, rows: Sequence[int]) -> Iterator[Tensor]:
        """The predictions of the pictures at `rows`, batch by batch in their order."""
        for feats in descriptors.described(pictures, rows):
            yield torch.from_numpy(self.model.predict(feats).astype(np.float32))


@dataclass(frozen=True)
class FittedPixels:
    name: str
    fits: Fits
    side: int | None = None

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions, the mean over folds."""
        return pictures.probabilities(SquareClassifier(self.name, self.fits, self.side))


def save(folder: Path, key: dict[str, Any], fits: Fits) -> None:
    """Write what `read` reads; each file names the key that it is of, but not the test rows."""
    about = {"key": without_test_rows(key)}
    for pair, trees in fits.forests.items():
        checkpoints.save(forest_file(folder, pair), trees.tensors(), about)
    for number, fit in enumerate(fits.folds):
        arrays = {"coef": fit.regression.coef, "intercept": fit.regression.intercept}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        facts = {"c": fit.c, "share": fit.share, "losses": fit.losses}
        checkpoints.save(fold_file(folder, number), tensors, about | facts)


def fold_file(folder: Path, number: int) -> Path:
    return folder / f"fold{number}.safetensors"


def forest_file(folder: Path, pair: tuple[int, int]) -> Path:
    return folder / "fold{}-fold{}.safetensors".format(*pair)


def read(competition: Competition, name: str, key: dict[str, Any], n_folds: int) -> Fits | Path:
    """The fits of a model of this key, whatever its test rows; or the first file that is missing or of another."""
    folder, own = competition.model_folder(name), link(competition)
    wanted, k = without_test_rows(key), len(competition.outputs)

    def about(path: Path) -> dict[str, Any] | None:
        found = checkpoints.about(path) or {}
        return found if same_model_key(found.get("key", {}), wanted) else None

    folds, forests = [], {}
    for pair in pairs(n_folds):
        if about(path := forest_file(folder, pair)) is None:
            return path
        forests[pair] = forest.from_tensors(checkpoints.load(path), k)
    for path in (fold_file(folder, number) for number in range(n_folds)):
        if (facts := about(path)) is None:
            return path
        tensors = checkpoints.load(path)
        linear = Linear(tensors["coef"].numpy(), tensors["intercept"].numpy(), link=own)
        folds.append(FoldFit(linear, facts["c"], facts["share"], tuple(facts["losses"])))
    return Fits(folds, forests, own)


def load(one: FinishedModel) -> FittedPixels:
    """Raises UserError: A file is missing, or of another state."""
    found = read(one.competition, one.name, one.key, len(one.folds))
    if isinstance(found, Path):
        raise UserError(
            f"{one.title}: its {found} is missing or damaged: delete the folder, then {one.command} makes it again"
        )
    return FittedPixels(one.name, found, one.key.get("pictures"))
