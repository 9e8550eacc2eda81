"""Greedy selection of models by the metric, on out-of-fold predictions."""

from collections.abc import Callable

import numpy as np

from src.models.blend.weighting import ADDED_PROB
from src.scoring import decisions
from src.scoring.confusion import count
from src.scoring.metric import defined
from src.scoring.metrics import DIGITS, METRICS, Metric

ROUNDS, STALLED_ROUNDS = 30, 3  # of greedy selection: at most, and those that may pass without a better ensemble
Rank = Callable[
    [np.ndarray, int], tuple[float, float]
]  # of the mean of so many tables, by their sum: see `Metric.rank`


def greedy_weights(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> np.ndarray:
    """Forward selection with replacement on the metric (Caruana et al. 2004, "Ensemble Selection from Libraries").

    Begins with the best so many of the models in the order of their scores, as the paper does against over-fitting,
    then adds the model that makes the mean best, again and again; the best ensemble on the way counts. Of models that
    make it equally good the one with the least log loss is added. Labels are by the decision rule of the models' mean.
    """
    m = len(oofs)
    library, rank = (class_library if metric.target.is_choice else library_of)(oofs, targets, metric)
    room = np.empty(library.shape[1:], library.dtype)
    alone = [rank(own, 1) for own in library]
    order = sorted(range(m), key=alone.__getitem__, reverse=True)
    total, ranks = np.zeros(library.shape[1:], library.dtype), []
    for size, j in enumerate(order, 1):
        total += library[j]
        ranks.append(rank(total, size))
    top = max(ranks)
    first = ranks.index(top) + 1
    counts = np.bincount(order[:first], minlength=m)
    total[:] = 0
    for j in order[:first]:
        total += library[j]
    best_counts, waited = counts, 0
    for size in range(first + 1, first + 1 + ROUNDS):
        ranks = [rank(np.add(total, own, out=room), size) for own in library]
        j = ranks.index(max(ranks))
        total += library[j]
        counts = counts + (np.arange(m) == j)
        waited = 0 if ranks[j][0] > top[0] else waited + 1  # a lower log loss alone is worth no further rounds
        if ranks[j] > top:
            best_counts, top = counts, ranks[j]
        if waited == STALLED_ROUNDS:
            break
    return best_counts / best_counts.sum()


def library_of(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> tuple[np.ndarray, Rank]:
    """The models' tables to be summed, and the rank of a sum."""
    rule = decisions.fit(metric, oofs.mean(axis=0), targets)

    def rank(total: np.ndarray, size: int) -> tuple[float, float]:
        mean = total / size
        return metric.rank(targets, rule.apply(mean), mean)

    return oofs, rank


def class_library(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> tuple[np.ndarray, Rank]:
    """As `library_of`, many times faster: the argmax of a sum of weighed probabilities is its label by the rule."""
    n = len(targets)
    bias = decisions.bias_of(metric, oofs.mean(axis=0), targets)
    weighed = oofs * np.exp(bias).astype(oofs.dtype) if bias.any() else oofs
    library = np.ascontiguousarray(weighed.transpose(0, 2, 1))  # (m, k, n): classes one after the other are fast
    true = targets * n + np.arange(n)

    def rank(total: np.ndarray, size: int) -> tuple[float, float]:
        value = defined(metric.sign * score(metric, targets, total, size))
        return round(value, DIGITS), np.log(total.ravel()[true] / size + ADDED_PROB, dtype=float).mean()

    return library, rank


def score(metric: Metric, targets: np.ndarray, total: np.ndarray, size: int) -> float:
    """The metric of the mean of so many tables, of their sum (k, n)."""
    if not metric.of_labels:
        return metric.value(targets, (total / size).T)
    labels, most = np.zeros(len(targets), int), total[0].copy()
    for label in range(1, len(total)):
        more = total[label] > most
        labels[more] = label
        np.maximum(most, total[label], out=most)
    if metric is METRICS["accuracy"]:
        return float((labels == targets).mean())
    return float(metric.of_counts(count(targets, labels, len(total))))
