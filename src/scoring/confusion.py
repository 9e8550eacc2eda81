"""Metrics of labels, computed from the counts of one confusion matrix, or of many at once.

Values are scikit-learn's. Where one is undefined, such as kappa if all rows are of one class and are found, it is NaN.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """The counts of a confusion matrix of k classes, or of many: then all have the same shape in front."""

    hits: np.ndarray  # (..., k) rows of each class that have its label
    true: np.ndarray  # (..., k) rows of each class
    predicted: np.ndarray  # (..., k) rows with its label
    far: np.ndarray  # (...) the sum over rows of (class - label) squared


def count(targets: np.ndarray, labels: np.ndarray, k: int) -> Counts:
    """The counts of rows with class indices `targets` and `labels`, both (n,)."""
    hits, true, predicted = (
        np.bincount(rows, minlength=k).astype(float) for rows in (targets[targets == labels], targets, labels)
    )
    return Counts(hits, true, predicted, np.square(targets - labels, dtype=float).sum())


def accuracy(counts: Counts) -> np.ndarray:
    """The share of rows whose class is found."""
    return counts.hits.sum(axis=-1) / counts.true.sum(axis=-1)


def balanced_accuracy(counts: Counts) -> np.ndarray:
    """The mean over classes that occur of the share of their rows that is found."""
    return mean(*ratio(counts.hits, counts.true))


def macro_f1(counts: Counts) -> np.ndarray:
    """The mean of F1 over classes that occur, as true ones or as labels."""
    return mean(*ratio(2 * counts.hits, counts.true + counts.predicted))


def quadratic_kappa(counts: Counts) -> np.ndarray:
    """Cohen's kappa (1968) with quadratic weights: 1 - far / what it would be if classes and labels were independent.

    Classes are points on a line, one apart, in their order; those that do not occur keep their place.
    """
    place = np.arange(counts.true.shape[-1])
    n = counts.true.sum(axis=-1)
    squares = (counts.true + counts.predicted) @ place**2
    chance = squares - 2 * (counts.true @ place) * (counts.predicted @ place) / n
    share, known = ratio(counts.far, np.where(chance > 1e-9 * n, chance, 0))
    return np.where(known, 1 - share, np.nan)


def ratio(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """part / whole and where that is defined (it is 0 elsewhere)."""
    part, whole = np.broadcast_arrays(part, whole)
    known = whole > 0
    return np.divide(part, whole, out=np.zeros(whole.shape), where=known), known


def mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean over the last axis of values where they are known; NaN where none is."""
    share, some = ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
    return np.where(some, share, np.nan)
