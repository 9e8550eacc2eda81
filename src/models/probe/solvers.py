"""Who solves a probe's logistic regressions: ours, all of them at once, or scikit-learn, one after the other."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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

LITTLE = 1e9  # operations an iteration, for which a GPU's launches take as long as a CPU takes in all (an estimate)
BYTES = 13 / 8 * (4 + 8)  # a feature: the features and 5/8 of them for work, in float32 and again in float64


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
    with Batched(spec, data, feats) as batched:
        yield checked(data, batched)


class Batched(AbstractContextManager):
    """Solves on the device, and on the CPU what a GPU has no memory for, or would be no sooner done with."""

    def __init__(self, spec: Probe, data: ProbeData, feats: Any):
        self.data, self.feats, self.designs = data, feats, {}
        self.options = {"tol": spec.tol, "offset": data.offset, "balanced": spec.class_weight == "balanced"}
        self.device = machine.device()
        if self.device.type == "cuda" and (reason := self.why_not_on_gpu(len(spec.cs))):
            self.go_on_cpu(reason)

    def why_not_on_gpu(self, cs: int) -> str:
        """Empty where the fits of a grid of C are worth a GPU's while, and have room there."""
        n, d = self.feats.shape
        if n <= FEW or 4 * n * d * self.data.k * cs * math.comb(len(self.data.folds), 2) < LITTLE:
            return f"{n} rows of {d} features are too little work for the GPU"
        torch.cuda.empty_cache()  # what torch keeps for its next tensors counts as used
        needed, free = BYTES * n * d + 3 * 8 * d**2, torch.cuda.mem_get_info()[0]
        return f"needs {needed / 1e9:.1f} GB, the GPU has {free / 1e9:.1f} GB free" if needed > free else ""

    def go_on_cpu(self, reason: str) -> None:
        print(f"probe: solved on the CPU: {reason}")
        self.__exit__()
        self.device = torch.device("cpu")

    def __call__(self, problems: Sequence[Problem], targets: np.ndarray, share: float) -> Solution:
        try:
            return self.solve(problems, targets, share)
        except RuntimeError as error:
            if self.device.type == "cpu" or not machine.is_out_of_memory(error):
                raise
        # Out of the handler: the error held what the memory is full of.
        self.go_on_cpu("out of GPU memory")
        torch.cuda.empty_cache()
        return self.solve(problems, targets, share)

    def solve(self, problems: Sequence[Problem], targets: np.ndarray, share: float) -> Solution:
        dtype = torch.float64 if self.feats.shape[0] <= FEW else torch.float32
        solution = solve(self.design(dtype), targets, self.data.k, problems, share=share, **self.options)
        again = np.flatnonzero(~solution.converged)
        if not again.size or dtype == torch.float64:
            return solution
        # few rows and a large C: what float32 cannot settle float64 can
        exact, some = self.design(torch.float64), [problems[i] for i in again]
        better = solve(exact, targets, self.data.k, some, share=share, **self.options)
        self.designs.pop(torch.float64).__exit__()
        for field in fields(Solution):
            getattr(solution, field.name)[again] = getattr(better, field.name)
        return solution

    def design(self, dtype: torch.dtype) -> Design:
        if dtype not in self.designs:
            memory = {"memory": torch.cuda.mem_get_info()[0]} if self.device.type == "cuda" else {}
            place = {"device": self.device, "scratch": self.data.scratch, **memory}
            self.designs[dtype] = Design(self.feats, self.data.fold, dtype=dtype, **place)
        return self.designs[dtype]

    def __exit__(self, *_) -> None:
        for design in self.designs.values():
            design.__exit__()
        self.designs.clear()


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
