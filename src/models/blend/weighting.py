"""Weights of models, fitted on out-of-fold predictions: all to the best, or by the loss."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from src.scoring import decisions
from src.scoring.metrics import Metric

ADDED_PROB = 1e-7  # added to a blend's probability of the true class: its logarithm and slope stay finite


def best_weights(oofs: np.ndarray, targets: np.ndarray, metric: Metric) -> np.ndarray:
    """The weights (m,) that are 1 for the best model by the metric, of equal ones for that of the least log loss."""
    decided = [decisions.fit(metric, table, targets).apply(table) for table in oofs]
    ranks = [metric.rank(targets, *tables) for tables in zip(decided, oofs, strict=True)]
    return np.eye(len(oofs))[ranks.index(max(ranks))]


def simplex_weights(task: str, oofs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights (m,), not negative and with sum 1, whose blend has the least loss of the target: a convex problem.

    Args:
        oofs: (m, n, k) predictions of m models.
        targets: The rows' targets: see scoring/targets.py.
    """
    loss = LOSSES[task](oofs, targets)
    m = len(oofs)
    result = minimize(
        loss,
        np.full(m, 1 / m),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weights = np.clip(result.x, 0, None)
    weights[weights < 1e-4] = 0  # what the solver leaves instead of nothing
    return weights / weights.sum()


Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]  # of weights (m,), with its gradient


def class_loss(oofs: np.ndarray, targets: np.ndarray) -> Loss:
    return log_loss(oofs[:, np.arange(len(targets)), targets].astype(np.float64))


def label_loss(oofs: np.ndarray, targets: np.ndarray) -> Loss:
    """The mean over rows and labels."""
    return log_loss(np.where(targets > 0, oofs, 1 - oofs).reshape(len(oofs), -1).astype(np.float64))


def log_loss(p_true: np.ndarray) -> Loss:
    """By the probabilities (m, n) of what is true: all that log loss looks at."""
    n = p_true.shape[1]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = weights @ p_true + ADDED_PROB
        return -np.log(blended).mean(), p_true @ (1 / blended) / -n

    return loss


def squared_error(oofs: np.ndarray, targets: np.ndarray) -> Loss:
    """In that of the best model, so that it has no unit: weights of sum 1 blend the models' errors."""
    errors = oofs[:, :, 0].astype(np.float64) - targets
    products = errors @ errors.T
    squares = products.diagonal()
    products = products / (squares.min() or squares.mean() or 1.0)
    return lambda weights: (weights @ products @ weights, 2 * products @ weights)


LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], Loss]] = {  # by the task
    "class": class_loss,
    "labels": label_loss,
    "number": squared_error,
}
