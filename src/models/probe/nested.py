"""The linear probe: logistic regression on an encoder's features, everything about it chosen inside the training rows.

For each fold, C and whether features are made unit vectors are those with the least log loss on the other folds, each
predicted by a fit that has seen neither of the two (nested cross-validation). A fit without the folds a and b serves
both choices: the one for a scored on b, and the one for b scored on a. It judges labels, too: those of b where the
probe of a is to learn from them, and those of a where that of b is.

C is chosen with the labels as given, also where rows with doubtful ones are then left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from src.models.logreg.solve import Problem
from src.models.probe.solvers import Solve, solver
from src.networks.features import ROWS
from src.schema.models import Probe
from src.scoring.label_noise import issues

BOUNDS = (1e-8, 1e8)  # of the values of C that a grid is widened to
MORE = 2  # values at a time


@dataclass(frozen=True)
class Linear:
    """Predicts softmax(feats @ coef.T + intercept + offset)."""

    coef: np.ndarray  # (k, d) float32
    intercept: np.ndarray  # (k,) float32

    def predict(self, feats: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
        """(n, d) features -> (n, k) probabilities."""
        return softmax(feats @ self.coef.T + self.intercept + offset, axis=1)


@dataclass(frozen=True)
class Fit(Linear):
    """One fold's probe."""

    c: float
    normalise: bool  # whether it is for unit features
    loss: float  # log loss inside the training rows, of this C and these features
    curves: dict[str, dict[str, float]]  # the same for each C: {"unit": {"0.1": 0.7123, ...}, "raw": ...}
    doubted: np.ndarray | None = None  # (n,) bool: training pictures left out, whose labels are doubtful


