"""The stack of a number: a ridge regression of what the models' mean leaves, on the models' numbers.

    f(w, b) = sum_i (y_i - mean_i - x_i w - b)^2 / 2 + |w|^2 / (2 C),    x and y in the models' standard deviation

Columns of the tables beside the models are more of x, as they are: their standard deviation is 1.
The smaller C, the nearer is the stack to the mean, but for its bias b. Sums of squares and products of each fold are
all that it needs of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from src.models.blend.pool import Pool
from src.models.logreg.targets import Problem


@dataclass(frozen=True)
class NumberStack:
    coef: np.ndarray  # (m,) of the models' numbers, beside 1/m of each
    intercept: float
    c: float
    span: tuple[float, float]  # no prediction is outside
    of_columns: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (c,) of the columns beside them

    def predict(self, numbers: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        """(m, n, 1) numbers, and (n, c) columns beside them -> (n, 1)."""
        found = np.tensordot(self.coef + 1 / len(numbers), numbers, axes=1) + self.intercept
        if beside is not None:
            found = found + (beside @ self.of_columns)[:, None]
        return np.clip(found, *self.span)

    def shares(self, m: int) -> np.ndarray:
        """(m,) of each model's coefficients in the sum of their absolute values; equal where all are 0: the mean."""
        size = np.abs(self.coef) + 1e-12
        return size / size.sum()


def solve(pool: Pool, problems: Sequence[Problem]) -> tuple[list[NumberStack], np.ndarray]:
    """A stack for each problem, and (p, folds) its squared error summed over each fold that it has not seen."""
    x, centre = pool.oofs[:, :, 0].T.astype(float), pool.oofs.mean(axis=(1, 2), dtype=float)
    left = (pool.targets - x.mean(axis=1))[:, None]
    x = x - centre
    scale = np.sqrt(np.square(x).mean()) or 1.0
    m, beside = x.shape[1], np.zeros((len(x), 0)) if pool.beside is None else pool.beside.astype(float)
    columns = np.column_stack([x / scale, beside, np.ones(len(x)), left / scale])
    folds = [columns[pool.fold == fold] for fold in pool.folds]
    moments = np.stack([rows.T @ rows for rows in folds])  # (folds, m + c + 2, m + c + 2)
    stacks, loss = [], np.full((len(problems), len(folds)), np.nan)
    for i, problem in enumerate(problems):
        seen = moments[[fold for fold in pool.folds if fold not in problem.without]].sum(axis=0)
        penalty = np.diag([*np.full(m + beside.shape[1], 1 / problem.c), 0])
        found = np.linalg.solve(seen[:-1, :-1] + penalty, seen[:-1, -1])
        error = np.append(-found, 1)  # what the columns are multiplied by, for what is left of the target
        for fold in problem.without:
            loss[i, fold] = scale**2 * error @ moments[fold] @ error
        coef, intercept = found[:m], found[-1] * scale - found[:m] @ centre
        stacks.append(NumberStack(coef, intercept, problem.c, pool.span, found[m:-1] * scale))
    return stacks, loss
