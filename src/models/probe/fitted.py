"""A fitted probe: one fit a fold, each in a file of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.base.errors import UserError
from src.models.fitted import FinishedModel
from src.models.pictures import Pictures
from src.models.probe.fitting import ProbeRows, probe_link
from src.models.probe.nested import Fit
from src.networks import features
from src.results import checkpoints
from src.schema.competition import Competition
from src.schema.models import Probe
from src.scoring.tables import Table, mean


@dataclass(frozen=True)
class FittedProbe:
    competition: Competition
    spec: Probe
    fits: Sequence[Fit]  # of each fold

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions, the mean over folds."""
        rows, index = ProbeRows(self.competition, self.spec, pictures), np.arange(len(pictures))
        return mean([rows.predict(fit, index) for fit in self.fits])

    def save(self, folder: Path) -> None:
        """Writes what `load` reads."""
        for fold, fit in enumerate(self.fits):
            tensors = {"coef": torch.from_numpy(fit.coef), "intercept": torch.from_numpy(fit.intercept)}
            checkpoints.save(fit_file(folder, fold), tensors, {"c": fit.c, "normalise": fit.normalise})


def fit_file(folder: Path, fold: int) -> Path:
    return folder / f"fold{fold}.safetensors"


def load(one: FinishedModel) -> FittedProbe:
    """Raises UserError: An encoder is another one now, or the file of a fold is missing."""
    for spec, known in zip(one.spec.encoders, one.key["encoders"], strict=True):
        one.refuse_other(known, features.encoder_identity(spec))
    fits, link = [], probe_link(one.competition, one.spec)
    for path in (fit_file(one.competition.model_folder(one.name), fold) for fold in one.folds):
        if "normalise" not in (about := checkpoints.about(path) or {}):
            raise UserError(f"{one.title}: its {path} is missing or damaged: delete the folder, then {one.command}")
        tensors = checkpoints.load(path)
        coef, intercept = (tensors[name].numpy() for name in ("coef", "intercept"))
        fits.append(Fit(coef, intercept, about["c"], about["normalise"], np.nan, {}, link=link))
    return FittedProbe(one.competition, one.spec, fits)
