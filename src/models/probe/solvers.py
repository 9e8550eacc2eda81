"""Who solves a probe's logistic regressions: ours, all of them at once, or scikit-learn, one after the other."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from src.base import machine
from src.base.progress import track
from src.models.logreg.design import Design
from src.models.logreg.solve import NEVER, Problem, Solution, solve
from src.schema.models import Probe
from src.scoring.metrics import METRICS

# Problems, and the classes (n,) that they learn; -1: a row is left out
Solve = Callable[[Sequence[Problem], np.ndarray], Solution]


@contextmanager
def solver(
    spec: Probe,
    feats: Any,
    fold: np.ndarray,
    k: int,
    *,
    rows: int = 1,
    offset: np.ndarray | None = None,
    scratch: Path | None = None,
) -> Iterator[Solve]:
    """Solves problems of one set of features, whose blocks are the folds; C counts pictures, of so many rows each."""
    balanced = spec.class_weight == "balanced"

    def said(solve: Solve) -> Solve:
        def solved(problems: Sequence[Problem], targets: np.ndarray) -> Solution:
            solution = solve([Problem(problem.c / rows, problem.without) for problem in problems], targets)
            said_if_not_converged(solution)
            return solution

        return solved

    if spec.solver == "scikit-learn":
        whole = np.asarray(feats[:])
        yield said(lambda problems, targets: scikit_learn(whole, targets, fold, k, problems, spec.tol, balanced))
        return
    device = machine.device()
    if device.type == "cuda" and 12 * feats.shape[0] * feats.shape[1] > torch.cuda.mem_get_info()[0]:
        device = torch.device("cpu")
    with Design(feats, fold, device=device, scratch=scratch) as design:

        def batched(problems: Sequence[Problem], targets: np.ndarray) -> Solution:
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

        yield said(batched)


def said_if_not_converged(solution: Solution) -> None:
    if n := int((~solution.converged).sum()):
        worst = float(solution.gradient.max())
        print(f"probe: {n} of {len(solution.converged)} fits stopped at a gradient of up to {worst:.1e}")


def scikit_learn(
    feats: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    k: int,
    problems: Sequence[Problem],
    tol: float,
    balanced: bool,
) -> Solution:
    """`logreg.solve` one problem after the other by scikit-learn's newton-cg, in float64.

    Args:
        targets: (n,) classes; -1 leaves a row out.
    """
    kept = targets >= 0
    coefs, intercepts = np.zeros((len(problems), k, feats.shape[1])), np.full((len(problems), k), NEVER)
    losses = np.full((len(problems), int(fold.max()) + 1), np.nan)
    iterations, converged = np.zeros(len(problems), int), np.ones(len(problems), bool)
    for i, problem in enumerate(track(problems, "probe", len(problems), "fits")):
        rows = kept & ~np.isin(fold, problem.without)
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
            held_out = kept & (fold == block)
            probs = softmax(feats[held_out] @ coefs[i].T + intercepts[i], axis=1)
            losses[i, block] = METRICS["log_loss"].per_row(targets[held_out], probs).sum()
    gradient = np.where(converged, tol, np.inf)
    return Solution(coefs.astype(np.float32), intercepts.astype(np.float32), losses, gradient, iterations, converged)


def threads_for(feats: np.ndarray) -> threadpool_limits:
    """One thread for a small matrix, where handing out the work costs more than the work."""
    return threadpool_limits(1 if feats.size < 2_000_000 else None)
