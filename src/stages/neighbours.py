"""neighbours: predicts each row by the votes of the training rows whose features are most like its own.

Reads features/<encoder>-<view>/ and folds.csv. Writes models/<model>/. Prints the loss inside the training rows, how
many neighbours vote in each fold, and the score.
"""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from src.data.rows import Dataset
from src.models.neighbours import fitted
from src.models.pictures import test_pictures
from src.models.work import ModelWork
from src.networks import features
from src.results.model import model_key, save_model
from src.schema.competition import Competition
from src.schema.models import Neighbours

CODE = 1


class Work(ModelWork):
    stage = "neighbours"

    def key(self, name: str) -> dict[str, Any]:
        spec = self.models[name]
        more = {"encoders": [features.encoder_identity(spec)], "precision": features.precision(self.competition, spec)}
        return model_key(self.competition, spec, self.data, CODE, **more)

    def compute(self, name: str, key: dict[str, Any]) -> None:
        fit(self.competition, name, self.models[name], self.data, key)


def fit(competition: Competition, name: str, spec: Neighbours, data: Dataset, key: dict) -> None:
    start, test = time.perf_counter(), test_pictures(competition, data)
    test.features([spec])  # those that are missing are an error before anything is fitted
    model, oof, losses = fitted.fit(competition, name, spec, data)
    chosen = ", ".join(f"{vote.k} (width {vote.width:g}, prior {vote.prior:g})" for vote in model.votes)
    print(f"{name}  loss inside the training rows {np.mean(losses):.4f}, neighbours for each fold: {chosen}")
    facts = {"chosen": [asdict(vote) for vote in model.votes]}
    probs = model.predict(test)
    save_model(competition, name, key, data, oof, probs, time.perf_counter() - start, **facts)
