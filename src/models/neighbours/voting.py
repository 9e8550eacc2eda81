"""The votes of neighbours, and the choice of how they vote inside each fold's training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse

from src.models.neighbours.searching import Nearest
from src.schema.models import Neighbours
from src.scoring.targets import Target


@dataclass(frozen=True)
class Vote:
    k: int  # neighbours
    width: float  # of the similarity: a neighbour's vote is exp(-(the nearest's - its own) / width)
    prior: float  # the vote of the training rows' mean

    def weights(self, nearest: Nearest) -> np.ndarray:
        """(n, k) float64, of which the nearest has 1; 0 where there is no neighbour."""
        similar = nearest.similarity[:, : self.k].astype(float)
        weights = np.exp((similar - similar[:, :1]) / self.width)
        return np.where(nearest.rows[:, : self.k] >= 0, weights, 0)

    def predict(self, nearest: Nearest, said: "Said", mean: np.ndarray) -> np.ndarray:
        """(n, k) predictions, by what the rows said and by the mean (k,) of those that may be seen."""
        weights = self.weights(nearest)
        total = weights.sum(axis=1, keepdims=True) + self.prior
        return (said.sum(nearest.rows[:, : self.k], weights) + self.prior * mean) / total


class Said:
    """What training rows say, as a table (rows, k): 1 in the class, labels as they are, the number."""

    def __init__(self, targets: np.ndarray, k: int):
        if targets.ndim == 1 and targets.dtype.kind in "iu":
            n = len(targets)
            self.table = sparse.csr_array((np.ones(n), targets, np.arange(n + 1)), shape=(n, k))
        else:
            self.table = sparse.csr_array(targets.reshape(len(targets), -1).astype(float))

    def sum(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n, k) the sums of what rows (n, K) say, each with its weight."""
        n, most = rows.shape
        places = np.maximum(rows, 0).ravel()
        voters = sparse.csr_array((weights.ravel(), places, np.arange(0, n * most + 1, most)), (n, self.table.shape[0]))
        return (voters @ self.table).toarray()

    def mean(self, seen: np.ndarray) -> np.ndarray:
        """(k,) the mean of the rows of a mask."""
        return np.asarray(self.table[seen].mean(axis=0)).ravel()


def choose(
    spec: Neighbours, inner: Nearest, targets: np.ndarray, said: Said, mean: np.ndarray, target: Target
) -> tuple[Vote, float]:
    """The vote of the least loss, and that loss, of rows whose neighbours are of other folds than their own.

    The number of neighbours and the width are chosen first, at the middle one of the priors, then the prior.
    """
    middle = sorted(spec.priors)[len(spec.priors) // 2]
    first = [Vote(k, width, middle) for k, width in product(spec.ks, spec.widths)]
    best, _ = least(first, inner, targets, said, mean, target)
    return least([Vote(best.k, best.width, prior) for prior in spec.priors], inner, targets, said, mean, target)


def least(
    votes: Sequence[Vote], inner: Nearest, targets: np.ndarray, said: Said, mean: np.ndarray, target: Target
) -> tuple[Vote, float]:
    losses = [float(target.loss(targets, vote.predict(inner, said, mean)).mean()) for vote in votes]
    place = int(np.argmin(losses))
    return votes[place], losses[place]