@dataclass(frozen=True)
class ProbeData:
    """What probes are fitted to."""

    targets: np.ndarray  # (n,) class indices below k
    fold: np.ndarray  # (n,) the fold of each row
    k: int
    rows: int = 1  # of each picture, where its views are rows: C counts pictures. All of the first view come first
    offset: np.ndarray | None = None  # (n, k) logits that are added: the penalty pulls towards what gives them

    @property
    def folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    @property
    def pictures(self) -> slice:
        """Their first rows."""
        return slice(len(self.fold) // self.rows)


def fit_folds(
    spec: Probe,
    feats: Callable[[bool], Any],
    targets: np.ndarray,
    fold: np.ndarray,
    k: int,
    *,
    rows: int = 1,
    offset: np.ndarray | None = None,
    scratch: Path | None = None,
) -> list[Fit]:
    """One probe a fold, fitted on the rows outside of it.

    Args:
        feats: Gives the features, normalised or not: (n, d), an array or what gives one for a slice or an index.
        targets, fold, k, rows, offset: See `ProbeData`.
        scratch: A folder for features that are too large for memory.
    """
    given, swept = ProbeData(targets, fold, k, rows, offset), []
    for normalise in spec.normalise:
        seen = feats(normalise)
        with solver(spec, seen, fold, k, rows=rows, offset=offset, scratch=scratch) as solve:
            nested = Nested(given, seen, solve)
            sweep(nested, spec.cs, spec.widen)
            swept.append(finals(nested, spec.label_noise, normalise))
    chosen = []
    for fits in zip(*swept, strict=True):
        best = min(fits, key=lambda fit: fit.loss)
        curves = {name: curve for fit in fits for name, curve in fit.curves.items()}
        chosen.append(replace(best, curves=curves))
    return chosen


def judge_labels(
    spec: Probe,
    feats: Callable[[bool], Any],
    targets: np.ndarray,
    fold: np.ndarray,
    k: int,
    chosen: Sequence[tuple[float, bool]],
    *,
    rows: int = 1,
    offset: np.ndarray | None = None,
    scratch: Path | None = None,
) -> list[np.ndarray]:
    """For each fold what a probe says of the pictures outside of it, by fits that have seen neither them nor the fold.

    Args:
        chosen: C of each fold's fit, and whether it is for unit features. The other arguments: see `fit_folds`.

    Returns:
        For each fold (n, k) probabilities; NaN for the pictures of the fold.
    """
    given, said = ProbeData(targets, fold, k, rows, offset), {}
    for normalise in sorted({normalise for _, normalise in chosen}):
        of_these = {outer: c for outer, (c, unit) in enumerate(chosen) if unit == normalise}
        seen = feats(normalise)
        with solver(spec, seen, fold, k, rows=rows, offset=offset, scratch=scratch) as solve:
            nested = Nested(given, seen, solve)
            nested.add(sorted(set(of_these.values())))
            said |= {outer: nested.said(outer, c) for outer, c in of_these.items()}
    return [said[outer] for outer in given.folds]


class Nested:
    """The fits without two folds, of one kind of features and each C."""

    def __init__(self, given: ProbeData, feats: Any, solve: Solve):
        self.given, self.feats, self.solve = given, feats, solve
        self.sizes = np.bincount(given.fold)
        self.loss: dict[float, np.ndarray] = {}  # of each C: for each fold the log loss summed over the others' rows
        self.fits: dict[tuple[float, tuple[int, int]], Linear] = {}

    def add(self, cs: Sequence[float]) -> None:
        """Fits with more values of C."""
        pairs = list(combinations(self.given.folds, 2))
        solution = self.solve([Problem(c, pair) for c in cs for pair in pairs], self.given.targets)
        for i, c in enumerate(cs):
            self.loss[c] = np.zeros(len(self.sizes))
            for j, (a, b) in enumerate(pairs, start=i * len(pairs)):
                self.loss[c][a] += solution.held_out_loss[j, b]
                self.loss[c][b] += solution.held_out_loss[j, a]
                self.fits[c, (a, b)] = Linear(solution.coef[j], solution.intercept[j])

    def best(self, outer: int) -> float:
        """The C for the probe of a fold."""
        return min(self.loss, key=lambda c: self.loss[c][outer])

    def forget(self) -> None:
        """Keeps the fits of the best values of C alone: more values can only replace these."""
        best = {self.best(outer) for outer in self.given.folds}
        fits = {at: fit for at, fit in self.fits.items() if at[0] in best}
        self.fits = {at: Linear(fit.coef.copy(), fit.intercept.copy()) for at, fit in fits.items()}  # not a large view

    def mean_loss(self, outer: int, c: float) -> float:
        """Log loss inside the training rows of a fold."""
        return float(self.loss[c][outer] / (len(self.given.fold) - self.sizes[outer]))

    def said(self, outer: int, c: float) -> np.ndarray:
        """(n, k) of each picture outside of a fold, by the fit that has seen neither its own fold nor that one."""
        given = self.given
        probs = np.full((len(given.fold), given.k), np.nan, np.float32)
        for other in set(given.folds) - {outer}:
            fit, places = self.fits[c, (min(outer, other), max(outer, other))], np.flatnonzero(given.fold == other)
            for part in np.split(places, range(ROWS, len(places), ROWS)):  # memory holds one part of the features
                probs[part] = fit.predict(self.feats[part], 0.0 if given.offset is None else given.offset[part])
        return probs.reshape(given.rows, -1, given.k).mean(axis=0)


def sweep(nested: Nested, cs: Sequence[float], widen: bool) -> None:
    """Fits with every C of a grid, which is widened while the best of a fold is at its edge."""
    todo = sorted(cs)
    while todo:
        nested.add(todo)
        nested.forget()
        best = [nested.best(outer) for outer in nested.given.folds]
        todo = beyond(sorted(nested.loss), best) if widen else []


def beyond(grid: Sequence[float], best: Sequence[float]) -> list[float]:
    """Values of C to go on with where the best of a fold is at the edge of a grid, which are in steps of its own."""
    step = grid[1] / grid[0] if len(grid) > 1 else 10.0
    more = []
    if grid[0] in best:
        more += [grid[0] / step**i for i in range(MORE, 0, -1)]
    if grid[-1] in best:
        more += [grid[-1] * step**i for i in range(1, MORE + 1)]
    return [float(f"{c:.6g}") for c in more if BOUNDS[0] <= c <= BOUNDS[1]]


def finals(nested: Nested, label_noise: str, normalise: bool) -> list[Fit]:
    """Each fold's fit with its best C."""
    given, folds = nested.given, nested.given.folds
    problems, doubted = [Problem(nested.best(outer), (outer,)) for outer in folds], [None for _ in folds]
    if label_noise == "keep":
        solution = nested.solve(problems, given.targets)
        solved = list(zip(solution.coef, solution.intercept, strict=True))
    else:
        solved = []
        for outer, problem in enumerate(problems):
            doubted[outer] = doubtful(nested, outer, problem.c)
            left = np.where(np.tile(doubted[outer], given.rows), -1, given.targets)
            solution = nested.solve([problem], left)
            solved.append((solution.coef[0], solution.intercept[0]))
    fits = []
    for outer in folds:
        c = problems[outer].c
        curve = {f"{c:g}": round(nested.mean_loss(outer, c), 6) for c in sorted(nested.loss)}
        curves = {"unit" if normalise else "raw": curve}
        fits.append(Fit(*solved[outer], c, normalise, nested.mean_loss(outer, c), curves, doubted[outer]))
    return fits


def doubtful(nested: Nested, outer: int, c: float) -> np.ndarray:
    """(m,) bool: which pictures outside of a fold have labels that are doubtful.

    Neither the fold's labels nor its features have been seen by what decides.
    """
    given = nested.given
    targets, training = given.targets[given.pictures], given.fold[given.pictures] != outer
    mask = np.zeros(len(targets), bool)
    mask[training] = issues(targets[training], nested.said(outer, c)[training]).mask
    return mask
