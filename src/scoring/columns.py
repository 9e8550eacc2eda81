"""What is scored column by column, a class against the rest or a label, and is the mean of that over columns.

A column that has no row of the class or label, or in which all are, is undefined and left out; NaN if that leaves none.
"""

from collections.abc import Callable, Iterator

import numpy as np

Column = Callable[[np.ndarray, np.ndarray], float]  # of (n,) bool, whether a row has the label, and its probabilities


def columns(targets: np.ndarray, table: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Whether each row has the label (n,) bool, and its probability (n,), of each column that is defined.

    Of two classes that is the second alone: of it Kaggle wants the probability.
    """
    several = targets.ndim == 2
    for j in [1] if not several and table.shape[1] == 2 else range(table.shape[1]):
        is_class = targets[:, j] > 0 if several else targets == j
        if is_class.any() and not is_class.all():
            yield is_class, table[:, j]


def column_mean(of: Column, targets: np.ndarray, table: np.ndarray) -> float:
    """The mean of `of` over columns."""
    values = [of(*column) for column in columns(targets, table)]
    return float(np.mean(values)) if values else float("nan")


def influence(of: Callable[..., np.ndarray], targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(n,) the mean over columns of how much each row moves a column's value; NaN where no column has one."""
    total, defined = np.zeros(len(targets)), 0
    for column in columns(targets, table):
        total += of(*column)
        defined += 1
    return total / defined if defined else np.full(len(targets), np.nan)
