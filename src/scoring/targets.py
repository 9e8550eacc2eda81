"""What a row may be asked for: one class, several labels, or a number; and all that this changes in a table of numbers.

  task     targets            a table of predictions                     its loss, a row
  class    (n,) class index   (n, k) probabilities of sum 1              -log of the true class's probability
  labels   (n, k) 0 or 1      (n, k) a probability a label               the same of each label, their mean
  number   (n,) float         (n, 1) the number                          the squared error

A target is asked instead of named: nobody else takes an argmax, or divides a row by its sum. Of many classes a table is
sparse, which only what is of one class has to know: see sparse.py.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from src.scoring.blocks import by_rows
from src.scoring.sparse import SameRow, SparseTable
from src.scoring.tables import is_large, true_probs

MIN_PROB = np.finfo(np.float32).eps  # the least probability that a logarithm is taken of, as in scikit-learn
BOARD_MIN_PROB = 1e-15  # Kaggle's
TOLERANCE = 1e-3  # of a row's sum: float32 softmaxes of many classes and averages of them stay well within
LABELS_NAMED = 4  # of a constant answer, at most
BINS = 10  # quantiles of numbers that rows are drawn from alike


class Target(Protocol):
    task: str
    loss_name: str  # the metric that is the mean of its loss, or the root of that
    loss_title: str  # the loss of a row in words
    is_choice: bool  # a row is one of its columns, whose numbers have the sum 1
    is_calibrated: bool  # predictions are probabilities, which a temperature makes more or less sure

    def is_sparse(self, n: int, k: int) -> bool:
        """Whether a table of so many rows and columns keeps the likeliest of each row alone: see sparse.py."""

    def loss(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        """(n,) the loss of each row, by which predictions that the metric finds equal are told apart."""

    def answers(self, table: np.ndarray) -> np.ndarray:
        """What the predictions say: class indices (n,), labels (n, k) of bool, or numbers (n,)."""

    def constant(self, targets: np.ndarray, k: int) -> np.ndarray:
        """(n, k) the table of the least loss that is the same for every row."""

    def describe(self, row: np.ndarray, outputs: Sequence[str], answers: str) -> str:
        """What predictions (k,) that are the same for every row say, where a submission holds such answers.

        Args:
            answers: See `Metric.answers`.
        """

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """(n,) integers from 0: rows of one are alike, where some rows are drawn."""

    def rescaled(self, table: np.ndarray) -> np.ndarray:
        """(n, k) a table of predictions of what has lost their sum: the greatest of several, a column for itself."""

    def find_fault(self, table: np.ndarray) -> tuple[str, np.ndarray] | None:
        """What rows are not, `probabilities`, and which (n,) are not; None where all are."""


class OneClass:
    task, loss_name, loss_title, is_choice = "class", "log_loss", "log loss", True
    is_calibrated = True

    def is_sparse(self, n: int, k: int) -> bool:
        return is_large(n, k)

    def loss(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return surprise(targets, table)

    def answers(self, table: np.ndarray) -> np.ndarray:
        return table.argmax(axis=1)

    def constant(self, targets: np.ndarray, k: int) -> np.ndarray:
        shares = np.bincount(targets, minlength=k) / len(targets)
        if self.is_sparse(len(targets), k):
            return SameRow(shares, len(targets))
        return np.broadcast_to(shares, (len(targets), k))

    def describe(self, row: np.ndarray, outputs: Sequence[str], answers: str) -> str:
        texts = {"labels": repr(outputs[row.argmax()]), "ranking": "the most frequent classes"}
        return texts.get(answers, "the share of each class")

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def rescaled(self, table: np.ndarray) -> np.ndarray:
        return table / table.sum(axis=1, keepdims=True)

    def find_fault(self, table: np.ndarray) -> tuple[str, np.ndarray] | None:
        if isinstance(table, SparseTable):
            bad = table.find_bad(TOLERANCE)
        else:
            in_range = np.isfinite(table).all(axis=1) & (table >= 0).all(axis=1)
            bad = ~(in_range & (np.abs(table.sum(axis=1) - 1) <= TOLERANCE))
        return ("probabilities", bad) if bad.any() else None


class SeveralLabels:
    task, loss_name, loss_title, is_choice = "labels", "log_loss", "log loss", False
    is_calibrated = True

    def is_sparse(self, n: int, k: int) -> bool:
        return False

    def loss(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return by_rows(lambda *rows: label_surprise(*rows).mean(axis=1), targets, table)

    def answers(self, table: np.ndarray) -> np.ndarray:
        return table >= 0.5

    def constant(self, targets: np.ndarray, k: int) -> np.ndarray:
        return np.broadcast_to(targets.mean(axis=0), targets.shape)

    def describe(self, row: np.ndarray, outputs: Sequence[str], answers: str) -> str:
        if answers != "labels":
            return "the share of each label"
        labels = [repr(outputs[i]) for i in np.flatnonzero(self.answers(row))]
        if len(labels) > LABELS_NAMED:
            return "all labels" if len(labels) == len(outputs) else f"the {len(labels)} most frequent labels"
        return ", ".join(labels) or "no label"

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest label that the row has: of rare ones as many are drawn as of common ones."""
        order = np.argsort(targets.sum(axis=0), kind="stable")
        none = len(order) * ~targets.astype(bool).any(axis=1)
        return np.argmax(targets[:, order] > 0, axis=1) + none

    def rescaled(self, table: np.ndarray) -> np.ndarray:
        return table

    def find_fault(self, table: np.ndarray) -> tuple[str, np.ndarray] | None:
        bad = ~((table >= 0) & (table <= 1)).all(axis=1)
        return ("probabilities", bad) if bad.any() else None


class Number:
    task, loss_name, loss_title, is_choice = "number", "rmse", "squared error", False
    is_calibrated = False

    def is_sparse(self, n: int, k: int) -> bool:
        return False

    def loss(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return (table[:, 0].astype(float) - targets) ** 2

    def answers(self, table: np.ndarray) -> np.ndarray:
        return table[:, 0]

    def constant(self, targets: np.ndarray, k: int) -> np.ndarray:
        return np.full((len(targets), 1), targets.mean())

    def describe(self, row: np.ndarray, outputs: Sequence[str], answers: str) -> str:
        return f"{row[0]:.6g}"

    def strata(self, targets: np.ndarray) -> np.ndarray:
        edges = np.unique(np.quantile(targets, np.linspace(0, 1, BINS + 1)[1:-1]))
        return np.searchsorted(edges, targets, side="right")

    def rescaled(self, table: np.ndarray) -> np.ndarray:
        return table

    def find_fault(self, table: np.ndarray) -> tuple[str, np.ndarray] | None:
        bad = ~np.isfinite(table).all(axis=1)
        return ("numbers", bad) if bad.any() else None


TARGETS: dict[str, Target] = {one.task: one for one in (OneClass(), SeveralLabels(), Number())}


def surprise(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """-log of the true class's probability, which is kept from 0 by float32's resolution, as scikit-learn does."""
    return -np.log(np.clip(true_probs(targets, probs), MIN_PROB, 1).astype(float))


def label_surprise(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n, k) -log of the probability that each label is as it is, kept from 0 likewise."""
    true = np.where(targets > 0, probs, 1 - probs)
    return -np.log(np.clip(true, MIN_PROB, 1).astype(float))
