"""The votes of neighbours, and the choice of how they vote inside each fold's training rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse

from src.models.neighbours.searching import Nearest
from src.schema.models import Neighbours
from src.scoring.blocks import blocks
from src.scoring.sparse import KEPT, SparseTable, vstack
from src.scoring.tables import Table, of_weights
from src.scoring.targets import MIN_PROB, TARGETS, Target


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

    def predict(self, nearest: Nearest, said: "Said", mean: np.ndarray) -> Table:
        """(n, k) predictions, by what the rows said and by the mean (k,) of those that may be seen."""
        if said.is_sparse(len(nearest.rows)):
            return vstack([self.likeliest(nearest.take(part), said, mean) for part in said.parts(len(nearest.rows))])
        weights = self.weights(nearest)
        total = weights.sum(axis=1, keepdims=True) + self.prior
        return (said.sum(nearest.rows[:, : self.k], weights).toarray() + self.prior * mean) / total

    def likeliest(self, nearest: Nearest, said: "Said", mean: np.ndarray) -> SparseTable:
        """The same with the likeliest classes: of those with a vote and of the most frequent at large, which have most.

        What the classes at large have beyond these is spread evenly.
        """
        weights = self.weights(nearest)
        total = weights.sum(axis=1) + self.prior
        common = np.argsort(-mean, kind="stable")[:KEPT]
        rare = (1 - mean[common].sum()) / (said.k - len(common))
        often = sparse.csr_array((mean[common] - rare, (np.zeros(len(common), int), common)), shape=(1, said.k))
        every = sparse.csr_array(np.ones((len(total), 1)))
        votes = said.sum(nearest.rows[:, : self.k], weights) + every @ often * self.prior
        return of_weights(sparse.diags_array(1 / total) @ votes, self.prior * rare / total).cut()

    def losses(self, nearest: Nearest, said: "Said", mean: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(n,) the log loss of each row of one class, which needs the votes for the true class alone."""
        weights = self.weights(nearest)
        agrees = said.targets[np.maximum(nearest.rows[:, : self.k], 0)] == targets[:, None]
        true = (weights * agrees).sum(axis=1) + self.prior * mean[targets]
        return -np.log(np.clip(true / (weights.sum(axis=1) + self.prior), MIN_PROB, 1))


class Said:
    """What training rows say, as a table (rows, k): 1 in the class, labels as they are, the number."""

    def __init__(self, targets: np.ndarray, k: int):
        self.targets, self.k = targets, k
        self.is_choice = targets.ndim == 1 and targets.dtype.kind in "iu"
        if self.is_choice:
            n = len(targets)
            self.table = sparse.csr_array((np.ones(n), targets, np.arange(n + 1)), shape=(n, k))
        else:
            self.table = sparse.csr_array(targets.reshape(len(targets), -1).astype(float))

    def is_sparse(self, n: int) -> bool:
        """Whether predictions of n rows are."""
        return self.is_choice and TARGETS["class"].is_sparse(n, self.k)

    def parts(self, n: int) -> Iterator[slice]:
        """The places of n rows, some at a time: so many that their votes, and those of the mean, are few."""
        return blocks((n, 2 * KEPT))

    def sum(self, rows: np.ndarray, weights: np.ndarray) -> sparse.csr_array:
        """(n, k) the sums of what rows (n, K) say, each with its weight."""
        n, most = rows.shape
        places = np.maximum(rows, 0).ravel()
        voters = sparse.csr_array((weights.ravel(), places, np.arange(0, n * most + 1, most)), (n, self.table.shape[0]))
        return voters @ self.table

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
    def loss(vote: Vote) -> np.ndarray:
        if said.is_sparse(len(targets)):
            return vote.losses(inner, said, mean, targets)
        return target.loss(targets, vote.predict(inner, said, mean))

    losses = [float(loss(vote).mean()) for vote in votes]
    place = int(np.argmin(losses))
    return votes[place], losses[place]
