"""Labels that are not the likeliest class: a bias a class, added to the log probabilities before the argmax.

Balanced accuracy, macro F1 and quadratic kappa are larger where rare or middle classes get more rows than the argmax
gives them. The biases are found by coordinate ascent on the metric itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.scoring.confusion import Counts, count
from src.scoring.metrics import Metric

MIN_WEIGHED_PROB = 1e-12  # so small that no bias a class, which multiplies it, makes it the largest
CUTS, MAX_CELLS = 1000, 2**15  # places between two rows that are tried for a bias, at most; and times classes, at most
SWEEPS, ENOUGH = 5, 5e-4  # over the classes, at most; and the gain of a sweep that is worth another one


@dataclass(frozen=True)
class Biases:
    bias: np.ndarray  # (k,)

    def apply(self, probs: np.ndarray) -> np.ndarray:
        """(n, k) probabilities in proportion to probs * exp(bias): their argmax is the label. Without bias, `probs`."""
        if not np.any(self.bias):
            return probs
        weighed = np.maximum(probs, MIN_WEIGHED_PROB) * np.exp(self.bias - np.max(self.bias))
        return weighed / weighed.sum(axis=1, keepdims=True)

    def facts(self, outputs: Sequence[str]) -> dict[str, Any]:
        return dict(zip(outputs, self.bias.tolist(), strict=True))


def fit(metric: Metric, probs: np.ndarray, targets: np.ndarray) -> Biases:
    """The biases with which the metric is large on rows of probs (n, k).

    Climbs from no bias and from that which makes up for the classes' frequencies, and takes the better top. The class
    with the least bias is moved to 0.
    """
    k = probs.shape[1]
    if (targets == targets[0]).all():  # nothing to learn
        return Biases(np.zeros(k))
    logs = np.log(np.maximum(probs, MIN_WEIGHED_PROB, dtype=float))
    frequency = np.maximum(np.bincount(targets, minlength=k), 1) / len(targets)
    found = [climb(metric, logs, targets, start) for start in (np.zeros(k), -np.log(frequency))]
    bias = max(found, key=lambda pair: pair[0])[1]  # of equal ones the first
    return Biases(bias - bias.min())


def climb(metric: Metric, logs: np.ndarray, targets: np.ndarray, bias: np.ndarray) -> tuple[float, np.ndarray]:
    """The metric and the biases at the top that is reached by changing one class's at a time."""
    scores, k = logs + bias, logs.shape[1]
    best = float(metric.of_counts(count(targets, scores.argmax(axis=1), k)))
    bias = bias.copy()
    for _ in range(SWEEPS):
        before = best
        for label in range(k):
            value, cut = best_cut(metric, scores, targets, label)
            if value > best + 1e-9:
                best = value
                bias[label] += cut
                scores[:, label] += cut
        if best < before + ENOUGH:
            break
    return best, bias


def best_cut(metric: Metric, scores: np.ndarray, targets: np.ndarray, label: int) -> tuple[float, float]:
    """The best of what the metric can be if one class's scores (n, k) are raised or lowered, and by how much.

    Rows fall to the class in the order in which it is behind: one sort, and sums along it give the counts of all cuts.
    """
    n, k = scores.shape
    own = scores[:, label].copy()
    scores[:, label] = -np.inf
    rival = scores.argmax(axis=1)
    behind = scores[np.arange(n), rival] - own
    scores[:, label] = own
    order = np.argsort(behind)
    behind, rival, true = behind[order], rival[order], targets[order]
    between = np.flatnonzero(behind[1:] > behind[:-1])  # a cut behind this row: no two rows that tie are parted
    if not len(between):
        return -np.inf, 0.0
    most = min(CUTS, max(MAX_CELLS // k, 10))
    cuts = between[np.unique(np.linspace(0, len(between) - 1, most).astype(int))]
    start = count(true, rival, k)
    part = np.searchsorted(cuts, np.arange(n))  # the first cut that has the row before it

    def moved(which: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(cuts, k) how many rows of `which`, a mask, are before each cut, by their label."""
        cells = part[which] * k + labels[which]
        return np.bincount(cells, minlength=(len(cuts) + 1) * k).reshape(-1, k)[: len(cuts)].cumsum(axis=0)

    every = np.full(n, True)
    hits, predicted = start.hits - moved(rival == true, rival), start.predicted - moved(every, rival)
    hits[:, label] += moved(true == label, true)[:, label]
    predicted[:, label] += cuts + 1
    change = np.square(true - label, dtype=float) - np.square(true - rival, dtype=float)
    values = metric.of_counts(Counts(hits, start.true, predicted, start.far + np.cumsum(change)[cuts]))
    best = int(values.argmax())
    place = cuts[best]
    return float(values[best]), float((behind[place] + behind[place + 1]) / 2)
