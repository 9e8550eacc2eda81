"""From similarities of pictures and the texts of labels to probabilities: each label against its absence.

CLIP only compares: how similar a picture has to be to a label's texts to have the label is learnt, by logistic
regression on the similarity (Platt 1999, "Probabilistic outputs for support vector machines", with his targets, by
which a label that no row has is still finite). The logit of a label, where s is its similarity and m that of all
labels, their mean:

    slopes . (s - m, m) + bias

What is left of s beyond m tells the label from others; m tells pictures that are like none of them. Slopes of labels
are alike, since one network compares, and few rows have a rare label: they are drawn to common ones, which are learnt
from all labels at once, as if PULL more rows said so.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import expit

PULL = 10.0
RIDGE = 1.0  # of the common slopes
CELLS = 2**22  # rows x labels at a time
STEPS, HALVINGS = 50, 30  # of Newton's method, and of one step, at most
ENOUGH = 1e-9  # of the objective: what a last step is to gain at most


def logits(similar: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """(n, k) by similarities (n, k) and coefficients (k, 3): two slopes and a bias a label."""
    mean = similar.mean(axis=1, keepdims=True)
    return coef[:, 0] * (similar - mean) + coef[:, 1] * mean + coef[:, 2]


def predict(similar: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """(n, k) probabilities; of the arguments of `logits`."""
    return expit(logits(similar, coef))


def fit(similar: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(k, 3) the coefficients of the least penalised log loss on rows of similarities (n, k) and labels (n, k)."""
    n, k = similar.shape
    problem = Problem(similar.astype(float), targets)
    have = targets.sum(axis=0, dtype=float)
    coef, common = np.zeros((k, 3)), np.zeros(2)
    coef[:, 2] = np.log((have + 1) / (n - have + 1))
    value = problem.value(coef, common)
    for _ in range(STEPS):
        step, common_step = problem.newton(coef, common)
        for halving in range(HALVINGS):
            size = 0.5**halving
            new = problem.value(coef + size * step, common + size * common_step)
            if new <= value:
                break
        else:
            break  # as exact as numbers are
        coef, common, gained, value = coef + size * step, common + size * common_step, value - new, new
        if gained <= ENOUGH * value:
            break
    coef[:, 2] -= coef[:, 0] * problem.center[0] + coef[:, 1] * problem.center[1]
    return coef


class Problem:
    """The objective of all labels' coefficients (k, 3) and of the common slopes (2,), and its Newton steps."""

    def __init__(self, similar: np.ndarray, targets: np.ndarray):
        self.mean = similar.mean(axis=1)
        own = similar - self.mean[:, None]
        self.center = own.mean(axis=0), self.mean.mean()  # so that slopes and bias are of little to do with each other
        self.own, self.mean = own - self.center[0], self.mean - self.center[1]
        n, have = len(targets), targets.sum(axis=0, dtype=float)
        self.wanted = np.where(targets > 0, (have + 1) / (have + 2), 1 / (n - have + 2))

    def parts(self, coef: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Some labels and their logits (n, labels)."""
        n, k = self.own.shape
        for some in np.array_split(np.arange(k), math.ceil(n * k / CELLS)):
            part = slice(some[0], some[-1] + 1)
            yield part, coef[part, 0] * self.own[:, part] + np.outer(self.mean, coef[part, 1]) + coef[part, 2]

    def value(self, coef: np.ndarray, common: np.ndarray) -> float:
        loss = sum(float((np.logaddexp(0, z) - self.wanted[:, part] * z).sum()) for part, z in self.parts(coef))
        return loss + PULL / 2 * float(((coef[:, :2] - common) ** 2).sum()) + RIDGE / 2 * float(common @ common)

    def newton(self, coef: np.ndarray, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The steps of coefficients and common slopes; the latter's first, of Schur's complement."""
        gradient, hessian = self.derivatives(coef)
        apart = coef[:, :2] - common
        gradient[:, :2] += PULL * apart
        hessian[:, [0, 1], [0, 1]] += PULL
        drawn = np.zeros((len(coef), 3, 2))
        drawn[:, [0, 1], [0, 1]] = -PULL
        solved = np.linalg.solve(hessian, np.concatenate([gradient[..., None], drawn], axis=2))  # (k, 3, 1 + 2)
        of_common = RIDGE * common - PULL * apart.sum(axis=0)
        reduced = of_common - np.einsum("kij,ki->j", drawn, solved[..., 0])
        schur = (RIDGE + PULL * len(coef)) * np.eye(2) - np.einsum("kij,kil->jl", drawn, solved[..., 1:])
        common_step = -np.linalg.solve(schur, reduced)
        return -solved[..., 0] - solved[..., 1:] @ common_step, common_step

    def derivatives(self, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, 3) and (k, 3, 3), of the log loss alone."""
        gradient, hessian = np.zeros((len(coef), 3)), np.zeros((len(coef), 3, 3))
        for part, z in self.parts(coef):
            probs, own = expit(z), self.own[:, part]
            rest, weight = probs - self.wanted[:, part], probs * (1 - probs)
            gradient[part] = np.stack([(rest * own).sum(axis=0), self.mean @ rest, rest.sum(axis=0)], axis=1)
            products = {(0, 0): own**2, (0, 1): own * self.mean[:, None], (0, 2): own}
            for (i, j), product in products.items():
                hessian[part, i, j] = hessian[part, j, i] = (weight * product).sum(axis=0)
            for (i, j), power in {(1, 1): 2, (1, 2): 1, (2, 2): 0}.items():
                hessian[part, i, j] = hessian[part, j, i] = self.mean**power @ weight
        return gradient, hessian
