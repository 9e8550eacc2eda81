"""Cross-fitting: each fold's rows by what is fitted on the other folds' rows."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def cross_fit(
    fit: Callable[[np.ndarray, np.ndarray], T],
    apply: Callable[[np.ndarray, T], np.ndarray],
    probs: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
) -> np.ndarray:
    """Each fold's rows by what is fitted on the other folds' rows, and so honest to score: (n, k), as `probs` is.

    Args:
        fit: Probabilities and class indices of some rows to what is fitted.
        apply: Probabilities of other rows and that to new probabilities.
        fold: (n,) the fold of each row.
    """
    made = np.empty_like(probs)
    for k in np.unique(fold):
        rows = fold == k
        made[rows] = apply(probs[rows], fit(probs[~rows], targets[~rows]))
    return made
