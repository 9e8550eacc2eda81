"""Finished models, fitted to each fold: one object for the test rows of its stage and for any other picture.

Each kind has a module with `load`, which reads the fitted model from the files of its stage; a stage that has just
fitted one makes the same object from memory.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from src.base import files
from src.base.errors import UserError
from src.data import images
from src.data.rows import Dataset, read_dataset
from src.models.pictures import Pictures
from src.results import predictions
from src.results.model import BLEND, read_model, without_test_rows
from src.schema.competition import Competition
from src.schema.models import AnyModel


class Fitted(Protocol):
    def predict(self, pictures: Pictures) -> np.ndarray:
        """(n, k) predictions of the target (scoring/targets.py), in the order of the config's classes."""


@dataclass(frozen=True)
class FinishedModel:
    """A finished model, by the files in its folder."""

    competition: Competition
    name: str
    facts: dict[str, Any]  # its model.json

    @property
    def title(self) -> str:
        """`corn:probe_h14`."""
        return f"{self.competition.name}:{self.name}"

    @property
    def command(self) -> str:
        return command(self.competition, self.name)

    @property
    def spec(self) -> AnyModel:
        return self.competition.models[self.name]

    @property
    def key(self) -> dict[str, Any]:
        return self.facts["key"]

    @property
    def folds(self) -> range:
        return range(len(self.facts["folds"]))

    @property
    def scheduled(self) -> AnyModel:
        """The model of the config as its key names it: epochs that depend on rows are those of the rows it was made of.

        A table has a row a unit, so that of units the pictures are counted as they are now.
        """
        if not self.spec.is_planned_by_rows:
            return self.spec
        table = self.competition.model_folder(self.name) / "oof.parquet"
        n = predictions.count_rows(table) if self.competition.unit is None else None
        learnt = read_dataset(self.competition).n_learnt if n is None else n - n // len(self.folds)
        return self.spec.scheduled(learnt)

    def refuse_other(self, have: Any, wanted: Any) -> None:
        """Raises UserError: The model was made with something else than the config asks for now."""
        if have != wanted:
            why = files.describe_changes(have, wanted)
            raise UserError(f"{self.title} is not of the config as it is now ({why}): {self.command} recomputes it")

    def refuse_other_rows(self, data: Dataset) -> None:
        """Raises UserError: The train rows, their targets or their folds are not those that the model was made of."""
        wanted = without_test_rows(data.key)
        have = {name: self.key.get(name) for name in wanted}
        if have != wanted:
            why = files.describe_changes(have, wanted)
            raise UserError(f"{self.title} is of other rows than there are now ({why}): {self.command} recomputes it")

    def check_config(self) -> None:
        """Raises UserError: The target, white, prompts or fields of the model have changed in the config."""
        wanted = {**self.competition.target_key, "white": self.competition.white, "model": {}}
        have = {"white": images.WHITE} | {field: self.key[field] for field in wanted if field in self.key}
        have["model"] = self.key.get("model", {})
        if self.name != BLEND:
            wanted["model"] = files.as_json_value(self.scheduled.model_dump(mode="json", exclude={"weights_file"}))
        if (prompts := self.key.get("prompts")) is not None and self.competition.prompts is not None:
            have["prompts"], wanted["prompts"] = prompts, self.competition.prompt_texts
        self.refuse_other(have, wanted)


def command(competition: Competition, name: str) -> str:
    """The command that makes a model: `./run.sh corn probe`."""
    return competition.command(BLEND if name == BLEND else competition.models[name].stage)


def read_finished(competition: Competition, name: str) -> FinishedModel:
    """Raises UserError: The model, or the blend, is not finished."""
    if (facts := read_model(competition.model_folder(name))) is None:
        raise UserError(f"{competition.name}:{name} is not finished: {command(competition, name)}")
    return FinishedModel(competition, name, facts)


def load(competition: Competition, name: str) -> Fitted:
    """A finished model, or the blend.

    Raises:
        UserError: It is not finished, not of the config as it is now, or has lost its files; with the command for it.
    """
    one = read_finished(competition, name)
    one.check_config()
    module = "blend.fitted" if name == BLEND else one.spec.module
    return importlib.import_module(f"src.models.{module}").load(one)
