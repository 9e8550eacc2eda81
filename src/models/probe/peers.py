"""A probe's problems by scikit-learn, one after the other, in float64: a peer of the batched solvers."""

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from src.base.progress import track
from src.models.links import Link
from src.models.logreg.labels import PRIOR
from src.models.logreg.ridge import Clipped
from src.models.logreg.solve import NEVER, Problem, Solution
from src.models.probe.data import ProbeData
from src.schema.models import Probe
from src.scoring.targets import label_surprise, surprise

Found = tuple[np.ndarray, np.ndarray, int, bool]  # coef (k, d), intercept (k,), iterations, whether it has converged


def scikit_learn(
    spec: Probe, data: ProbeData, feats: np.ndarray, targets: np.ndarray, problems: Sequence[Problem]
) -> Solution:
    """Solve one problem after the other, logistic regressions by newton-cg."""
    kept = np.ones(len(targets), bool) if targets.ndim == 2 else targets >= 0
    found, losses = [], []
    for problem in track(problems, "probe", len(problems), "fits"):
        rows = kept & ~np.isin(data.fold, problem.without)
        mean = feats[rows].mean(axis=0, dtype=np.float64)  # changes the intercept alone, and saves most iterations
        # for a small matrix one thread: handing out the work costs more than the work
        with threadpool_limits(1 if feats.size < 2_000_000 else None):
            coef, intercept, *ended = fit(spec, data, feats[rows] - mean, targets[rows], problem.c)
        intercept = intercept - coef @ mean
        found.append((coef.astype(np.float32), intercept.astype(np.float32), *ended))
        outside = [kept & (data.fold == block) for block in problem.without]
        loss = [loss_of(data.link, targets[rows], feats[rows] @ coef.T + intercept) for rows in outside]
        losses.append(np.full((len(data.folds), *np.shape(loss)[1:]), np.nan))
        losses[-1][list(problem.without)] = loss
    coefs, intercepts, iterations, converged = (np.array(each) for each in zip(*found, strict=True))
    return Solution(coefs, intercepts, np.array(losses), np.where(converged, spec.tol, np.inf), iterations, converged)


def fit(spec: Probe, data: ProbeData, feats: np.ndarray, targets: np.ndarray, c: float | tuple[float, ...]) -> Found:
    if isinstance(data.link, Clipped):
        model = Ridge(alpha=1 / c).fit(feats, targets[:, 0])
        return model.coef_[None], np.array([model.intercept_]), 0, True
    if targets.ndim == 1:
        return fit_classes(spec, feats, targets, data.k, c)
    cs = np.broadcast_to(c, data.k).tolist()
    each = [fit_classes(spec, feats, own, 2, one) for own, one in zip(targets.T.astype(int), cs, strict=True)]
    coef, intercept, iterations, converged = zip(*each, strict=True)
    # what a label's logit counts from is that of its absence
    coef, intercept = np.array(coef)[:, 1], np.array([own[1] - own[0] for own in intercept])
    alike = targets.min(axis=0) == targets.max(axis=0)
    intercept[alike] = logit((targets.sum(axis=0) + PRIOR) / (len(targets) + 2 * PRIOR))[alike]
    return coef, intercept, max(iterations), all(converged)


def fit_classes(spec: Probe, feats: np.ndarray, targets: np.ndarray, k: int, c: float) -> Found:
    """One class a row; a class that no row has is never predicted."""
    coef, intercept, present = np.zeros((k, feats.shape[1])), np.full(k, float(NEVER)), np.unique(targets)
    if len(present) == 1:  # scikit-learn refuses to learn nothing
        intercept[present] = 0
        return coef, intercept, 0, True
    weight = "balanced" if spec.class_weight == "balanced" else None
    model = LogisticRegression(C=c, solver="newton-cg", tol=spec.tol, max_iter=500, class_weight=weight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(feats, targets)
    if len(present) == 2:  # one row of coefficients, of the second class against the first
        coef[present[1]], intercept[present] = model.coef_[0], [0, model.intercept_[0]]
    else:
        coef[present], intercept[present] = model.coef_, model.intercept_
    failed = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return coef, intercept, int(model.n_iter_[0]), not failed


def loss_of(link: Link, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray | float:
    """The sum of losses over rows; of labels that of each."""
    if isinstance(link, Clipped):
        return ((outputs.clip(0, 1) - targets) ** 2).sum()
    predicted = link.predict(outputs)
    return label_surprise(targets, predicted).sum(axis=0) if targets.ndim == 2 else surprise(targets, predicted).sum()
