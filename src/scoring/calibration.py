"""Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"): one number for over-confidence.

Log probabilities are divided by a temperature T and made probabilities again: T > 1 makes them less sure, no label
changes. T has the least log loss on rows that the model was not trained on. The log loss is convex in 1/T, so that its
slope has one zero. Each of several labels has a T of its own, of its log odds; those of few rows share one. Numbers
have none: see `Target.is_calibrated`.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from src.scoring.blocks import by_rows
from src.scoring.cross_fitting import cross_fit
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, true_probs
from src.scoring.targets import MIN_PROB

COLDEST, HOTTEST = 0.05, 20.0
ENOUGH = 50  # rows that have a label, and that have not
CELLS = 2**22  # numbers that the temperature of all labels is fitted on


def temperature(probs: Table, targets: np.ndarray) -> float | np.ndarray:
    """The T, from COLDEST to HOTTEST, with which the log loss of these rows (n, k) is least; of labels (k,) of each."""
    if targets.ndim == 2:
        return temperatures(probs, targets)
    if isinstance(probs, SparseTable):
        known = np.log(np.maximum(true_probs(targets, probs), MIN_PROB, dtype=float)).mean()
        return root_of(lambda per: probs.raised(per).mean_log(probs) - known)
    logs = logarithm(probs)
    true = logs[np.arange(len(targets)), targets].mean()

    def slope(per: float) -> float:  # of the log loss, at 1/T
        return (softmax(per * logs, axis=1) * logs).sum(axis=1).mean() - true

    return root_of(slope)


def temperatures(probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(k,) that of each label's log odds, and that of all labels for one that fewer than ENOUGH rows have, or have not.

    That of all is fitted on CELLS of the numbers, at most.
    """
    n, k = probs.shape
    rows = slice(None, None, -(-n * k // CELLS))
    found = np.full(k, of_odds(log_odds(probs[rows]).ravel(), targets[rows].ravel()))
    having = targets.sum(axis=0, dtype=int)
    for label in np.flatnonzero(np.minimum(having, n - having) >= ENOUGH):
        found[label] = of_odds(log_odds(probs[:, label]), targets[:, label])
    return found


def of_odds(odds: np.ndarray, targets: np.ndarray) -> float:
    true = float(odds @ targets)

    def slope(per: float) -> float:  # of the log loss, at 1/T
        return (float(expit(per * odds) @ odds) - true) / len(odds)

    return root_of(slope)


def root_of(slope: Callable[[float], float]) -> float:
    """The T at which the slope of the log loss, a rising function of 1/T, is 0."""
    if slope(1 / COLDEST) <= 0:
        return COLDEST
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    return 1 / brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-6)


def scale(probs: Table, temperature: float | np.ndarray) -> Table:
    """(n, k) probabilities at the temperature, or of labels at those of each (k,), in the type of `probs`."""
    if np.ndim(temperature):
        return by_rows(lambda some: expit(log_odds(some) / temperature).astype(probs.dtype), probs)
    if isinstance(probs, SparseTable):
        return probs.raised(1 / temperature)
    return softmax(logarithm(probs) / temperature, axis=1).astype(probs.dtype)


def cross_fitted(probs: Table, targets: np.ndarray, fold: np.ndarray) -> Table:
    """(n, k) each fold's rows at the temperature that is fitted on the other folds' rows: honest to score."""
    return cross_fit(temperature, scale, probs, targets, fold)


def rounded(temperature: float | np.ndarray) -> float | list[float]:
    """In four digits, for JSON."""
    return [round(one, 4) for one in temperature.tolist()] if np.ndim(temperature) else round(temperature, 4)


def logarithm(probs: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probs, MIN_PROB, dtype=float))


def log_odds(probs: np.ndarray) -> np.ndarray:
    return logit(np.clip(probs.astype(float), MIN_PROB, 1 - MIN_PROB))
