"""Average precision: the mean over rows that have a label of the precision among the rows at least as likely.

It is the area under the steps of the precision-recall curve, as scikit-learn has it.
"""

import numpy as np


def value(is_class: np.ndarray, prob: np.ndarray) -> float:
    """Of one column, (n,) bool and (n,), in which a row has the label."""
    hits, rows, _ = reached(is_class, prob)
    return float((hits / rows)[is_class].mean())


def influence(is_class: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(n,) how much each row moves the value: n times its derivative by the row's weight.

    A row moves the precision at each row with the label that it is at least as likely as, hits / rows, by
    its label / rows - hits / rows^2; and one with the label adds its own precision to the mean.
    """
    hits, rows, place = reached(is_class, prob)
    precision, positives = hits / rows, is_class.sum()

    def below(values: np.ndarray) -> np.ndarray:
        """(n,) the sum of values over the rows with the label that are at most as likely."""
        return np.bincount(place[is_class], values[is_class], minlength=place.max() + 1).cumsum()[place]

    moved = is_class * (precision - precision[is_class].mean() + below(1 / rows)) - below(precision / rows)
    return moved * len(prob) / positives


def reached(is_class: np.ndarray, prob: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) of the rows at least as likely: those with the label, and all; and the place among unequal probabilities."""
    _, place, counts = np.unique(prob, return_inverse=True, return_counts=True)
    of_class = np.bincount(place[is_class], minlength=len(counts))
    hits, rows = (count[::-1].cumsum()[::-1][place] for count in (of_class, counts))
    return hits, rows, place
