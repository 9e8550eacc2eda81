"""The bootstrap over rows (Efron 1979) of metrics that are no means over rows: how much chance is in a score.

Each replicate draws n of the n rows with replacement. Predictions that are compared are scored on the same draws. A
metric of labels depends on how many rows are in each cell (true class, labels) alone: then the cells are drawn.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from src.scoring import auc
from src.scoring.confusion import Counts

REPLICATES, SEED = 200, 0
AT_ONCE = 2**19  # numbers worked on together: memory does not grow with the replicates


def label_replicates(
    measure: Callable[[Counts], np.ndarray], targets: np.ndarray, predictions: Sequence[np.ndarray]
) -> np.ndarray:
    """(p, REPLICATES) the `measure` of each of p predictions, (n, k) probabilities; NaN where it is undefined."""
    n, k = predictions[0].shape
    columns = np.stack([targets, *(probs.argmax(axis=1) for probs in predictions)])
    cells, rows = np.unique(columns, axis=1, return_counts=True)
    true, *labels = cells
    rng, found = np.random.default_rng(SEED), []
    for size in sizes(max(len(rows), k)):
        drawn = rng.multinomial(n, rows / n, size=size).astype(float)
        totals, values = drawn @ member(true, k), []
        for label in labels:
            hits, far = drawn @ member(label, k, true == label), drawn @ (true - label).astype(float) ** 2
            values.append(measure(Counts(hits, totals, drawn @ member(label, k), far)))
        found.append(values)
    return np.concatenate(found, axis=1)


def member(label: np.ndarray, k: int, which: np.ndarray | None = None) -> sparse.csr_array:
    """(c, k) 1 at the label of each cell, if it is one of `which`."""
    ones = np.ones(len(label)) if which is None else which.astype(float)
    return sparse.csr_array((ones, (np.arange(len(label)), label)), shape=(len(label), k))


def auc_replicates(targets: np.ndarray, predictions: Sequence[np.ndarray]) -> np.ndarray:
    """(p, REPLICATES) the AUC of each of p predictions, (n, k) probabilities; NaN where it is undefined."""
    n, rng, found = len(targets), np.random.default_rng(SEED), []
    for size in sizes(n):
        draws = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        drawn = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
        times = np.ascontiguousarray(drawn.T, np.float32)  # a row's draws beside each other: they are sorted together
        found.append([auc.weighted(targets, probs, times) for probs in predictions])
    return np.concatenate(found, axis=1)


def sizes(numbers: int) -> list[int]:
    """The replicates in parts, each of which works on so many numbers a replicate."""
    most = min(max(1, AT_ONCE // numbers), REPLICATES)
    return [most] * (REPLICATES // most) + ([REPLICATES % most] if REPLICATES % most else [])


def spread(values: np.ndarray) -> float:
    """The standard error: the standard deviation over the replicates in which the metric is defined; NaN if in none."""
    values = values[np.isfinite(values)]
    return float(values.std()) if len(values) else float("nan")
