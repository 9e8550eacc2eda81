"""A bias of one class alone: that of rows of none of the others, such as `new_whale`, in a ranking.

Where it stands among the likeliest labels is worth what it pushes back: its log probability is raised or lowered by
the one number with which MAP@k is best.
"""

import numpy as np

from src.scoring.class_metrics import ahead
from src.scoring.decisions.biases import MIN_WEIGHED_PROB, Biases
from src.scoring.metric import Metric


def fit(metric: Metric, probs: np.ndarray, targets: np.ndarray) -> Biases:
    """The best bias on rows of probs (n, k), exactly: the metric is a step function of it. 0 if none is better.

    With a rising bias a row of another class loses a place once, where the class of none overtakes the true one; and a
    row of none wins a place at each class that is overtaken, of which those within the places that count matter.
    """
    none, k = metric.none, probs.shape[1]
    worth = np.append(1 / np.arange(1, metric.places + 1), 0)  # of each place; the last is any that does not count
    logs = np.log(np.maximum(probs, MIN_WEIGHED_PROB, dtype=float))
    is_none = targets == none
    true = logs[np.arange(len(targets)), targets]
    without = probs.copy()
    without[:, none] = -1
    place = np.minimum(ahead(targets[~is_none], without[~is_none]), metric.places)
    overtakes = [(true - logs[:, none])[~is_none]]
    changes = [worth[np.minimum(place + 1, metric.places)] - worth[place]]
    others = -np.sort(-np.delete(logs[is_none], none, axis=1), axis=1)[:, : metric.places]
    overtakes.append((others - logs[is_none, none][:, None]).ravel())
    steps = worth[: others.shape[1]] - worth[1 : others.shape[1] + 1]
    changes.append(np.tile(steps, is_none.sum()))
    at, change = np.concatenate(overtakes), np.concatenate(changes)
    order = np.argsort(at, kind="stable")
    at, gained = at[order], np.append(0, np.cumsum(change[order]))  # with a bias before the first of these, and after
    between = 1 + np.flatnonzero(np.diff(at) > 0)
    bias = np.zeros(k)
    if len(between):
        best = between[gained[between].argmax()]
        if gained[best] > gained[np.searchsorted(at, 0)] + 1e-9:
            bias[none] = (at[best - 1] + at[best]) / 2
    return Biases(bias)
