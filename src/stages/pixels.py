"""pixels: fits a regression and a forest to small pixels, colours and gradients of the images.

Reads the images and folds.csv. Writes models/<model>/. Prints for each fold the loss inside its training rows, what it
chose, and the score.
"""

import time
from typing import Any

import numpy as np

from src.base.progress import track
from src.data.rows import Dataset
from src.models.links import link
from src.models.pictures import test_pictures, train_pictures
from src.models.pixels import descriptors, fitted
from src.models.pixels.fitted import FittedPixels
from src.models.pixels.fitting import Fits, TrainRows, fit_folds
from src.models.work import FITTED, ModelWork
from src.networks import encoders
from src.results.model import model_key, save_model
from src.schema.competition import Competition
from src.schema.models import Pixels
from src.units.unit import Unit

CODE = 1


class Work(ModelWork):
    stage = "pixels"

    def unit(self, name: str) -> Unit:
        n = len(self.data.train) + len(self.data.test)
        return Unit(self.stage, (name,), work=FITTED * n, rate=self.stage, whole=name)

    def key(self, name: str) -> dict[str, Any]:
        side = encoders.trained_store(self.competition, self.data, descriptors.SIDE).side
        more = {} if side is None else {"pictures": side}
        return model_key(self.competition, self.models[name], self.data, CODE, **more)

    def compute(self, name: str, key: dict[str, Any]) -> None:
        fit(self.competition, name, self.models[name], self.data, key)


def fit(competition: Competition, name: str, spec: Pixels, data: Dataset, key: dict) -> None:
    start, folder = time.perf_counter(), competition.model_folder(name)
    feats, asked = train_feats(competition, name, data), {"target": competition.target, "link": link(competition)}
    train = TrainRows(feats, data.targets, data.fold, len(competition.outputs), **asked)
    fits = fitted.read(competition, name, key, data.n_folds)
    if not isinstance(fits, Fits):
        fits = fit_folds(spec, train, name)
        fitted.save(folder, key, fits)
    print(choices_text(competition, name, fits))
    probs = FittedPixels(name, fits, key.get("pictures")).predict(test_pictures(competition, data))
    facts = {"chosen": [{"c": one.c, "forest": one.share} for one in fits.folds]}
    save_model(competition, name, key, data, train.out_of_fold(fits), probs, time.perf_counter() - start, **facts)


def train_feats(competition: Competition, name: str, data: Dataset) -> np.ndarray:
    """The descriptors (n, d) of the train rows."""
    n, pictures = len(data.train), train_pictures(competition, data)
    batches = descriptors.described(pictures.for_size(descriptors.SIDE), pictures.index)
    return np.concatenate(list(track(batches, name, n, "images", of=len)))


def choices_text(competition: Competition, name: str, fits: Fits) -> str:
    """The losses inside the training rows, the means over folds, and each fold's choice."""
    regression, forest = np.mean([fit.losses for fit in fits.folds], axis=0)
    called = {0.0: "regression", 0.5: "mean", 1.0: "forest"}
    chosen = ", ".join(f"{called[fit.share]} (C {fit.c:g})" for fit in fits.folds)
    loss = competition.target.loss_title
    lines = [f"{name}  {loss} inside the training rows: regression {regression:.4f}, forest {forest:.4f}"]
    return "\n".join([*lines, f"  chosen for each fold: {chosen}"])
