"""Predictions of many rows, for the bench of their steps: made up, unlike in skill and in what they are wrong about."""

import time

import numpy as np

from src.commands import check as checking
from src.data.rows import Dataset, read_dataset
from src.results import predictions
from src.results.model import BLEND, model_key, save_model
from src.schema.competition import Competition

SKILL, SHARED = 2.0, 0.5  # of the first model, in the noise's standard deviations; and noise that all models share


def write_models(competition: Competition) -> None:
    """Write every model's tables, of which the last knows least."""
    data = read_dataset(competition)
    for number, (name, spec) in enumerate(competition.models.items()):
        start, key = time.perf_counter(), model_key(competition, spec, data, 1)
        tables = [predict(competition, data, number, part) for part in ("train", "test")]
        save_model(competition, name, key, data, *tables, time.perf_counter() - start)


def predict(competition: Competition, data: Dataset, number: int, part: str) -> np.ndarray:
    """(n, k) made-up probabilities of a part, which are of the targets where these are known."""
    k, seed = len(competition.classes), ("train", "test").index(part)
    targets = data.targets if part == "train" else np.random.default_rng(2).integers(0, k, len(data.test))
    shared, own = (np.random.default_rng((seed, which)) for which in (0, 1 + number))
    table = own.standard_normal((len(targets), k), np.float32)
    table += SHARED * shared.standard_normal((len(targets), k), np.float32)
    table[np.arange(len(targets)), targets] += SKILL - 0.3 * number
    np.exp(table, out=table)
    table /= table.sum(axis=1, keepdims=True)
    return table


def read_models(competition: Competition) -> None:
    """Read the first model's tables."""
    data, name = read_dataset(competition), next(iter(competition.models))
    for part, rows in (("oof", data.train), ("test", data.test)):
        predictions.read(competition.model_folder(name) / f"{part}.parquet", competition, rows.ids)


def check(competition: Competition) -> None:
    checking.run(competition, next(competition.folder.glob(f"{BLEND}-cv*.csv")))
