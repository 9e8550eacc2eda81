"""A probe of many rows, for the bench of their steps: made-up features in shards, and a fit to them."""

from pathlib import Path

import numpy as np

from src.bench.rows import make_shas
from src.data.rows import read_dataset
from src.models.probe import nested
from src.models.probe.data import ProbeData
from src.results import shards
from src.schema.competition import Competition
from src.schema.models import Probe

D, APART, MADE_UP = 512, 4.0, ("made-up", "identity")  # columns of features, how far classes are apart, the folder


class Stored:
    """Features (n, D) in shards: of slices and places float32, as the feature store gives them."""

    def __init__(self, folder: Path, shas: np.ndarray):
        self.index = shards.Index(folder)
        self.at, self.shape = self.index.find(shas), (len(shas), D)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self.index.gather(self.at[index])


def write_features(competition: Competition) -> None:
    """Write a shard after the other of rows that lie around the mean of their class."""
    data, rng = read_dataset(competition), np.random.default_rng(0)
    means = APART * rng.standard_normal((len(competition.classes), D), np.float32) / np.sqrt(D)
    for start in range(0, len(data.train), shards.ROWS):
        targets = data.targets[start : start + shards.ROWS]
        feats = (means[targets] + rng.standard_normal((len(targets), D), np.float32)).astype(np.float16)
        ids, shas = data.train.ids[start : start + len(targets)], make_shas(start, len(targets))
        shards.write(competition.features(*MADE_UP), ids, shas, feats)


def probe(competition: Competition) -> None:
    """Fit each fold's probe with one C."""
    data, n = read_dataset(competition), shards.ROWS
    shas = [make_shas(start, min(n, len(data.train) - start)) for start in range(0, len(data.train), n)]
    feats = Stored(competition.features(*MADE_UP), np.concatenate(shas))
    spec = Probe(clip="ViT-B-32", cs=(0.01,), widen=False, normalise=(False,))
    own = ProbeData(lambda _: feats, data.targets, data.fold, len(competition.classes), scratch=competition.folder)
    nested.fit_folds(spec, own)
