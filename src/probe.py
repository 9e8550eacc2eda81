"""The linear probe: logistic regression on an encoder's features, everything about it chosen inside the training rows.

For each fold, C and whether features are made unit vectors are those with the least log loss on the other folds, each
predicted by a fit that has seen neither of the two (nested cross-validation). A fit without the folds a and b serves
both choices: the one for a scored on b, and the one for b scored on a.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from src import machine
from src.design import Design
from src.logreg import NEVER, Problem, Solution, solve
from src.metrics import METRICS
from src.progress import track
from src.specs import Probe

BOUNDS = (1e-8, 1e8)  # of the values of C that a grid is widened to
MORE = 2  # values at a time

Solve = Callable[[Sequence[Problem]], Solution]


@dataclass(frozen=True)
class Fit:
    """One fold's probe: predicts softmax(feats @ coef.T + intercept + offset)."""

    coef: np.ndarray  # (k, d) float32
    intercept: np.ndarray  # (k,) float32
    c: float
    normalise: bool  # whether it is for unit features
    loss: float  # log loss inside the training rows, of this C and these features
    curves: dict[str, dict[str, float]]  # the same for each C: {"unit": {"0.1": 0.7123, ...}, "raw": ...}

    def predict(self, feats: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
        """(n, d) features -> (n, k) probabilities."""
        return softmax(feats @ self.coef.T + self.intercept + offset, axis=1)


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
        targets: (n,) class indices below k.
        fold: (n,) the fold of each row.
        rows: Of each picture, where its views are rows: C counts pictures.
        offset: (n, k) logits that are added, so that the penalty pulls towards what gives them.
        scratch: A folder for features that are too large for memory.
    """
    swept = []
    for normalise in spec.normalise:
        with solver(spec, feats(normalise), targets, fold, k, offset, scratch) as solve:

            def counted(problems: Sequence[Problem], solve: Solve = solve) -> Solution:
                return solve([Problem(problem.c / rows, problem.without) for problem in problems])

            swept.append(sweep(counted, spec.cs, spec.widen, normalise, fold))
    chosen = []
    for fits in zip(*swept, strict=True):
        best = min(fits, key=lambda fit: fit.loss)
        curves = {name: curve for fit in fits for name, curve in fit.curves.items()}
        chosen.append(replace(best, curves=curves))
    return chosen


def sweep(solve: Solve, cs: Sequence[float], widen: bool, normalise: bool, fold: np.ndarray) -> list[Fit]:
    """The best C of each fold for one kind of features, and the fit with it."""
    sizes = np.bincount(fold)
    folds, pairs = range(len(sizes)), list(combinations(range(len(sizes)), 2))
    loss: dict[float, np.ndarray] = {}  # of each C: for each outer fold the log loss summed over the other folds' rows
    todo = sorted(cs)
    while todo:
        solution = solve([Problem(c, pair) for c in todo for pair in pairs])
        said_if_not_converged(solution)
        for i, c in enumerate(todo):
            loss[c] = np.zeros(len(sizes))
            held_out = solution.held_out_loss[i * len(pairs) : (i + 1) * len(pairs)]
            for (a, b), losses in zip(pairs, held_out, strict=True):
                loss[c][a] += losses[b]
                loss[c][b] += losses[a]
        best = [min(loss, key=lambda c: loss[c][outer]) for outer in folds]
        todo = beyond(sorted(loss), best) if widen else []
    finals = solve([Problem(c, (outer,)) for outer, c in zip(folds, best, strict=True)])
    said_if_not_converged(finals)
    fits = []
    for outer, c in zip(folds, best, strict=True):
        others = len(fold) - sizes[outer]
        curve = {f"{c:g}": round(float(loss[c][outer] / others), 6) for c in sorted(loss)}
        fits.append(
            Fit(
                finals.coef[outer],
                finals.intercept[outer],
                c,
                normalise,
                float(loss[c][outer] / others),
                {"unit" if normalise else "raw": curve},
            )
        )
    return fits


def beyond(grid: Sequence[float], best: Sequence[float]) -> list[float]:
    """Values of C to go on with where the best of a fold is at the edge of a grid, which are in steps of its own."""
    step = grid[1] / grid[0] if len(grid) > 1 else 10.0
    more = []
    if grid[0] in best:
        more += [grid[0] / step**i for i in range(MORE, 0, -1)]
    if grid[-1] in best:
        more += [grid[-1] * step**i for i in range(1, MORE + 1)]
    return [float(f"{c:.6g}") for c in more if BOUNDS[0] <= c <= BOUNDS[1]]


def said_if_not_converged(solution: Solution) -> None:
    if n := int((~solution.converged).sum()):
        worst = float(solution.gradient.max())
        print(f"probe: {n} of {len(solution.converged)} fits stopped at a gradient of up to {worst:.1e}")


@contextmanager
def solver(
    spec: Probe,
    feats: Any,
    targets: np.ndarray,
    fold: np.ndarray,
    k: int,
    offset: np.ndarray | None,
    scratch: Path | None,
) -> Iterator[Solve]:
    """Solves problems of one set of features, whose blocks are the folds."""
    balanced = spec.class_weight == "balanced"
    if spec.solver == "scikit-learn":
        whole = np.asarray(feats[:])
        yield lambda problems: scikit_learn(whole, targets, fold, k, problems, spec.tol, balanced)
        return
    device = machine.device()
    if device.type == "cuda" and 12 * feats.shape[0] * feats.shape[1] > torch.cuda.mem_get_info()[0]:
        device = torch.device("cpu")
    with Design(feats, fold, device=device, scratch=scratch) as design:

        def solved(problems: Sequence[Problem]) -> Solution:
            solution = solve(design, targets, k, problems, tol=spec.tol, offset=offset, balanced=balanced)
            if not (again := np.flatnonzero(~solution.converged)).size:
                return solution
            # few rows and a large C: what float32 cannot settle float64 can
            with Design(feats, fold, device=device, dtype=torch.float64, scratch=scratch) as exact:
                some = [problems[i] for i in again]
                better = solve(exact, targets, k, some, tol=spec.tol, offset=offset, balanced=balanced)
            for field in fields(Solution):
                getattr(solution, field.name)[again] = getattr(better, field.name)
            return solution

        yield solved


def scikit_learn(
    feats: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    k: int,
    problems: Sequence[Problem],
    tol: float,
    balanced: bool,
) -> Solution:
    """`logreg.solve` one problem after the other by scikit-learn's newton-cg, in float64."""
    coefs, intercepts = np.zeros((len(problems), k, feats.shape[1])), np.full((len(problems), k), NEVER)
    losses = np.full((len(problems), int(fold.max()) + 1), np.nan)
    iterations, converged = np.zeros(len(problems), int), np.ones(len(problems), bool)
    for i, problem in enumerate(track(problems, "probe", len(problems), "fits")):
        rows = ~np.isin(fold, problem.without)
        present = np.unique(targets[rows])
        if len(present) == 1:  # scikit-learn refuses to learn nothing
            intercepts[i, present] = 0
        else:
            mean = feats[rows].mean(axis=0, dtype=np.float64)  # changes the intercept alone, and saves most iterations
            weight = "balanced" if balanced else None
            model = LogisticRegression(C=problem.c, solver="newton-cg", tol=tol, max_iter=500, class_weight=weight)
            with warnings.catch_warnings(record=True) as said, threads_for(feats):
                warnings.simplefilter("always", ConvergenceWarning)
                model.fit(feats[rows] - mean, targets[rows])
            converged[i] = not any(issubclass(warning.category, ConvergenceWarning) for warning in said)
            iterations[i] = model.n_iter_[0]
            if len(present) == 2:  # one row of coefficients, of the second class against the first
                coefs[i, present[1]], intercepts[i, present] = model.coef_[0], [0, model.intercept_[0]]
            else:
                coefs[i, present], intercepts[i, present] = model.coef_, model.intercept_
            intercepts[i, present] -= coefs[i, present] @ mean
        for block in problem.without:
            probs = softmax(feats[fold == block] @ coefs[i].T + intercepts[i], axis=1)
            losses[i, block] = METRICS["log_loss"].per_row(targets[fold == block], probs).sum()
    gradient = np.where(converged, tol, np.inf)
    return Solution(coefs.astype(np.float32), intercepts.astype(np.float32), losses, gradient, iterations, converged)


def threads_for(feats: np.ndarray) -> threadpool_limits:
    """One thread for a small matrix, where handing out the work costs more than the work."""
    return threadpool_limits(1 if feats.size < 2_000_000 else None)
