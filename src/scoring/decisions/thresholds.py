"""The probability from which on a label is there, for each label: found on an F score of several labels a row.

F is best where labels are there from about half of what F itself is on (Lipton, Elkan & Narayanaswamy 2014), so that
1/2 is too much for all but the best models. Thresholds are tried on a grid that is even in log odds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from src.scoring.blocks import blocks, by_rows
from src.scoring.fscores import FScore, LabelCounts, of_rows
from src.scoring.metric import Metric

GRID = expit(np.linspace(-9, 9, 361))
COARSE = np.arange(0, len(GRID), 10)  # places of it that are tried for all labels where each needs a look at all rows
ENOUGH = 50  # rows that have a label: one of fewer has the threshold of all labels
SWEEPS = 5  # over the labels, at most


@dataclass(frozen=True)
class Thresholds:
    name: ClassVar[str] = "thresholds"

    thresholds: np.ndarray  # (k,) above 0 and below 1
    never_empty: bool  # whether a row without one has its likeliest label

    def apply(self, table: np.ndarray) -> np.ndarray:
        """(n, k) probabilities that are 1/2 where they were the threshold, each column in the order that it had."""
        return by_rows(self.moved, table)

    def moved(self, table: np.ndarray) -> np.ndarray:
        t, half = self.thresholds.astype(table.dtype), table.dtype.type(0.5)
        moved = table * (1 - t)
        moved /= moved + (1 - table) * t
        there = table >= self.thresholds
        moved = np.where(there, np.maximum(moved, half), np.minimum(moved, np.nextafter(half, 0 * half)))
        if self.never_empty:
            empty = np.flatnonzero(~there.any(axis=1))
            moved[empty, table[empty].argmax(axis=1)] = half
        return moved

    def facts(self, outputs: Sequence[str]) -> dict[str, Any]:
        thresholds = dict(zip(outputs, self.thresholds.tolist(), strict=True))
        return {"rule": self.name, "thresholds": thresholds, "never_empty": self.never_empty}

    @classmethod
    def of(cls, facts: dict[str, Any], outputs: Sequence[str]) -> "Thresholds":
        return cls(np.array([facts["thresholds"][name] for name in outputs]), facts["never_empty"])


def fit(metric: Metric, table: np.ndarray, targets: np.ndarray) -> Thresholds:
    """The thresholds with which the metric is large on rows of probabilities (n, k).

    Begins with the best one for all labels, then changes those of labels of ENOUGH rows one at a time. Where each of
    the rows has a label, and the metric gains by it, a row without an answer gets its likeliest label.
    """
    f = metric.f_score
    places = (by_row if f.average == "sample" else by_label)(f, targets, table)
    plain = Thresholds(GRID[places], never_empty=False)
    if not targets.any(axis=1).all():
        return plain
    filled = Thresholds(GRID[places], never_empty=True)
    gain = metric.value(targets, filled.apply(table)) - metric.value(targets, plain.apply(table))
    return filled if gain >= 0 else plain


def by_label(f: FScore, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(k,) places in the grid for the micro or macro average, which need no more than counts at each threshold."""
    (hits, predicted), true = above(targets, table), targets.sum(axis=0, dtype=float)[:, None]
    alone = f.of(LabelCounts(hits, true, predicted))  # (k, grid)
    is_frequent = (true >= ENOUGH)[:, 0]
    if f.average == "macro":
        places = np.full(len(true), best_place(alone.mean(axis=0)))
        places[is_frequent] = [best_place(values) for values in alone[is_frequent]]
        return places
    places = np.full(len(true), best_place(f.of(LabelCounts(hits.sum(axis=0), true.sum(), predicted.sum(axis=0)))))
    rows = np.arange(len(true))
    all_hits, all_predicted = hits[rows, places].sum(), predicted[rows, places].sum()
    for _ in range(SWEEPS):
        before = places.copy()
        for label in np.flatnonzero(is_frequent):
            own = places[label]
            others = all_hits - hits[label, own], all_predicted - predicted[label, own]
            values = f.of(LabelCounts(others[0] + hits[label], true.sum(), others[1] + predicted[label]))
            new = places[label] = best_place(values)
            all_hits, all_predicted = others[0] + hits[label, new], others[1] + predicted[label, new]
        if (places == before).all():
            break
    return places


def above(targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(2, k, grid) of each label the rows that have it, and all, whose probability is at least each threshold."""
    k, size = table.shape[1], len(GRID) + 1
    counts = np.zeros((2, k * size), int)
    for rows in blocks(table.shape):
        cells = (bins(table[rows]) + size * np.arange(k)).ravel()
        counts[0] += np.bincount(cells[targets[rows].ravel() > 0], minlength=k * size)
        counts[1] += np.bincount(cells, minlength=k * size)
    return counts.reshape(2, k, size)[..., ::-1].cumsum(axis=2)[..., -2::-1].astype(float)


def bins(probs: np.ndarray) -> np.ndarray:
    """How many thresholds of the grid each probability reaches."""
    return np.searchsorted(GRID, probs, side="right")


def by_row(f: FScore, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(k,) places in the grid for the mean over rows: a label's threshold moves it by the rows that then have it."""
    alike = np.array([f.value(targets, table >= GRID[place]) for place in COARSE])
    places = np.full(table.shape[1], COARSE[best_place(alike)])
    counts = of_rows(targets, table >= GRID[places])
    for _ in range(SWEEPS):
        before = places.copy()
        for label in np.flatnonzero(targets.sum(axis=0, dtype=int) >= ENOUGH):
            true, reached = targets[:, label] > 0, bins(table[:, label])
            there = reached > places[label]
            hits, predicted = counts.hits - (true & there), counts.predicted - there
            off = f.of(LabelCounts(hits, counts.true, predicted))
            on = f.of(LabelCounts(hits + true, counts.true, predicted + 1))
            gained = np.bincount(reached, on - off, minlength=len(GRID) + 1)
            places[label] = best_place(gained[::-1].cumsum()[-2::-1])
            there = reached > places[label]
            counts = LabelCounts(hits + (true & there), counts.true, predicted + there)
        if (places == before).all():
            break
    return places


def best_place(values: np.ndarray) -> int:
    """The middle of the places of the greatest value that are beside each other, the first of such."""
    best = int(values.argmax())
    worse = np.flatnonzero(values[best:] < values[best] - 1e-12)
    last = best + (int(worse[0]) if len(worse) else len(values) - best) - 1
    return (best + last) // 2
