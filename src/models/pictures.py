"""The pictures that fitted models predict: here rows of a competition; `./run.sh predict` has any others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from src.data import decoded
from src.data.rows import Dataset, Rows
from src.networks import encoders
from src.networks.features import CombinedFeatures, Features
from src.networks.predictor import Predictor
from src.schema.competition import Competition
from src.schema.networks import Encoder


class Pictures(Protocol):
    def __len__(self) -> int: ...

    def features(self, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean") -> CombinedFeatures:
        """Their features by encoders, combined as a model needs it."""

    def probabilities(self, network: Predictor) -> np.ndarray:
        """(n, k) float32: their probabilities by a network."""


@dataclass(frozen=True)
class StoredPictures:
    """Rows of a competition, with the features and decoded pictures of its folder."""

    competition: Competition
    data: Dataset
    index: np.ndarray  # (n,) positions in data.rows

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def rows(self) -> Rows:
        return self.data.rows.take(self.index)

    @cached_property
    def decoded(self) -> decoded.Pictures:
        """The pictures of all of data.rows."""
        return encoders.store(self.competition, self.data).pictures(self.data.rows)

    def features(self, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean") -> Features:
        """Raises UserError: The features stage has not made them all."""
        return Features(self.competition, specs, self.rows, normalise, views_as)

    def probabilities(self, network: Predictor) -> np.ndarray:
        return network.predict(self.decoded, self.index)


def train_pictures(competition: Competition, data: Dataset) -> StoredPictures:
    return StoredPictures(competition, data, np.arange(len(data.train)))


def test_pictures(competition: Competition, data: Dataset) -> StoredPictures:
    return StoredPictures(competition, data, data.test_index)
