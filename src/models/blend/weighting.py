"""Weights of models, fitted on out-of-fold predictions: all to the best, or by the loss."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize, nnls

from src.scoring import decisions
from src.scoring.metrics import Metric
from src.scoring.tables import SparseTables, Tables, true_probs

ADDED_PROB = 1e-7  # added to a blend's probability of the true class: its logarithm and slope stay finite
EVEN = 1e-9  # of the mean squared error, by which uneven weights of equal models are worse


def best_weights(oofs: Tables, targets: np.ndarray, metric: Metric) -> np.ndarray:
    """The weights (m,) that are 1 for the best model by the metric, of equal ones for that of the least log loss."""
    decided = [decisions.fit(metric, table, targets).apply(table) for table in oofs]
    ranks = [metric.rank(targets, *tables) for tables in zip(decided, oofs, strict=True)]
    return np.eye(len(oofs))[ranks.index(max(ranks))]


def simplex_weights(task: str, oofs: Tables, targets: np.ndarray) -> np.ndarray:
    """The weights (m,), not negative and with sum 1, whose blend has the least loss of the target: a convex problem.

    Args:
        oofs: (m, n, k) predictions of m models.
        targets: The rows' targets: see scoring/targets.py.
    """
    weights = np.clip(SOLVERS[task](oofs, targets), 0, None)
    weights[weights < 1e-4] = 0  # what the solver leaves instead of nothing
    return weights / weights.sum()


def of_class(oofs: Tables, targets: np.ndarray) -> np.ndarray:
    if isinstance(oofs, SparseTables):
        return of_least_log_loss(np.stack([true_probs(targets, table) for table in oofs]).astype(np.float64))
    return of_least_log_loss(oofs[:, np.arange(len(targets)), targets].astype(np.float64))


def of_labels(oofs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """By the mean of the labels' log losses."""
    return of_least_log_loss(np.where(targets > 0, oofs, 1 - oofs).reshape(len(oofs), -1).astype(np.float64))


def of_least_log_loss(p_true: np.ndarray) -> np.ndarray:
    """By the probabilities (m, n) of what is true: all that log loss looks at."""
    m, n = p_true.shape

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = weights @ p_true + ADDED_PROB
        return -np.log(blended).mean(), p_true @ (1 / blended) / -n

    result = minimize(
        loss,
        np.full(m, 1 / m),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    return result.x


def of_number(oofs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """By the squared error, which is w' Q w: weights of sum 1 blend the models' errors, whose products are in Q.

    The least of w' Q w where the sum is 1 is in proportion to that of u' Q u / 2 - sum(u), without a condition on the
    sum: non-negative least squares by Q's Cholesky factor.
    """
    errors = oofs[:, :, 0].astype(np.float64) - targets
    products = errors @ errors.T
    products = products / (products.diagonal().mean() or 1.0) + EVEN * np.eye(len(errors))
    factor = np.linalg.cholesky(products)
    found, _ = nnls(factor.T, solve_triangular(factor, np.ones(len(errors)), lower=True))
    return found / found.sum()


SOLVERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # by the task
    "class": of_class,
    "labels": of_labels,
    "number": of_number,
}
