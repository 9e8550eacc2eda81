"""The constant answer: the best score without a look at any picture, which a model has to beat."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.scoring.intervals import Z
from src.scoring.metrics import METRICS


class ConstantAnswer(NamedTuple):
    """The same answer for every row, and its score."""

    text: str  # always 'neutral'
    score: float
    se: float

    def is_beaten(self, metric_name: str, score: float, se: float) -> bool:
        """Whether a score is better by more than its 95 % interval; an undefined score is given the benefit."""
        reach = Z * (0 if np.isnan(se) else se)
        return not METRICS[metric_name].sign * (score - self.score) <= reach


def constant_answer(metric_name: str, targets: np.ndarray, classes: Sequence[str]) -> ConstantAnswer:
    """Score the most common class, or where probabilities are scored the share of each class, on the rows (n,).

    No other class does better by the metrics of labels that there are: accuracy and macro F1 grow with the class's
    share, balanced accuracy and kappa are the same for all. No other probabilities have a lower log loss.
    """
    metric, table = METRICS[metric_name], constant_table(targets, len(classes))
    text = "always the share of each class"
    if metric.of_labels:
        text = f"always {classes[table[0].argmax()]!r}"
    if metric.per_row is None and not metric.of_labels:  # of the rows' order, in which all are equal in every sample
        return ConstantAnswer(text, metric.value(targets, table), 0.0)
    return ConstantAnswer(text, *metric.score(targets, table))


def constant_table(targets: np.ndarray, k: int) -> np.ndarray:
    """(n, k) the share of each class among the rows, the same for each: its argmax is the most common class."""
    return np.broadcast_to(np.bincount(targets, minlength=k) / len(targets), (len(targets), k))
