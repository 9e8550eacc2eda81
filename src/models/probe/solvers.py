"""Who solves a probe's logistic regressions: ours, all of them at once, or scikit-learn, one after the other."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from src.base import machine
from src.base.progress import track
from src.models.logreg.design import FEW, Design
from src.models.logreg.solve import NEVER, Problem, Solution, solve
from src.schema.models import Probe
from src.scoring.metrics import METRICS


class Solve(Protocol):
    def __call__(self, problems: Sequence[Problem], targets: np.ndarray, share: float = 0.0) -> Solution:
        """With the classes (n,) that they learn; -1: a row is left out. `share` as in models/logreg/solve.py."""


@dataclass(frozen=True)
class ProbeData:
    """Rows that probes are fitted to."""

    feats: Callable[[bool], Any]  # gives those of unit length or as they are: (n, d), to be sliced or indexed
    targets: np.ndarray  # (n,) class indices below k
    fold: np.ndarray  # (n,) the fold of each row
    k: int
    rows: int = 1  # of each picture, where its views are rows: C counts pictures. All of the first view come first
    offset: np.ndarray | None = None  # (n, k) logits that are added: the penalty pulls towards what gives them
    scratch: Path | None = None  # a folder for features that are too large for memory

    @property
    def folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    @property
    def pictures(self) -> slice:
        """The first row of each picture."""
        return slice(len(self.fold) // self.rows)


@contextmanager
def solver(spec: Probe, data: ProbeData, feats: Any) -> Iterator[Solve]:
    """Solves problems of one set of features, whose blocks are the folds."""
    if spec.solver == "scikit-learn":
        whole = np.asarray(feats[:])
        yield checked(data, lambda problems, targets, share: scikit_learn(spec, data, whole, targets, problems))
        return
    device = machine.device()
    if device.type == "cuda" and 12 * feats.shape[0] * feats.shape[1] > torch.cuda.mem_get_info()[0]:
        device = torch.device("cpu")
    options = {"tol": spec.tol, "offset": data.offset, "balanced": spec.class_weight == "balanced"}
    dtype = torch.float64 if feats.shape[0] <= FEW else torch.float32
    with Design(feats, data.fold, device=device, dtype=dtype, scratch=data.scratch) as design:

        def batched(problems: Sequence[Problem], targets: np.ndarray, share: float) -> Solution:
            solution = solve(design, targets, data.k, problems, share=share, **options)
            again = np.flatnonzero(~solution.converged)
            if not again.size or design.dtype == torch.float64:
                return solution
            # few rows and a large C: what float32 cannot settle float64 can
            with Design(feats, data.fold, device=device, dtype=torch.float64, scratch=data.scratch) as exact:
                better = solve(exact, targets, data.k, [problems[i] for i in again], share=share, **options)
            for field in fields(Solution):
                getattr(solution, field.name)[again] = getattr(better, field.name)
            return solution

        yield checked(data, batched)


def checked(data: ProbeData, solve: Solve) -> Solve:
    """`solve` for a C that counts pictures, and with a message where fits have not converged."""

    def solved(problems: Sequence[Problem], targets: np.ndarray, share: float = 0.0) -> Solution:
        solution = solve([Problem(problem.c / data.rows, problem.without) for problem in problems], targets, share)
        if n := int((~solution.converged).sum()):
            worst = float(solution.gradient[~solution.converged].max())
            print(f"probe: {n} of {len(solution.converged)} fits stopped at a gradient of up to {worst:.1e}")
        return solution

    return solved


def scikit_learn(
    spec: Probe, data: ProbeData, feats: np.ndarray, targets: np.ndarray, problems: Sequence[Problem]
) -> Solution:
    """Solve one problem after the other by scikit-learn's newton-cg, in float64."""
    kept, fold, k = targets >= 0, data.fold, data.k
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
            weight = "balanced" if spec.class_weight == "balanced" else None
            model = LogisticRegression(C=problem.c, solver="newton-cg", tol=spec.tol, max_iter=500, class_weight=weight)
            # for a small matrix one thread: handing out the work costs more than the work
            limit = threadpool_limits(1 if feats.size < 2_000_000 else None)
            with warnings.catch_warnings(record=True) as caught, limit:
                warnings.simplefilter("always", ConvergenceWarning)
                model.fit(feats[rows] - mean, targets[rows])
            converged[i] = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
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
    gradient = np.where(converged, spec.tol, np.inf)
    return Solution(coefs.astype(np.float32), intercepts.astype(np.float32), losses, gradient, iterations, converged)
