"""Scores, each with its standard error. A config names one of METRICS."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score that is a mean over rows, so that its standard error is the rows' standard deviation over sqrt(n)."""

    per_row: Callable[[np.ndarray, np.ndarray], np.ndarray]  # targets (n,) and probs (n, k) -> (n,)
    greater_is_better: bool
    of_labels: bool  # what a submission holds: labels, or else one column of probabilities a class

    def score(self, targets: np.ndarray, probs: np.ndarray) -> tuple[float, float]:
        """The score and its standard error (0 where all rows have the same)."""
        rows = self.per_row(targets, probs)
        return float(rows.mean()), standard_error(rows)

    def gain(self, targets: np.ndarray, probs: np.ndarray, than: np.ndarray) -> tuple[float, float]:
        """How much better `probs` score than the predictions `than` on the same rows: positive is better.

        With the standard error of the paired difference, which is much smaller than that of either score.
        """
        rows = self.per_row(targets, probs) - self.per_row(targets, than)
        return float(rows.mean()) * (1 if self.greater_is_better else -1), standard_error(rows)


def standard_error(rows: np.ndarray) -> float:
    return float(rows.std() / np.sqrt(len(rows)))


def correct(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    return (probs.argmax(axis=1) == targets).astype(float)


def surprise(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """-log of the true class's probability, which is kept from 0 by float32's resolution, as scikit-learn does."""
    return -np.log(np.clip(probs[np.arange(len(targets)), targets], np.finfo(np.float32).eps, 1).astype(float))


METRICS = {
    "accuracy": Metric(correct, greater_is_better=True, of_labels=True),
    "log_loss": Metric(surprise, greater_is_better=False, of_labels=False),
}
