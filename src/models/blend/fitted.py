"""A fitted blend: a blender of its models' predictions of the same pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from src.base import files
from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models import fitted
from src.models.blend import methods
from src.models.blend.methods import Blender, Weighted
from src.models.blend.pool import pool_of
from src.models.fitted import FinishedModel, Fitted
from src.models.pictures import Pictures
from src.results.model import model_tables
from src.schema.competition import Competition
from src.scoring.tables import Table, stack


@dataclass(frozen=True)
class FittedBlend:
    models: Mapping[str, Fitted]
    blender: Callable[[], Blender]  # gives it when it is first wanted: fitting it takes its time
    columns_of: Competition | None = None  # whose columns it reads beside the models: a stack's

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions.

        Raises:
            UserError: A stack reads columns of tables, which these pictures do not have.
        """
        beside = None if self.columns_of is None else pictures.columns(self.columns_of)
        return self.blender().predict(stack([model.predict(pictures) for model in self.models.values()]), beside)


def load(one: FinishedModel) -> FittedBlend:
    """Raises UserError: A model is not there, or another one than it was; or one with a weight cannot be loaded."""
    competition, weights = one.competition, model_weights(one)
    for name, known in one.key["models"].items():
        if name not in competition.models:
            raise UserError(f"{one.title} has a model {name!r}, which the config lacks: {one.command} recomputes it")
        fitted.read_finished(competition, name)
        tables = [competition.model_folder(name) / f"{part}.parquet" for part in ("oof", "test")]
        if files.digest([files.sha256(table) for table in tables]) != known:
            raise UserError(f"{one.title} is of another {name} than there is now: {one.command} recomputes it")
    models = {name: fitted.load(competition, name) for name in weights}
    if one.facts["method"] not in methods.HAVE_WEIGHTS:
        return FittedBlend(models, lambda: refit(one), competition if one.facts["method"] == "stack" else None)
    return FittedBlend(models, lambda: Weighted(np.array(list(weights.values()))))


def model_weights(one: FinishedModel) -> dict[str, float]:
    """The weights of its models, of those that have one; of a stack, which has none, 1 for each that it is made of."""
    facts = one.facts
    if facts["method"] == "stack":
        return {name: 1.0 for name in one.key["models"] if name not in facts["weights"]}
    some = {name: weight for name, weight in facts["weights"].items() if weight > 0}
    if facts["method"] == "mean":  # of which four digits are kept
        some = dict.fromkeys(some, 1.0)
    total = sum(some.values())
    return {name: weight / total for name, weight in some.items()}


def refit(one: FinishedModel) -> Blender:
    """The method, fitted once more on the models' out-of-fold tables: a stack's coefficients and ranks are not kept.

    Raises:
        UserError: The train rows are other ones now.
    """
    data, competition = read_dataset(one.competition).scored, one.competition
    one.refuse_other_rows(data)
    oofs = stack([model_tables(competition, name, data)[0] for name in model_weights(one)])
    return methods.METHODS[one.facts["method"]](pool_of(competition, data, oofs), [()])[0]
