"""Stacking (Wolpert 1992): logistic regression on the models' log probabilities, pulled towards their mean.

The penalty draws to the log of the mean of the models' probabilities: the smaller C, the nearer is the stack to the
mean. C is the one with the least log loss on folds inside the training rows, each predicted by a fit without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax

from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, Solution, solve

CS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TOL = 3e-4  # of the gradient: far finer than what C decides
SMALL = 2_000_000  # numbers in the table of columns
MIN_FEATURE_PROB = 1e-5  # of a probability: a model that is wrongly certain is no feature out of all proportion


@dataclass(frozen=True)
class Stack:
    coef: np.ndarray  # (k, m (k - 1)) of the models' log probabilities
    intercept: np.ndarray  # (k,)
    c: float

    def predict(self, probs: np.ndarray) -> np.ndarray:
        """(m, n, k) probabilities -> (n, k)."""
        return softmax(columns(probs) @ self.coef.T.astype(float) + self.intercept + towards(probs), axis=1)

    def shares(self, m: int) -> np.ndarray:
        """(m,) of each model's coefficients in the sum of their absolute values; equal where all are 0: the mean."""
        size = np.abs(self.coef).sum(axis=0, dtype=float).reshape(m, -1).sum(axis=1) + 1e-12
        return size / size.sum()


def fit(oofs: np.ndarray, targets: np.ndarray, fold: np.ndarray, withouts: Sequence[tuple[int, ...]]) -> list[Stack]:
    """One stack of m models, by their probabilities (m, n, k), for each tuple of folds that it must not see."""
    folds = range(int(fold.max()) + 1)
    inner = {without: [f for f in folds if f not in without] for without in withouts}
    inner = {without: left if len(left) > 1 else [] for without, left in inner.items()}
    sets = {*withouts, *(extend(without, f) for without, left in inner.items() for f in left)}
    keys = [(c, without) for without in sorted(sets) for c in CS]
    solution = solve_columns(oofs, targets, fold, [Problem(*key) for key in keys])
    place = {key: i for i, key in enumerate(keys)}

    def loss(c: float, without: tuple[int, ...]) -> float:
        return sum(solution.held_out_loss[place[c, extend(without, f)], f] for f in inner[without])

    stacks = []
    for without in withouts:
        c = min(CS, key=lambda c: loss(c, without))  # with one fold left to train on: the least, nearest to the mean
        i = place[c, without]
        stacks.append(Stack(solution.coef[i], solution.intercept[i], c))
    return stacks


def refit(
    oofs: np.ndarray, targets: np.ndarray, fold: np.ndarray, withouts: Sequence[tuple[int, ...]], cs: Sequence[float]
) -> list[Stack]:
    """As `fit`, with a known C each."""
    problems = [Problem(c, without) for c, without in zip(cs, withouts, strict=True)]
    solution = solve_columns(oofs, targets, fold, problems)
    return [Stack(*parts) for parts in zip(solution.coef, solution.intercept, cs, strict=True)]


def solve_columns(oofs: np.ndarray, targets: np.ndarray, fold: np.ndarray, problems: Sequence[Problem]) -> Solution:
    """The problems' solution; of a small table on one thread, where handing out the work costs more than the work."""
    feats, threads = columns(oofs), torch.get_num_threads()
    torch.set_num_threads(1 if feats.size < SMALL else threads)
    try:
        with Design(feats, fold) as design:
            return solve(design, targets, oofs.shape[2], problems, tol=TOL, offset=towards(oofs))
    finally:
        torch.set_num_threads(threads)


def extend(without: tuple[int, ...], fold: int) -> tuple[int, ...]:
    return tuple(sorted((*without, fold)))


def columns(probs: np.ndarray) -> np.ndarray:
    """(n, m (k - 1)) float32: log probabilities, of each model with mean 0, but for the last class, which follows."""
    logs = np.log(np.maximum(probs, MIN_FEATURE_PROB))
    logs -= logs.mean(axis=2, keepdims=True)
    return np.ascontiguousarray(logs[:, :, :-1].transpose(1, 0, 2), np.float32).reshape(probs.shape[1], -1)


def towards(probs: np.ndarray) -> np.ndarray:
    """(n, k) the log of the models' mean."""
    return np.log(np.maximum(probs.mean(axis=0), MIN_FEATURE_PROB))
