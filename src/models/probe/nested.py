"""The linear probe: a linear model of an encoder's features, everything about it chosen inside the training rows.

For each fold, C and whether features are made unit vectors are those with the least loss on the other folds, each
predicted by a fit that has seen neither of the two (nested cross-validation). A fit without the folds a and b serves
both choices: the one for a scored on b, and the one for b scored on a. It judges labels, too: those of b where the
probe of a is to learn from them, and those of a where that of b is.

C is chosen with the labels as given, also where rows with doubtful ones are then left out. Fits that serve this choice
alone need no more than a loss that is right to some 1e-4 of it, which takes half as many steps as the optimum itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from src.models.logreg.design import FEW
from src.models.logreg.linear import Linear
from src.models.logreg.solve import Problem
from src.models.probe.data import ProbeData
from src.models.probe.solvers import Solve, solver
from src.networks.features import read_parts
from src.schema.models import Probe
from src.scoring.label_noise import issues

NOTHING = 1e-6  # of a log loss: what is less rounds to 0 where it is written
BOUNDS = (1e-8, 1e8)  # of the values of C that a grid is widened to
SHARE = 1e-6  # of the objective: a fit for the choice of C is done when its next step is to gain half of this or less


@dataclass(frozen=True)
class Fit(Linear):
    """One fold's probe."""

    c: float  # the best for all that is predicted
    normalise: bool  # whether it is for unit features
    loss: float  # inside the training rows, of the C and features that are used
    curves: dict[str, dict[str, float]]  # the same for each C: {"unit": {"0.1": 0.7123, ...}, "raw": ...}
    doubted: np.ndarray | None = None  # (n,) bool: training pictures left out, whose labels are doubtful
    each: tuple[float, ...] = ()  # of several labels: the C of each, which is used


def fit_folds(spec: Probe, data: ProbeData) -> list[Fit]:
    """Fit one probe a fold on the rows outside of it."""
    swept = []
    for normalise in spec.normalise:
        feats = data.feats(normalise)
        with solver(spec, data, feats) as solve:
            nested = Nested(data, feats, solve)
            sweep(nested, spec.cs, spec.widen)
            swept.append(fit_best(nested, spec.label_noise, normalise))
    chosen = []
    for fits in zip(*swept, strict=True):
        best = min(fits, key=lambda fit: fit.loss)
        curves = {name: curve for fit in fits for name, curve in fit.curves.items()}
        chosen.append(replace(best, curves=curves))
    return chosen


def judge_labels(spec: Probe, data: ProbeData, chosen: Sequence[tuple[float, bool]]) -> list[np.ndarray]:
    """Predict the pictures outside of each fold by fits that have seen neither them nor the fold.

    Args:
        chosen: C of each fold's fit, and whether it is for unit features.

    Returns:
        For each fold (n, k) probabilities; NaN for the pictures of the fold.
    """
    judged = {}
    for normalise in sorted({normalise for _, normalise in chosen}):
        cs = {outer: c for outer, (c, unit) in enumerate(chosen) if unit == normalise}
        feats = data.feats(normalise)
        with solver(spec, data, feats) as solve:
            nested = Nested(data, feats, solve)
            nested.fit(sorted(set(cs.values())))
            judged |= {outer: nested.judge(outer, c) for outer, c in cs.items()}
    return [judged[outer] for outer in data.folds]


