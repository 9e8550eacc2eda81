"""The linear probe: scikit-learn's logistic regression on unit features, its C chosen inside the training rows."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from src.metrics import METRICS
from src.progress import track


@dataclass(frozen=True)
class Fit:
    """One fold's probe: predicts softmax(feats @ coef.T + intercept)."""

    coef: np.ndarray  # (k, d) float32
    intercept: np.ndarray  # (k,) float32
    c: float
    curve: dict[str, float]  # log loss inside the training rows for each C

    def predict(self, feats: np.ndarray) -> np.ndarray:
        """(n, d) unit features -> (n, k) probabilities."""
        return softmax(feats @ self.coef.T + self.intercept, axis=1)


def fit(feats: np.ndarray, targets: np.ndarray, k: int, c: float) -> tuple[np.ndarray, np.ndarray]:
    """coef (k, d) and intercept (k,) of multinomial logistic regression with an L2 penalty, as scikit-learn has it.

    A class that `targets` lack gets a logit so low that it is never predicted.
    """
    coef, intercept = np.zeros((k, feats.shape[1]), np.float32), np.full(k, -1e4, np.float32)
    present = np.unique(targets)
    if len(present) == 1:  # scikit-learn refuses to learn nothing
        intercept[present] = 0
        return coef, intercept
    # Centring changes the intercept alone, which is not penalised, and saves most iterations: unit features of one CLIP
    # all point much the same way. newton-cg to 1e-6 in float64, because lbfgs to its 1e-4 stops early where C is large.
    mean = feats.mean(axis=0, dtype=np.float64)
    with warnings.catch_warnings(record=True) as said, threads_for(feats):
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(C=c, solver="newton-cg", tol=1e-6, max_iter=500).fit(feats - mean, targets)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in said):
        print(f"probe: C={c:g} did not converge in {model.max_iter} iterations: its log loss is of the last one")
    if len(present) == 2:  # one row of coefficients, of the second class against the first
        coef[present[1]], intercept[present] = model.coef_[0], [0, model.intercept_[0]]
    else:
        coef[present], intercept[present] = model.coef_, model.intercept_
    return coef, intercept - (coef @ mean).astype(np.float32)


def threads_for(feats: np.ndarray) -> threadpool_limits:
    """One thread for a small matrix, where handing out the work costs more than the work."""
    return threadpool_limits(1 if feats.size < 2_000_000 else None)


def fit_folds(feats: np.ndarray, targets: np.ndarray, fold: np.ndarray, k: int, cs: tuple[float, ...]) -> list[Fit]:
    """One probe a fold, fitted on the rows outside of it, with the C that has the least log loss there.

    That log loss is cross-validated over the other folds: nothing of the held-out fold is seen. A probe without folds
    a and b serves both choices, C for a scored on b and C for b scored on a.

    Args:
        feats: (n, d) unit features.
        targets: (n,) class indices below k.
        fold: (n,) the fold of each row.
        cs: The values of C to choose from.
    """
    folds = range(int(fold.max()) + 1)
    loss = np.zeros((len(folds), len(cs)))  # summed over the inner folds' rows
    pairs = [(a, b, i) for a in folds for b in folds if a < b for i in range(len(cs))]
    for a, b, i in track(pairs, "probe", len(pairs), "fits"):
        inside = Fit(*fit(feats[(fold != a) & (fold != b)], targets[(fold != a) & (fold != b)], k, cs[i]), cs[i], {})
        for outer, inner in ((a, b), (b, a)):
            rows = fold == inner
            loss[outer, i] += METRICS["log_loss"].per_row(targets[rows], inside.predict(feats[rows])).sum()
    fits = []
    for a in folds:
        rows, c = fold != a, cs[int(loss[a].argmin())]
        curve = {f"{c:g}": round(float(total / rows.sum()), 6) for c, total in zip(cs, loss[a], strict=True)}
        fits.append(Fit(*fit(feats[rows], targets[rows], k, c), c, curve))
    return fits
