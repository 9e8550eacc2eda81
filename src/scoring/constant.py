"""The constant answer: the best score without a look at any picture, which a model has to beat."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.scoring.intervals import Z
from src.scoring.metrics import METRICS, Metric


class ConstantAnswer(NamedTuple):
    """The same answer for every row, and its score."""

    text: str  # always 'neutral'
    score: float
    se: float

    def is_beaten(self, metric_name: str, score: float, se: float) -> bool:
        """Whether a score is better by more than its 95 % interval; an undefined score is given the benefit."""
        reach = Z * (0 if np.isnan(se) else se)
        return not METRICS[metric_name].sign * (score - self.score) <= reach


def constant_answer(metric: Metric, targets: np.ndarray, outputs: Sequence[str]) -> ConstantAnswer:
    """Score the best answer that is the same for all rows: of a class the most common one, of probabilities the shares.

    No other class does better by the metrics of labels that there are: accuracy and macro F1 grow with the class's
    share, balanced accuracy and kappa are the same for all. No other probabilities have a lower log loss. Of several
    labels and of numbers a metric has its own: see `Metric.constant`.

    Args:
        outputs: The columns of a table of predictions: the classes, the labels, or the number's.
    """
    table = constant_table(metric, targets, len(outputs))
    text = "always " + metric.target.describe(table[0], outputs, metric.answers)
    if metric.is_slow:  # of the rows' order, in which all are equal in every sample
        return ConstantAnswer(text, metric.value(targets, table), 0.0)
    return ConstantAnswer(text, *metric.score(targets, table))


def constant_table(metric: Metric, targets: np.ndarray, k: int) -> np.ndarray:
    """(n, k) the predictions of the constant answer, a broadcast row."""
    if metric.constant is None:
        return metric.target.constant(targets, k)
    return np.broadcast_to(metric.constant(targets), (len(targets), k))
