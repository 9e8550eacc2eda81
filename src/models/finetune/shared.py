"""What all runs of a fine-tuned model have in common."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.data.decoded import Squares
from src.data.rows import Dataset
from src.models.finetune import heads
from src.models.finetune.keys import finetune_key
from src.models.finetune.run import squares_of
from src.models.probe.judging import doubtful
from src.networks.classifiers import Head
from src.schema.competition import Competition
from src.schema.models import FineTune


@dataclass(frozen=True)
class Shared:
    """It is made when it is first wanted."""

    competition: Competition
    name: str
    data: Dataset

    @property
    def spec(self) -> FineTune:
        return self.competition.models[self.name]

    @functools.cached_property
    def key(self) -> dict[str, Any]:
        return finetune_key(self.competition, self.spec, self.data, self.doubtful)

    @functools.cached_property
    def doubtful(self) -> list[np.ndarray] | None:
        """For each fold which of its training rows are left out; None: none of them."""
        if not self.spec.needs_judge:
            return None
        return doubtful(self.competition, self.spec, self.data)

    @functools.cached_property
    def squares(self) -> Squares:
        return squares_of(self.competition, self.spec, self.data)

    @functools.cached_property
    def starts(self) -> list[Head | None]:
        """Where each fold's head starts."""
        return heads.starts(self.competition, self.spec, self.data)
