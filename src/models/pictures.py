"""The pictures that fitted models predict: here rows of a competition; `./run.sh predict` has any others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from src.data import decoded
from src.data.geometry import Geometry
from src.data.rows import Dataset, Rows
from src.models.gathering import gathered
from src.networks import encoders
from src.networks.features import CombinedFeatures, Features
from src.schema.competition import Competition
from src.schema.networks import Encoder
from src.scoring.tables import Table


class Classifier(Protocol):
    """What predicts squares of pixels: a network (networks.predictor.Predictor), or what needs none."""

    title: str  # for what is printed
    model: Any  # as long as it is the same, the time of a picture is
    geometry: Geometry
    side: int | None  # pixels of the shorter side to which larger pictures are reduced first

    def probabilities(self, squares: Tensor) -> Tensor:
        """(n, size, size, 3) uint8 on the device -> (n, k) float32."""

    def batches(self, pictures: decoded.Pictures, rows: Sequence[int]) -> Iterator[Tensor]:
        """The probabilities of the pictures at `rows`, batch by batch in their order."""


class Pictures(Protocol):
    def __len__(self) -> int: ...

    def features(self, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean") -> CombinedFeatures:
        """Their features by encoders, combined as a model needs it."""

    def columns(self, competition: Competition) -> np.ndarray | None:
        """(n, c) float32: the columns of the competition's tables beside them; None where the config names none.

        Raises:
            UserError: These pictures have no table.
        """

    def probabilities(self, network: Classifier) -> Table:
        """(n, k) float32: their probabilities by a network, or by what stands for one."""


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
    def by_size(self) -> dict[int, decoded.Pictures]:
        """The pictures of all of data.rows, by the size of the squares for which they were asked."""
        return {}

    def features(self, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean") -> Features:
        """Raises UserError: The features stage has not made them all."""
        return Features(self.competition, specs, self.rows, normalise, views_as)

    def columns(self, competition: Competition) -> np.ndarray | None:
        return None if self.data.columns is None else self.data.columns[self.index]

    def probabilities(self, network: Classifier) -> Table:
        batches = network.batches(self.for_size(network.geometry.size), self.index)
        return gathered(batches, len(self), self.competition.target)

    def for_size(self, size: int) -> decoded.Pictures:
        """The pictures of all of data.rows, for squares of `size` pixels."""
        if size not in self.by_size:
            self.by_size[size] = encoders.trained_store(self.competition, self.data, size).pictures(self.data.rows)
        return self.by_size[size]


def train_pictures(competition: Competition, data: Dataset) -> StoredPictures:
    return StoredPictures(competition, data, np.arange(len(data.train)))


def test_pictures(competition: Competition, data: Dataset) -> StoredPictures:
    return StoredPictures(competition, data, data.test_index)
