"""Rank averaging: the mean of the models' ranks, for metrics that look at the order of a column's predictions alone.

There a model that is too shy, or too sure, has as much weight as another. A rank is the share of the out-of-fold rows
that are below, so that one row has it too. The means are mapped to the values of the models' mean by rank, the least to
the least: that keeps their order, and makes them probabilities again, as calibrated as those of the mean.

Of two classes the second is ranked, and the first is 1 less that. Of more, ranks in each column would not leave rows of
sum 1: they are not offered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.models.blend.pool import Pool
from src.scoring.targets import Target

POINTS = 1000  # of ranks, and of what they are mapped to, at most: they are interpolated between
RISE = 1e-3  # share of the rank itself in what it is mapped to: rows of unlike ranks never become equal


@dataclass(frozen=True)
class Steps:
    """A function that never falls, by linear interpolation between points (x, y)."""

    x: np.ndarray
    y: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.x, self.y)


@dataclass(frozen=True)
class RankMean:
    """Of each of c columns the ranks of m models, and what their mean is mapped to."""

    target: Target
    ranks: list[list[Steps]]  # (c, m)
    values: list[Steps]  # (c,)

    def predict(self, tables: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        """(m, n, k) predictions -> (n, k)."""
        free = free_columns(self.target, tables)
        found = [to(mean_rank(each, own)) for to, each, own in zip(self.values, self.ranks, free, strict=True)]
        if self.target.is_choice:
            found.insert(0, 1 - found[0])
        return np.stack(found, axis=1)

    def shares(self, m: int) -> np.ndarray:
        return np.full(m, 1 / m)


def fits(pool: Pool) -> bool:
    """Whether ranks are offered for a pool."""
    return pool.metric.is_of_order and (pool.oofs.shape[2] == 2 or not pool.metric.target.is_choice)


def fit(pool: Pool, withouts: Sequence[tuple[int, ...]]) -> list[RankMean]:
    """The ranks among the rows outside of each tuple of folds; targets are not looked at."""
    target, free, fitted = pool.metric.target, free_columns(pool.metric.target, pool.oofs), []
    for without in withouts:
        seen = free[:, :, ~np.isin(pool.fold, without)]
        ranks = [[rank_of(values) for values in column] for column in seen]
        values = [values_of(each, column) for each, column in zip(ranks, seen, strict=True)]
        fitted.append(RankMean(target, ranks, values))
    return fitted


def free_columns(target: Target, tables: np.ndarray) -> np.ndarray:
    """(c, m, n) float64: the columns of tables (m, n, k) that the others follow from.

    Of two classes that is the second's probability, which above 1/2 has more digits as 1 less the first's.
    """
    if target.is_choice:
        first, second = tables[:, :, 0].astype(float), tables[:, :, 1].astype(float)
        return np.where(second < 0.5, second, 1 - first)[None]
    return tables.transpose(2, 0, 1).astype(float)


def mean_rank(ranks: Sequence[Steps], column: np.ndarray) -> np.ndarray:
    """(n,) the mean of m models' ranks of a column (m, n)."""
    return np.mean([rank(values) for rank, values in zip(ranks, column, strict=True)], axis=0)


def rank_of(values: np.ndarray) -> Steps:
    """From a value to the share of these (n,) that are below it, of equal ones the half.

    Outside of all of them it goes on to 0 and 1, so that rows there have an order too.
    """
    x, counts = np.unique(values, return_counts=True)
    y = (np.cumsum(counts) - counts / 2) / len(values)
    beyond = np.ptp(x) + 1.0
    some = spread(len(x))
    return Steps(np.array([x[0] - beyond, *x[some], x[-1] + beyond]), np.array([0.0, *y[some], 1.0]))


def values_of(ranks: Sequence[Steps], column: np.ndarray) -> Steps:
    """From a mean rank to a value: among these rows the i-th least mean rank gets the i-th least mean value."""
    values = np.sort(column.mean(axis=0))
    least, most = values[0], values[-1]
    x, first, counts = np.unique(np.sort(mean_rank(ranks, column)), return_index=True, return_counts=True)
    y = np.add.reduceat(values, first) / counts
    y = (1 - RISE) * y + RISE * (least + (most - least) * x)
    some = spread(len(x))
    return Steps(np.array([0.0, *x[some], 1.0]), np.array([least, *y[some], most]))


def spread(n: int) -> np.ndarray:
    """Places from 0 to n - 1, POINTS at most."""
    return np.unique(np.linspace(0, n - 1, POINTS).astype(int))
