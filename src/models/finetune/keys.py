"""The keys of fine-tuned models and of their runs: all that changes weights, tables and what is made of them."""

from typing import Any

import numpy as np

from src.data.rows import Dataset
from src.models.logreg.design import FEW
from src.models.probe.fitting import FEW_CODE
from src.models.probe.judging import judgements_digest
from src.networks import classifiers, encoders
from src.results.model import model_key, without_test_rows
from src.schema.competition import Competition
from src.schema.models import FineTune

CODE = 4


def network_key(competition: Competition, spec: FineTune, data: Dataset) -> dict[str, Any]:
    """The weights that training starts from, the pictures that it sees, and versions of code for some recipes alone."""
    side = encoders.trained_store(competition, data, classifiers.size(spec)).side
    key = {"checkpoint": classifiers.identity(spec)} | ({} if side is None else {"pictures": side})
    key |= classifiers.size_left_open(spec)
    if spec.clip is not None and spec.frozen_groups:  # without it, all of the tower was frozen
        key["frozen"] = "its first groups"
    if spec.start == "probe" and len(data.train) <= FEW:
        key["few_rows"] = FEW_CODE
    if spec.class_weight == "balanced" and spec.label_smoothing:  # without it, by each class's weight, as torch has it
        key["smoothing"] = "by the row's weight"
    return key | ({"prompts": competition.prompt_texts} if spec.start == "zeroshot" else {})


def finetune_key(
    competition: Competition, spec: FineTune, data: Dataset, doubtful: list[np.ndarray] | None = None
) -> dict[str, Any]:
    """All that changes a model's numbers; `doubtful`: the training rows of each fold that are left out, if any."""
    more = network_key(competition, spec, data)
    if spec.wise_ft:
        more |= competition.scorer_key  # alpha is chosen by it
    if doubtful is not None:
        more["judged"] = judgements_digest(doubtful, data, len(competition.outputs))
    return model_key(competition, spec, data, CODE, **more)


def tables_key(key: dict[str, Any]) -> dict[str, Any]:
    """The part of a model's key that changes the numbers of a run, whose tables are of pictures and not of units."""
    model = {name: value for name, value in key["model"].items() if name not in FineTune.of_model}
    of_model = ("metric", "submission", "unit")
    return {name: value for name, value in key.items() if name not in of_model} | {"model": model}


def weights_key(key: dict[str, Any]) -> dict[str, Any]:
    """The part of a model's key that changes the weights of a run: the test rows are only predicted."""
    key = held_out_key(key)
    return key | {"model": {name: value for name, value in key["model"].items() if name not in FineTune.of_tables}}


def held_out_key(key: dict[str, Any]) -> dict[str, Any]:
    """The part of a model's key, or of a run's, that changes the held-out rows' tables: they know no test rows."""
    return without_test_rows(tables_key(key))
