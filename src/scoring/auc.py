"""The area under the ROC curve of each class against the rest, and its mean over classes.

It is the share of pairs of a row of the class and one of the rest in which the first has the larger probability; a tie
counts half. Classes that have no rows, or all of them, have no such pair and are left out; NaN if that leaves none.
"""

import numpy as np

from src.scoring.confusion import mean


def value(targets: np.ndarray, probs: np.ndarray) -> float:
    """The mean over classes, of class indices (n,) and probabilities (n, k)."""
    areas = np.array([area(targets == label, probs[:, label]) for label in range(probs.shape[1])])
    return float(mean(areas, np.isfinite(areas)))


def area(is_class: np.ndarray, prob: np.ndarray) -> float:
    """The area of one class: is_class (n,) bool, prob (n,) from 0 to 1; NaN if there is no pair.

    Sorts numbers, which is many times faster than sorting places: the order of floats that are not negative is that of
    their bits as integers, and below 2 the highest bits are 0, so that there is room for `is_class` as the lowest.
    """
    keys = (prob.astype(np.float64) + 0.0).view(np.int64) << 1 | is_class
    keys.sort()
    value = keys >> 1
    last = np.flatnonzero(np.append(value[1:] != value[:-1], True))  # of each group of ties
    of_class = np.cumsum(keys & 1)[last]
    others = last + 1 - of_class
    pairs = float(of_class[-1]) * float(others[-1])
    if pairs == 0:
        return float("nan")
    below = np.diff(of_class, prepend=0) * (others - np.diff(others, prepend=0) / 2)
    return float(below.sum() / pairs)


def weighted(targets: np.ndarray, probs: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(r,) `value` of r samples, in which row i stands times[i] times: times (n, r) float32. One sort a class."""
    n, r = times.shape
    areas = np.full((r, probs.shape[1]), np.nan)
    others = np.zeros((n + 1, r), np.float32)  # rows of other classes before each place
    for label in np.unique(targets):
        order = np.argsort(probs[:, label], kind="stable")
        prob, is_class = probs[order, label], targets[order] == label
        rows = np.take(times, order, axis=0)
        own = rows[is_class]
        rows[is_class] = 0
        np.cumsum(rows, axis=0, out=others[1:])
        below, up_to = (np.searchsorted(prob, prob[is_class], side=side) for side in ("left", "right"))
        pairs = own.sum(axis=0) * others[-1].astype(float)
        won = np.einsum("ir,ir->r", own, others[below] + others[up_to], dtype=np.float64) / 2
        np.divide(won, pairs, out=areas[:, label], where=pairs > 0)
    return mean(areas, np.isfinite(areas))
