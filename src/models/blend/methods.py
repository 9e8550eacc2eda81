"""Blending: four ways to make one model of many, each scored on rows that it has not seen, and the choice of one.

A way is fitted without some folds. Without one fold: for the score of that fold's rows. Without two: for the choice of
a way, which is recomputed for each fold inside the other folds' rows (nested cross-validation), so that the choice is a
part of what is scored. A fit without the folds a and b serves the choice for a on b's rows, and that for b on a's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol

import numpy as np

from src.models.blend import stacking, weighting
from src.scoring import decisions
from src.scoring.metrics import Metric

STACKABLE = 600  # columns of a stack, models times classes: of more, it takes minutes, and `auto` leaves it out


class Blender(Protocol):
    def predict(self, probs: np.ndarray) -> np.ndarray:
        """(m, n, k) probabilities -> (n, k)."""

    def shares(self, m: int) -> np.ndarray:
        """(m,) how much of it is each model, not negative and of sum 1."""


@dataclass(frozen=True)
class Weighted:
    weights: np.ndarray  # (m,) not negative, of sum 1

    def predict(self, probs: np.ndarray) -> np.ndarray:
        return np.tensordot(self.weights, probs, axes=1)

    def shares(self, m: int) -> np.ndarray:
        return self.weights


@dataclass(frozen=True)
class Pool:
    """The models to blend, on the same n rows."""

    oofs: np.ndarray  # (m, n, k) out-of-fold probabilities
    targets: np.ndarray  # (n,) class indices
    fold: np.ndarray  # (n,) from 0 up
    metric: Metric

    @property
    def folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    def without(self, model: int) -> "Pool":
        return replace(self, oofs=np.delete(self.oofs, model, axis=0))

    def decide(self, probs: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Out-of-fold probabilities of some rows as the metric scores them: see `decisions`."""
        return decisions.cross_fitted(self.metric, probs[rows], self.targets[rows], self.fold[rows])


Fit = Callable[[Pool, Sequence[tuple[int, ...]]], list[Blender]]  # a blender for each tuple of folds not to be seen


def weighted(fit: Callable[[np.ndarray, np.ndarray, Metric], np.ndarray]) -> Fit:
    """Fit weights on the rows outside of each tuple of folds."""

    def fits(pool: Pool, withouts: Sequence[tuple[int, ...]]) -> list[Blender]:
        masks = [~np.isin(pool.fold, without) for without in withouts]
        return [Weighted(fit(pool.oofs[:, rows], pool.targets[rows], pool.metric)) for rows in masks]

    return fits


METHODS: dict[str, Fit] = {  # the simplest first
    "mean": weighted(lambda oofs, targets, metric: np.full(len(oofs), 1 / len(oofs))),
    "weights": weighted(lambda oofs, targets, metric: weighting.simplex_weights(oofs, targets)),
    "greedy": weighted(weighting.greedy_weights),
    "stack": lambda pool, withouts: stacking.fit(pool.oofs, pool.targets, pool.fold, withouts),
}


@dataclass(frozen=True)
class FittedMethod:
    """A method, fitted on all rows and without each fold."""

    final: Blender  # for the test rows
    outer: list[Blender]  # without each fold
    oof: np.ndarray  # (n, k) each fold's rows by the blender without it: honest to score
    inner: list[np.ndarray]  # for each fold f (n, k): rows of another fold by the blender without both, f's rows NaN


def fit(method: str, pool: Pool, nested: bool = True) -> FittedMethod:
    """Fit a method as often as its score and, if `nested`, the choice among methods need it."""
    singles = [(f,) for f in pool.folds]
    pairs = list(combinations(pool.folds, 2)) if nested else []
    final, *others = METHODS[method](pool, [(), *singles, *pairs])
    outer, inner = others[: len(singles)], []
    without = dict(zip(pairs, others[len(singles) :], strict=True))
    for f in pool.folds if nested else ():
        inner.append(assemble(pool, {g: without[min(f, g), max(f, g)] for g in pool.folds if g != f}))
    return FittedMethod(final, outer, assemble(pool, dict(enumerate(outer))), inner)


def assemble(pool: Pool, blenders: dict[int, Blender]) -> np.ndarray:
    """(n, k) the rows of each fold by its blender; NaN for folds without one."""
    oof = np.full(pool.oofs.shape[1:], np.nan)
    for f, blender in blenders.items():
        rows = pool.fold == f
        oof[rows] = blender.predict(pool.oofs[:, rows])
    return oof


def simplest(metric: Metric, targets: np.ndarray, tables: dict[str, np.ndarray]) -> str:
    """The first of the tables (n, k) that the best is ahead of by no more than the paired standard error."""
    best = max(tables, key=lambda method: metric.sign * metric.value(targets, tables[method]))
    for method, table in tables.items():
        gain, se = metric.gain(targets, tables[best], than=table)
        if not gain > se:
            return method
    return best


def choose(pool: Pool, fitted: dict[str, FittedMethod]) -> tuple[str, list[str], np.ndarray]:
    """The method by all rows, for each fold the method by the other folds' rows, and what these predict: (n, k).

    Only the latter is honest to score: the method by all rows has been chosen by the very rows.
    """
    chosen, oof = [], np.empty(pool.oofs.shape[1:])
    for f in pool.folds:
        rows = pool.fold != f
        tables = {method: pool.decide(fits.inner[f], rows) for method, fits in fitted.items()}
        chosen.append(simplest(pool.metric, pool.targets[rows], tables))
        oof[~rows] = fitted[chosen[-1]].oof[~rows]
    tables = {method: pool.decide(fits.oof) for method, fits in fitted.items()}
    return simplest(pool.metric, pool.targets, tables), chosen, oof


def methods_for(method: str, pool: Pool) -> list[str]:
    """The methods to fit: of `auto` all, but for a stack of too many columns; of another, it and the mean beside it."""
    if method != "auto":
        return list(dict.fromkeys(["mean", method]))
    m, _, k = pool.oofs.shape
    return [name for name in METHODS if name != "stack" or m * k <= STACKABLE]


def without_model(method: str, pool: Pool, fitted: FittedMethod, model: int) -> np.ndarray:
    """(n, k) the method's `oof` without a model. A fold in which it has no weight does not miss it.

    A stack keeps the C that each fold has chosen.
    """
    less, folds = pool.without(model), list(pool.folds)
    if method == "stack":
        cs = [blender.c for blender in fitted.outer]
        refitted = stacking.refit(less.oofs, less.targets, less.fold, [(f,) for f in folds], cs)
    else:
        folds = [f for f in folds if fitted.outer[f].weights[model] > 0]
        refitted = METHODS[method](less, [(f,) for f in folds])
    oof = assemble(less, dict(zip(folds, refitted, strict=True)))
    return np.where(np.isnan(oof), fitted.oof, oof)