class Nested:
    """The fits without two folds, of one kind of features and each C."""

    def __init__(self, data: ProbeData, feats: Any, solve: Solve):
        self.data, self.feats, self.solve = data, feats, solve
        self.sizes = np.bincount(data.fold)
        # of each C (folds, 1), or of labels (folds, k): for each fold the loss summed over the others' rows
        self.loss: dict[float, np.ndarray] = {}
        self.fits: dict[tuple[float, tuple[int, int]], Linear] = {}

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(combinations(self.data.folds, 2))

    def add(self, cs: Sequence[float]) -> None:
        """The losses at more values of C."""
        solution = self.solve([Problem(c, pair) for c in cs for pair in self.pairs], self.data.targets, SHARE)
        for c, losses in zip(cs, np.split(solution.held_out_loss, len(cs)), strict=True):
            losses = losses.reshape(*losses.shape[:2], -1)
            self.loss[c] = np.zeros(losses.shape[1:])
            for (a, b), loss in zip(self.pairs, losses, strict=True):
                self.loss[c][a] += loss[b]
                self.loss[c][b] += loss[a]

    def fit(self, cs: Sequence[float]) -> None:
        """The fits at some values of C, which `judge` predicts with."""
        problems = [Problem(c, pair) for c in cs for pair in self.pairs]
        solution = self.solve(problems, self.data.targets)
        for problem, coef, intercept in zip(problems, solution.coef, solution.intercept, strict=True):
            self.fits[problem.c, problem.without] = Linear(coef, intercept, link=self.data.link)

    def best(self, outer: int) -> float:
        """The C for the probe of a fold, one for all that it predicts."""
        return min(self.loss, key=lambda c: self.loss[c][outer].mean())

    def each(self, outer: int) -> tuple[float, ...]:
        """The C of each label; () where not several are predicted."""
        losses = [of_all[outer] for of_all in self.loss.values()]
        if len(losses[0]) == 1:
            return ()
        return tuple(np.array(list(self.loss))[np.argmin(losses, axis=0)].tolist())

    def mean_loss(self, outer: int, *cs: float) -> float:
        """The loss of a row inside the training rows of a fold, by one C or that of each label."""
        losses = [self.loss[c][outer][i if len(cs) > 1 else slice(None)] for i, c in enumerate(cs)]
        return float(np.mean(losses) / (len(self.data.fold) - self.sizes[outer]))

    def judge(self, outer: int, c: float) -> np.ndarray:
        """(n, k) of each picture outside of a fold, by the fit that has seen neither its own fold nor that one."""
        data = self.data
        probs = np.full((len(data.fold), data.k), np.nan, np.float32)
        for other in set(data.folds) - {outer}:
            fit, places = self.fits[c, (min(outer, other), max(outer, other))], np.flatnonzero(data.fold == other)
            for part in read_parts(places):
                probs[part] = fit.predict(self.feats[part], 0.0 if data.offset is None else data.offset[part])
        return probs.reshape(data.rows, -1, data.k).mean(axis=0)


def sweep(nested: Nested, cs: Sequence[float], widen: bool) -> None:
    """Fits with every C of a grid, which is widened while the best of a fold is at its edge.

    Of few rows, which features often separate, only while there is a loss that a larger C could lessen.
    """
    todo, few = sorted(cs), len(nested.data.fold) <= FEW
    while todo:
        nested.add(todo)
        best = [(outer, nested.best(outer)) for outer in nested.data.folds]
        open_ended = [c for outer, c in best if not few or nested.mean_loss(outer, c) >= NOTHING]
        todo = widen_grid(sorted(nested.loss), open_ended) if widen else []


def widen_grid(grid: Sequence[float], best: Sequence[float]) -> list[float]:
    """The next C, in the grid's own steps, at each edge of a grid where the best of a fold is.

    One at a time, because the largest take the most steps.
    """
    step = grid[1] / grid[0] if len(grid) > 1 else 10.0
    more = []
    if grid[0] in best:
        more.append(grid[0] / step)
    if grid[-1] in best:
        more.append(grid[-1] * step)
    return [float(f"{c:.6g}") for c in more if BOUNDS[0] <= c <= BOUNDS[1]]


def fit_best(nested: Nested, label_noise: str, normalise: bool) -> list[Fit]:
    """Each fold's fit with its best C."""
    data, folds = nested.data, nested.data.folds
    cs, each, doubted = (
        [nested.best(outer) for outer in folds],
        [nested.each(outer) for outer in folds],
        [None] * len(folds),
    )
    problems = [Problem(each[outer] or cs[outer], (outer,)) for outer in folds]
    if label_noise == "keep":
        solution = nested.solve(problems, data.targets)
        solved = list(zip(solution.coef, solution.intercept, strict=True))
    else:
        nested.fit(sorted({problem.c for problem in problems}))
        solved = []
        for outer, problem in enumerate(problems):
            doubted[outer] = doubtful(nested, outer, problem.c)
            left = np.where(np.tile(doubted[outer], data.rows), -1, data.targets)
            solution = nested.solve([problem], left)
            solved.append((solution.coef[0], solution.intercept[0]))
    fits = []
    for outer in folds:
        used = each[outer] or (cs[outer],)
        curve = {f"{c:g}": round(nested.mean_loss(outer, c), 6) for c in sorted(nested.loss)}
        curves = {"unit" if normalise else "raw": curve}
        loss, about = nested.mean_loss(outer, *used), {"each": each[outer], "link": data.link}
        fits.append(Fit(*solved[outer], cs[outer], normalise, loss, curves, doubted[outer], **about))
    return fits


def doubtful(nested: Nested, outer: int, c: float) -> np.ndarray:
    """(n,) bool: the pictures outside of a fold with doubtful labels; the judge has seen nothing of the fold."""
    data = nested.data
    targets, training = data.targets[data.pictures], data.fold[data.pictures] != outer
    mask = np.zeros(len(targets), bool)
    mask[training] = issues(targets[training], nested.judge(outer, c)[training]).mask
    return mask
