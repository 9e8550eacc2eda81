"""Finished models, fitted to each fold: one object for the test rows of its stage and for any other picture.

Each kind has a module with `load`, which makes the fitted model of what its stage has left; a stage that has just
fitted one makes the same object of what it has in memory.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from src.base import files
from src.base.errors import UserError
from src.models.pictures import Pictures
from src.results.model import BLEND, read_model
from src.schema.competition import Competition
from src.schema.models import AnyModel


class Fitted(Protocol):
    def predict(self, pictures: Pictures) -> np.ndarray:
        """(n, k) probabilities, in the order of the config's classes."""


@dataclass(frozen=True)
class FinishedModel:
    """What the folder of a finished model says of it."""

    competition: Competition
    name: str
    made: dict[str, Any]  # its model.json

    @property
    def title(self) -> str:
        """`corn:probe_h14`."""
        return f"{self.competition.name}:{self.name}"

    @property
    def command(self) -> str:
        """What makes it."""
        return command(self.competition, self.name)

    @property
    def spec(self) -> AnyModel:
        return self.competition.models[self.name]

    @property
    def module(self) -> str:
        """Of src/models/."""
        return "blend.fitted" if self.name == BLEND else self.spec.module

    @property
    def key(self) -> dict[str, Any]:
        return self.made["key"]

    @property
    def folds(self) -> range:
        return range(len(self.made["folds"]))

    def refuse_other(self, have: Any, wanted: Any) -> None:
        """Raises UserError: What the model was made with is not what the config asks for now."""
        if have != wanted:
            why = files.describe_changes(have, wanted)
            raise UserError(f"{self.title} is not of the config as it is now ({why}): {self.command} recomputes it")

    def check_config(self) -> None:
        """Raises UserError: Classes, prompts or fields of the model are others in the config than they were."""
        have = {"classes": self.key["classes"], "model": self.key.get("model", {})}
        wanted = {"classes": list(self.competition.classes), "model": {}}
        if self.name != BLEND:
            wanted["model"] = files.as_json_value(self.spec.model_dump(mode="json", exclude={"weights_file"}))
        if (prompts := self.key.get("prompts")) is not None and self.competition.prompts is not None:
            have["prompts"], wanted["prompts"] = prompts, self.competition.prompt_texts
        self.refuse_other(have, wanted)


def command(competition: Competition, name: str) -> str:
    """What makes a model: `./run.sh corn probe`."""
    return competition.command(BLEND if name == BLEND else competition.models[name].stage)


def finished(competition: Competition, name: str) -> FinishedModel:
    """Raises UserError: The model, or the blend, is not finished."""
    if (made := read_model(competition.model_folder(name))) is None:
        raise UserError(f"{competition.name}:{name} is not finished: {command(competition, name)}")
    return FinishedModel(competition, name, made)


def load(competition: Competition, name: str) -> Fitted:
    """A finished model, or the blend.

    Raises:
        UserError: It is not finished, not of the config as it is now, or has lost its files; with what makes it.
    """
    one = finished(competition, name)
    one.check_config()
    return importlib.import_module(f"src.models.{one.module}").load(one)
