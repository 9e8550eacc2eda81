"""A trained competition's models by their names, for any picture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from src.base.errors import UserError
from src.commands.predict.session import InferenceSession
from src.models import fitted
from src.models.fitted import Fitted
from src.results.model import best_model, finished_models
from src.schema.competition import Competition


def best(competition: Competition) -> str:
    """The blend, or where there is none the finished model with the best score.

    Raises:
        UserError: Nothing is finished.
    """
    if (name := best_model(competition, finished_models(competition))) is None:
        raise UserError(f"{competition.name} has no finished model: {competition.command()}")
    return name


@dataclass(frozen=True)
class Finished:
    """A finished model of a competition, or its blend."""

    name: str  # as it is shown: `corn:probe_h14`
    competition: Competition
    model: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.competition.classes

    @cached_property
    def fitted(self) -> Fitted:
        return fitted.load(self.competition, self.model)

    def check(self) -> None:
        """Raises UserError: It is not finished, or not of the config as it is now, or has lost its weights."""
        self.fitted  # noqa: B018 it is loaded here

    def fetch(self) -> None:
        """Its weights are there."""

    def predict(self, session: InferenceSession) -> np.ndarray:
        return self.fitted.predict(session)
