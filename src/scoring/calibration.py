"""Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"): one number for over-confidence.

Log probabilities are divided by a temperature T and made probabilities again: T > 1 makes them less sure, no label
changes. T has the least log loss on rows that the model was not trained on. The log loss is convex in 1/T, so that its
slope has one zero.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from src.scoring.cross_fitting import cross_fit
from src.scoring.targets import MIN_PROB

COLDEST, HOTTEST = 0.05, 20.0


def temperature(probs: np.ndarray, targets: np.ndarray) -> float:
    """The T, from COLDEST to HOTTEST, with which the log loss of these rows (n, k) is least."""
    logs = logarithm(probs)
    true = logs[np.arange(len(targets)), targets].mean()

    def slope(per: float) -> float:  # of the log loss, at 1/T
        return (softmax(per * logs, axis=1) * logs).sum(axis=1).mean() - true

    if slope(1 / COLDEST) <= 0:
        return COLDEST
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    return 1 / brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-6)


def scale(probs: np.ndarray, temperature: float) -> np.ndarray:
    """(n, k) probabilities at the temperature, in the type of `probs`."""
    return softmax(logarithm(probs) / temperature, axis=1).astype(probs.dtype)


def cross_fitted(probs: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(n, k) each fold's rows at the temperature that is fitted on the other folds' rows: honest to score."""
    return cross_fit(temperature, scale, probs, targets, fold)


def logarithm(probs: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probs, MIN_PROB, dtype=float))
