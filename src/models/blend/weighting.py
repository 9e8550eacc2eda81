"""Weights of models, fitted on out-of-fold probabilities: all to the best, by log loss, or by greedy selection."""

import numpy as np
from scipy.optimize import minimize

from src.scoring import decisions
from src.scoring.confusion import count
from src.scoring.metrics import DIGITS, METRICS, Metric

ADDED_PROB = 1e-7  # added to a blend's probability of the true class: its logarithm and slope stay finite
ROUNDS, STALLED_ROUNDS = 30, 3  # of greedy selection: at most, and those that may pass without a better ensemble


def best_weights(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> np.ndarray:
    """The weights (m,) that are 1 for the best model by the metric, of equal ones for that of the least log loss."""
    decided = [decisions.fit(metric, probs, targets).apply(probs) for probs in oofs]
    ranks = [metric.rank(targets, *tables) for tables in zip(decided, oofs, strict=True)]
    return np.eye(len(oofs))[ranks.index(max(ranks))]


def simplex_weights(oofs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights (m,), not negative and with sum 1, whose blend has the least log loss: a convex problem.

    Args:
        oofs: (m, n, k) probabilities of m models.
        targets: (n,) class indices.
    """
    m, n, _ = oofs.shape
    p_true = oofs[:, np.arange(n), targets].astype(np.float64)  # all that log loss looks at: (m, n)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = weights @ p_true + ADDED_PROB
        return -np.log(blended).mean(), p_true @ (1 / blended) / -n

    result = minimize(
        loss,
        np.full(m, 1 / m),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weights = np.clip(result.x, 0, None)
    weights[weights < 1e-4] = 0  # what the solver leaves instead of nothing
    return weights / weights.sum()


def greedy_weights(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> np.ndarray:
    """Forward selection with replacement on the metric (Caruana et al. 2004, "Ensemble Selection from Libraries").

    Begins with the best so many of the models in the order of their scores, as the paper does against over-fitting,
    then adds the model that makes the mean best, again and again; the best ensemble on the way counts. Of models that
    make it equally good the one with the least log loss is added. Labels are by the decision rule of the models' mean.
    """
    m, n, k = oofs.shape
    bias = decisions.bias_of(metric, oofs.mean(axis=0), targets)
    weighed = oofs * np.exp(bias).astype(oofs.dtype)  # the argmax of a sum of these is its label by the rule
    library = np.ascontiguousarray(weighed.transpose(0, 2, 1))  # (m, k, n): classes one after the other are fast
    true, room = targets * n + np.arange(n), np.empty((k, n), library.dtype)

    def rank(total: np.ndarray, size: int) -> tuple[float, float]:
        """The greater is better: the metric of the mean of so many, and for those that are equal the log loss."""
        value = metric.sign * score(metric, targets, total, size)
        return round(value, DIGITS), np.log(total.ravel()[true] / size + ADDED_PROB, dtype=float).mean()

    alone = [rank(own, 1) for own in library]
    order = sorted(range(m), key=alone.__getitem__, reverse=True)
    total, ranks = np.zeros((k, n), library.dtype), []
    for size, j in enumerate(order, 1):
        total += library[j]
        ranks.append(rank(total, size))
    top = max(ranks)
    first = ranks.index(top) + 1
    counts = np.bincount(order[:first], minlength=m)
    total, best_counts, waited = library[order[:first]].sum(axis=0), counts, 0
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
