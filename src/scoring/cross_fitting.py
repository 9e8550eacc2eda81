"""Cross-fitting: each fold's rows are changed by what is fitted on the other folds' rows."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from src.scoring.tables import Gathered, Table

T = TypeVar("T")


def cross_fit(
    fit: Callable[[np.ndarray, np.ndarray], T],
    apply: Callable[[np.ndarray, T], np.ndarray],
    probs: Table,
    targets: np.ndarray,
    fold: np.ndarray,
) -> Table:
    """(n, k) new probabilities that are honest to score.

    Args:
        fit: A function from probabilities and class indices of some rows to what is fitted.
        apply: A function from probabilities of other rows and that to new probabilities.
        fold: (n,) the fold of each row.
    """
    fitted = np.empty_like(probs) if isinstance(probs, np.ndarray) else Gathered(*probs.shape, True)
    for k in np.unique(fold):
        rows = fold == k
        fitted[rows] = apply(probs[rows], fit(probs[~rows], targets[~rows]))
    return fitted if isinstance(probs, np.ndarray) else fitted.table()
