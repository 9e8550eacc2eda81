"""The stack of several labels: a logistic regression a label on the models' log odds of that label.

The penalty draws coefficients and intercept to 0, where the prediction is the mean of the models' probabilities:

    f(w, b) = sum_i CE(logit(mean_i) + x_i w + b, y_i) + (|w|^2 + b^2) / (2 C)

The intercept is penalised too, so that a label which no training row has stays at the models' mean and does not run to
minus infinity. All labels have one C: one a label would be chosen by the few rows that have a rare label. A problem
has m + 1 coefficients, and one for each column of the tables that stands beside the models. Newton's method solves the
problems of one label and one C together: the Hessians of all are one product of the rows' curvatures and the products
of their columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from src.models.blend.pool import Pool
from src.models.logreg.targets import Problem
from src.scoring.targets import MIN_PROB

STACKABLE = 5_000_000  # log odds, models times rows times labels: of more, it takes minutes
MIN_FEATURE_PROB = 1e-5  # from 0 and 1: a model that is wrongly certain is no feature out of all proportion
STEPS, HALVINGS = 50, 30  # of Newton's method, and of a step that is too long, at most
ENOUGH = 1e-6  # of the decrease of f that a step promises: far finer than what C decides


@dataclass(frozen=True)
class LabelStack:
    coef: np.ndarray  # (k, m + c) of the models' log odds, and of columns beside them
    intercept: np.ndarray  # (k,)
    c: float

    def predict(self, probs: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        """(m, n, k) probabilities, and (n, c) columns beside them -> (n, k)."""
        m = len(probs)
        logits = np.einsum("mnk,km->nk", log_odds(probs), self.coef[:, :m]) + self.intercept + towards(probs)
        return expit(logits if beside is None else logits + beside @ self.coef[:, m:].T)

    def shares(self, m: int) -> np.ndarray:
        """(m,) of each model's coefficients in the sum of their absolute values; equal where all are 0: the mean."""
        size = np.abs(self.coef[:, :m]).sum(axis=0) + 1e-12
        return size / size.sum()


def size(shape: tuple[int, int, int]) -> int:
    """The log odds of models (m, n, k)."""
    return int(np.prod(shape, dtype=float))


def solve(pool: Pool, problems: Sequence[Problem]) -> tuple[list[LabelStack], np.ndarray]:
    """A stack for each problem, and (p, folds) its log loss summed over the rows of each fold that it has not seen."""
    m, _, k = pool.oofs.shape
    d = m + (0 if pool.beside is None else pool.beside.shape[1]) + 1
    coef, loss = np.zeros((len(problems), k, d)), np.zeros((len(problems), len(pool.folds)))
    for label in range(k):
        coef[:, label], its_loss = solve_label(pool, label, problems)
        loss += its_loss
    stacks = [LabelStack(one[:, :-1], one[:, -1], problem.c) for one, problem in zip(coef, problems, strict=True)]
    return stacks, loss


def solve_label(pool: Pool, label: int, problems: Sequence[Problem]) -> tuple[np.ndarray, np.ndarray]:
    """(p, m + c + 1) coefficients and intercept of a label, and (p, folds) the losses of `solve`; NaN of one seen."""
    probs = pool.oofs[:, :, label : label + 1]
    x = log_odds(probs)[:, :, 0].T
    x = x if pool.beside is None else np.column_stack([x, pool.beside])
    centre = x.mean(axis=0)
    x, offset = np.column_stack([x - centre, np.ones(len(x))]), towards(probs)[:, 0]
    y = pool.targets[:, label].astype(float)
    coef, loss = np.zeros((len(problems), x.shape[1])), np.full((len(problems), len(pool.folds)), np.nan)
    member = pool.fold[:, None] == np.array(pool.folds)
    start: dict[tuple[int, ...], np.ndarray] = {}
    for c in sorted({problem.c for problem in problems}):  # each begins where that of less C has ended
        some = [i for i, problem in enumerate(problems) if problem.c == c]
        unseen = np.array([np.isin(pool.folds, problems[i].without) for i in some])
        first = np.array([start.get(problems[i].without, np.zeros(x.shape[1])) for i in some])
        coef[some] = newton(x, y, offset, ~unseen @ member.T, 1 / c, first)
        start = {problems[i].without: coef[i] for i in some}
        losses = cross_entropy(coef[some] @ x.T + offset, y) @ member
        loss[some] = np.where(unseen, losses, np.nan)
    coef[:, -1] -= coef[:, :-1] @ centre
    return coef, loss


def newton(
    x: np.ndarray, y: np.ndarray, offset: np.ndarray, trains: np.ndarray, ridge: float, coef: np.ndarray
) -> np.ndarray:
    """(p, d) the optimum of each problem.

    Args:
        x: (n, d) columns; y: (n,) 0 or 1; offset: (n,) logits to start from.
        trains: (p, n) bool, the rows that each problem sees.
        coef: (p, d) where to begin.
    """
    d = x.shape[1]
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)

    def value(coef: np.ndarray) -> np.ndarray:
        losses = np.where(trains, cross_entropy(coef @ x.T + offset, y), 0)
        return losses.sum(axis=1) + ridge / 2 * np.square(coef).sum(axis=1)

    found = value(coef)
    for _ in range(STEPS):
        p = expit(coef @ x.T + offset)
        gradient = np.where(trains, p - y, 0) @ x + ridge * coef
        hessian = (np.where(trains, p * (1 - p), 0) @ products).reshape(-1, d, d) + ridge * np.eye(d)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        promised = (gradient * step).sum(axis=1) / 2
        if (promised <= ENOUGH).all():
            break
        scale = np.ones((len(coef), 1))
        for _ in range(HALVINGS):
            tried = value(coef - scale * step)
            if not (worse := tried > found).any():
                break
            scale[worse] /= 2
        coef = np.where((tried > found)[:, None], coef, coef - scale * step)
        found = np.minimum(tried, found)
    return coef


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(p, n) -log of the probability that each row is as it is."""
    return np.logaddexp(0, logits) - y * logits


def log_odds(probs: np.ndarray, least: float = MIN_FEATURE_PROB) -> np.ndarray:
    return logit(np.clip(probs, least, 1 - least, dtype=float))


def towards(probs: np.ndarray) -> np.ndarray:
    """(n, k) the log odds of the models' mean."""
    return log_odds(probs.mean(axis=0, dtype=float), MIN_PROB)
