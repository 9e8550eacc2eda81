"""Blending: simplex weights by out-of-fold log loss, and the score of weights that never saw the rows they blend."""

import numpy as np
from scipy.optimize import minimize

EPS = 1e-7  # added to a blend's probability of the true class: its logarithm and slope stay finite


def simplex_weights(oofs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights, not negative and with sum 1, whose blend has the least log loss. The problem is convex.

    Args:
        oofs: (m, n, k) probabilities of m models.
        targets: (n,) class indices.

    Returns:
        (m,) float64.
    """
    m, n, _ = oofs.shape
    p_true = oofs[:, np.arange(n), targets].astype(np.float64)  # all that log loss looks at: (m, n)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = weights @ p_true + EPS
        return -np.log(blended).mean(), -(p_true / blended).mean(axis=1)

    found = minimize(
        loss,
        np.full(m, 1 / m),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weights = np.clip(found.x, 0, None)
    weights[weights < 1e-4] = 0  # what the solver leaves instead of nothing
    return weights / weights.sum()


def blend(probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(m, n, k) probabilities and (m,) weights -> (n, k)."""
    return np.tensordot(weights, probs, axes=1)


def cross_fitted(oofs: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The blend of each row by the weights that are fitted on the other folds' rows: (n, k), honest to score."""
    blended = np.empty(oofs.shape[1:])
    for k in np.unique(fold):
        weights = simplex_weights(oofs[:, fold != k], targets[fold != k])
        blended[fold == k] = blend(oofs[:, fold == k], weights)
    return blended
