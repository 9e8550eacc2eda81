"""What a finished model answers: its probabilities as its rule for the labels has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src import predictions, results
from src.base.errors import UserError
from src.schema.competition import Competition
from src.scoring import decisions


def decided(competition: Competition, made: dict[str, Any], probs: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) whose argmax is the label that the model gives.

    Args:
        made: What its model.json says.
    """
    if "decision" not in made:
        return probs
    return decisions.apply(probs, np.array([made["decision"][name] for name in competition.classes]))


def out_of_fold(competition: Competition, name: str, ids: Sequence[str]) -> np.ndarray | None:
    """The labels, as class indices (n,), that a model gives to the train rows; None if it is not made of these."""
    folder = competition.model_folder(name)
    if not name or (made := results.read(folder)) is None:
        return None
    try:
        probs = predictions.read(folder / "oof.parquet", competition.id, ids, competition.classes)
    except UserError:  # of other rows, or damaged: the next run makes it anew
        return None
    return decided(competition, made, probs).argmax(axis=1)
