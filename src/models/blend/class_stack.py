"""The stack of one class: a multinomial logistic regression on the models' log probabilities.

Its penalty draws to the log of the mean of the models' probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax

from src.models.blend.pool import Pool
from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, Solution
from src.models.logreg.solve import solve as solve_regressions
from src.scoring.tables import SparseTables, Table, Tables, of_whole_rows

STACKABLE = 600  # columns, models times classes: of more, it takes minutes
TOL = 3e-4  # of the gradient: far finer than what C decides
SMALL = 2_000_000  # numbers in the table of columns
MIN_FEATURE_PROB = 1e-5  # of a probability: a model that is wrongly certain is no feature out of all proportion


@dataclass(frozen=True)
class ClassStack:
    coef: np.ndarray  # (k, m (k - 1) + c) of the models' log probabilities, and of columns beside them
    intercept: np.ndarray  # (k,)
    c: float

    def predict(self, probs: Tables, beside: np.ndarray | None = None) -> Table:
        """(m, n, k) probabilities, and (n, c) columns beside them -> (n, k)."""
        if isinstance(probs, SparseTables):  # of many test rows, where it was fitted to fewer
            return of_whole_rows(lambda rows: self.predict_some(probs, beside, rows), probs.shape[1], size(probs.shape))
        return softmax(columns(probs, beside) @ self.coef.T.astype(float) + self.intercept + towards(probs), axis=1)

    def predict_some(self, probs: SparseTables, beside: np.ndarray | None, rows: slice) -> np.ndarray:
        return self.predict(probs[:, rows].toarray(), None if beside is None else beside[rows])

    def shares(self, m: int) -> np.ndarray:
        """(m,) of each model's coefficients in the sum of their absolute values; equal where all are 0: the mean."""
        of_models = self.coef[:, : m * (len(self.coef) - 1)]
        size = np.abs(of_models).sum(axis=0, dtype=float).reshape(m, -1).sum(axis=1) + 1e-12
        return size / size.sum()


def size(shape: tuple[int, int, int]) -> int:
    """The columns, of models (m, n, k)."""
    m, _, k = shape
    return m * k


def solve(pool: Pool, problems: Sequence[Problem]) -> tuple[list[ClassStack], np.ndarray]:
    """A stack for each problem, and (p, folds) its log loss summed over the rows of each fold that it has not seen."""
    solution = solve_columns(pool, problems)
    cs = [problem.c for problem in problems]
    stacks = [ClassStack(*parts) for parts in zip(solution.coef, solution.intercept, cs, strict=True)]
    return stacks, solution.held_out_loss


def solve_columns(pool: Pool, problems: Sequence[Problem]) -> Solution:
    """The problems' solution; of a small table on one thread, where handing out the work costs more than the work."""
    feats, threads = columns(pool.oofs, pool.beside), torch.get_num_threads()
    torch.set_num_threads(1 if feats.size < SMALL else threads)
    try:
        with Design(feats, pool.fold) as design:
            k = pool.oofs.shape[2]
            return solve_regressions(design, pool.targets, k, problems, tol=TOL, offset=towards(pool.oofs))
    finally:
        torch.set_num_threads(threads)


def columns(probs: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
    """(n, m (k - 1) + c) float32: log probabilities, of each model with mean 0, but for the last class, which follows.

    Behind them stand the columns (n, c) of the tables, if there are any.
    """
    logs = np.log(np.maximum(probs, MIN_FEATURE_PROB))
    logs -= logs.mean(axis=2, keepdims=True)
    logs = np.ascontiguousarray(logs[:, :, :-1].transpose(1, 0, 2), np.float32).reshape(probs.shape[1], -1)
    return logs if beside is None else np.concatenate([logs, beside], axis=1, dtype=np.float32)


def towards(probs: np.ndarray) -> np.ndarray:
    """(n, k) the log of the models' mean."""
    return np.log(np.maximum(probs.mean(axis=0), MIN_FEATURE_PROB))
