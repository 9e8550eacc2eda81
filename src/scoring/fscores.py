"""F scores of several labels a row: (1 + b^2) hits / (b^2 true + predicted), where b says what recall weighs.

  micro    of the counts of all labels together
  macro    the mean over labels of each one's
  sample   the mean over rows of each one's

Values are scikit-learn's: 0 where a label or a row has neither true labels nor predicted ones.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from src.scoring.blocks import blocks
from src.scoring.confusion import ratio
from src.scoring.targets import TARGETS

Average = Literal["micro", "macro", "sample"]


@dataclass(frozen=True)
class LabelCounts:
    """Counts of labels: of each row, of each label, or of all, and of many cuts of these."""

    hits: np.ndarray  # true ones that are predicted
    true: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class FScore:
    average: Average
    beta: float = 1.0

    def of(self, counts: LabelCounts) -> np.ndarray:
        """The F score of each of the counts."""
        weight = self.beta**2
        return ratio((1 + weight) * counts.hits, weight * counts.true + counts.predicted)[0]

    def value(self, targets: np.ndarray, table: np.ndarray) -> float:
        """Of targets (n, k) of 0 and 1, and probabilities (n, k)."""
        if self.average == "sample":
            return float(self.per_row(targets, table).mean())
        counts = of_labels(targets, table)
        if self.average == "micro":
            counts = LabelCounts(counts.hits.sum(), counts.true.sum(), counts.predicted.sum())
        return float(self.of(counts).mean())

    def per_row(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        """(n,) the F score of each row's labels."""
        return self.of(of_rows(targets, table))

    def influence(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        """(n,) how much each row moves the micro or macro average.

        A ratio of sums over rows moves by ((1 + b^2) hits - F (b^2 true + predicted)) / the mean of its denominator.
        """
        counts, weight, n = of_labels(targets, table), self.beta**2, len(targets)
        if self.average == "micro":
            total = LabelCounts(counts.hits.sum(), counts.true.sum(), counts.predicted.sum())
            rows, per, _ = of_rows(targets, table), *ratio(n, weight * total.true + total.predicted)
            return per * ((1 + weight) * rows.hits - self.of(total) * (weight * rows.true + rows.predicted))
        score, per = self.of(counts), ratio(n, weight * counts.true + counts.predicted)[0] / len(counts.true)
        moved = np.empty(n)
        for rows in blocks(table.shape):
            true, predicted = targets[rows] > 0, TARGETS["labels"].answers(table[rows])
            hits = (true & predicted) @ ((1 + weight) * per)
            moved[rows] = hits - true @ (weight * per * score) - predicted @ (per * score)
        return moved


def best_constant(f: FScore, targets: np.ndarray) -> np.ndarray:
    """(k,) 1 for the labels that all rows had best, were all to have the same: the most frequent, of which many."""
    (n, k), frequency = targets.shape, targets.sum(axis=0, dtype=float)
    order, hits, true = np.argsort(-frequency, kind="stable"), np.zeros(n), targets.sum(axis=1, dtype=float)
    if f.average == "micro":
        values = f.of(LabelCounts(frequency[order].cumsum(), frequency.sum(), n * np.arange(1, k + 1)))
    elif f.average == "macro":  # each label that a row has adds its own
        values = f.of(LabelCounts(frequency, frequency, np.full(k, n)))[order].cumsum()
    else:
        values = np.empty(k)
        for i, label in enumerate(order):
            hits += targets[:, label]
            values[i] = f.of(LabelCounts(hits, true, np.full(n, i + 1))).mean()
    return np.isin(np.arange(k), order[: values.argmax() + 1]).astype(float)


def of_rows(targets: np.ndarray, table: np.ndarray) -> LabelCounts:
    """The counts (n,) of each row."""
    return count(targets, table, axis=1)


def of_labels(targets: np.ndarray, table: np.ndarray) -> LabelCounts:
    """The counts (k,) of each label."""
    return count(targets, table, axis=0)


def count(targets: np.ndarray, table: np.ndarray, axis: int) -> LabelCounts:
    parts = []
    for rows in blocks(table.shape):
        true, predicted = targets[rows] > 0, TARGETS["labels"].answers(table[rows])
        parts.append(np.stack([one.sum(axis=axis) for one in (true & predicted, true, predicted)]))
    whole = np.concatenate(parts, axis=1) if axis else np.sum(parts, axis=0)
    return LabelCounts(*whole.astype(float))
