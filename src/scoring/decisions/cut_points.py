"""Grades by cut points on the expected grade, which is the sum over grades of place * probability.

Quadratic kappa counts how far off a grade is, as the expected grade does. The points are found by coordinate ascent on
the metric itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from src.scoring.confusion import Counts
from src.scoring.metric import Metric

CUTS, MAX_CELLS = 1000, 2**20  # places between two rows that are tried, at most; and times a confusion matrix's cells
SWEEPS = 10  # over the points, at most


@dataclass(frozen=True)
class CutPoints:
    name: ClassVar[str] = "cut_points"

    cuts: np.ndarray  # (k - 1,) rising: the expected grades from which on a row is of the next grade

    def apply(self, probs: np.ndarray) -> np.ndarray:
        """(n, k) 1 for the row's grade, 0 for the others."""
        return np.eye(probs.shape[1], dtype=probs.dtype)[np.searchsorted(self.cuts, expected(probs), side="right")]

    def facts(self, outputs: Sequence[str]) -> dict[str, Any]:
        return {"rule": self.name, "cuts": self.cuts.tolist()}

    @classmethod
    def of(cls, facts: dict[str, Any], outputs: Sequence[str]) -> "CutPoints":
        return cls(np.array(facts["cuts"], float))


def expected(probs: np.ndarray) -> np.ndarray:
    """(n,) the expected place of the class, from 0."""
    return probs.astype(float) @ np.arange(probs.shape[1])


def fit(metric: Metric, probs: np.ndarray, targets: np.ndarray) -> CutPoints:
    """The cut points with which the metric is large on rows of probs (n, k).

    Climbs from the nearest grade, and from as many rows of each grade as there are, and takes the better top.
    """
    k, mean = probs.shape[1], expected(probs)
    halves = np.arange(1, k) - 0.5
    if (targets == targets[0]).all():  # nothing to learn
        return CutPoints(halves)
    order = np.argsort(mean, kind="stable")
    mean, true = mean[order], targets[order]
    between = 1 + np.flatnonzero(mean[1:] > mean[:-1])  # no two rows that tie are parted
    most = max(min(CUTS, MAX_CELLS // k**2), 10)
    some = between[np.unique(np.linspace(0, len(between) - 1, most).astype(int))] if len(between) else between
    at_halves = np.searchsorted(mean, halves)
    places = np.unique(np.concatenate([[0, len(mean)], some, at_halves]))  # rows that are below a cut
    before = np.stack([np.append(0, np.cumsum(true == grade))[places] for grade in range(k)], axis=1)
    as_frequent = np.cumsum(np.bincount(targets, minlength=k))[:-1]
    starts = [np.searchsorted(places, at_halves), np.searchsorted(places, as_frequent)]
    _, best = max((climb(metric, before, start) for start in starts), key=lambda pair: pair[0])
    places, ends = places[best], np.concatenate([[0], mean, [k]])  # 0 and k: below and above all rows
    inner = (places > 0) & (places < len(mean))
    cuts = np.where(inner, (ends[places] + ends[np.minimum(places + 1, len(mean))]) / 2, np.where(places > 0, k, 0))
    return CutPoints(np.sort(np.where(places == at_halves, halves, cuts)))


def climb(metric: Metric, before: np.ndarray, cuts: np.ndarray) -> tuple[float, np.ndarray]:
    """The metric and the cuts (k - 1,), as indices of places, at the top reached by moving one of them at a time.

    Args:
        before: (places, k) rows of each class below each place.
    """
    edges = np.concatenate([[0], cuts, [len(before) - 1]])
    best = float(values(metric, before, edges[None])[0])
    for _ in range(SWEEPS):
        last = best
        for cut in range(1, len(edges) - 1):
            tried = np.arange(edges[cut - 1], edges[cut + 1] + 1)
            all_edges = np.repeat(edges[None], len(tried), axis=0)
            all_edges[:, cut] = tried
            found = values(metric, before, all_edges)
            if found.max() > best + 1e-9:
                best, edges[cut] = float(found.max()), tried[found.argmax()]
        if best == last:
            break
    return best, edges[1:-1]


def values(metric: Metric, before: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(c,) the metric of c lots of edges (c, k + 1) between grades; least of all where it is undefined."""
    matrix = np.diff(before[edges], axis=1)  # (c, k, k): rows of a label, of each class
    place = np.arange(matrix.shape[-1])
    far = (matrix * (place[:, None] - place) ** 2).sum(axis=(1, 2))
    hits = np.diagonal(matrix, axis1=1, axis2=2)
    counts = Counts(*(one.astype(float) for one in (hits, matrix.sum(axis=1), matrix.sum(axis=2), far)))
    return np.nan_to_num(metric.of_counts(counts), nan=-np.inf)
