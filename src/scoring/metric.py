"""What a metric is: a score with its standard error, and the facts about it that others ask for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from src.scoring import bootstrap, columns, confusion
from src.scoring.confusion import Counts
from src.scoring.fscores import FScore
from src.scoring.tables import Sparse
from src.scoring.targets import TARGETS, Target

Z = 1.959963984540054  # the normal distribution's quantile of 0.975
ROUNDING = 1e-6  # what float32 leaves, at most, of a gain that is 0
DIGITS = 9  # of scores that are equal but for rounding
PerRow = Callable[[np.ndarray, np.ndarray], np.ndarray]
Answers = Literal["labels", "ranking", "probabilities", "number"]


@dataclass(frozen=True)
class Metric:
    """A score of targets and a table of predictions: see `targets` for their shapes. NaN where it is undefined."""

    value: Callable[[np.ndarray, np.ndarray], float]  # the score alone, which is cheap
    task: str = "class"  # of the target that it scores
    # What a submission holds: the label (or labels), the likeliest labels in their order, a probability a class, or of
    # one of them, or a number
    answers: Answers = "probabilities"
    greater_is_better: bool = True
    per_row: PerRow | None = None  # (n,) whose mean it is; None: it is no mean over rows
    # Then one of these. (n,) how much each row moves it, as values whose mean it were would (the influence function,
    # Hampel 1974; the standard error is then the infinitesimal jackknife's, Efron 1982); or (p, replicates) of p
    # tables: see `bootstrap`
    influence: PerRow | None = None
    replicates: Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray] | None = None
    of_counts: Callable[[Counts], np.ndarray] | None = None  # of one label a row: all that it depends on
    f_score: FScore | None = None  # of several labels a row, likewise
    places: int | None = None  # of a ranking: labels that count
    none: int | None = None  # of a ranking: the class of rows that are of none of the others, if a config has one
    # (k,) the best predictions that are the same for every row; None: those of the target's least loss
    constant: Callable[[np.ndarray], np.ndarray] | None = None
    rules: tuple[str, ...] = ()  # by which answers are decided that it has more of than of the likeliest: `decisions`
    board_per_row: PerRow | None = (
        None  # the same as Kaggle computes it of a submission, which divides rows by their sum
    )
    is_share: bool = False  # a mean of zeros and ones: a count of rows
    is_of_order: bool = False  # it looks at the order of the rows in each column, and at nothing else
    is_ordinal: bool = False  # it depends on the order of the classes
    bounds: tuple[float, float] = (0.0, 1.0)  # the least and the greatest value that it can have
    kaggle_names: tuple[str, ...] = ()  # Kaggle's spellings of it, in small letters and digits alone

    @property
    def of_labels(self) -> bool:
        """Whether a submission holds labels, and not what they were decided by."""
        return self.answers == "labels"

    @property
    def is_of_columns(self) -> bool:
        """Whether it looks at each class's column of probabilities, which a sparse table has not."""
        return self.per_row is None and self.of_counts is None

    @property
    def is_slow(self) -> bool:
        """Whether the standard error takes long: rows are drawn for it, and not counts."""
        return self.replicates is not None and self.of_counts is None

    @property
    def target(self) -> Target:
        return TARGETS[self.task]

    @property
    def sign(self) -> int:
        """The factor with which more of it is better."""
        return 1 if self.greater_is_better else -1

    def of_positive(self, positive: np.ndarray) -> "Metric":
        """The metric of the sum of some classes' probabilities, by a mask (k,), beside the sum of the others'."""
        if len(positive) == 2 and positive[1]:
            return self
        changed = {
            name: partial(binary, getattr(self, name), positive)
            for name in ("value", "per_row", "board_per_row", "influence")
            if getattr(self, name) is not None
        }
        if self.replicates is not None:
            changed["replicates"] = partial(binary_replicates, self.replicates, positive)
        return replace(self, **changed)

    @property
    def on_board(self) -> "Metric":
        """The metric as Kaggle scores a submission by it."""
        return self if self.board_per_row is None else replace(self, **mean_over_rows(self.board_per_row))

    def score(self, targets: np.ndarray, probs: np.ndarray) -> tuple[float, float]:
        """The score and its standard error (0 where all rows have the same).

        Of a mean over rows that is the rows' standard deviation over sqrt(n), of others that of the rows' influence or
        the bootstrap's.
        """
        if self.influence is not None:
            return self.value(targets, probs), standard_error(self.influence(targets, probs))
        if self.per_row is None:
            return self.value(targets, probs), bootstrap.spread(self.replicates(targets, [probs])[0])
        rows = self.per_row(targets, probs)
        return float(rows.mean()), standard_error(rows)

    def rank(self, targets: np.ndarray, decided: np.ndarray, probs: np.ndarray) -> tuple[float, float]:
        """What is greater is better: the score, and for those that are equal the log loss of the probabilities.

        Args:
            decided: (n, k) predictions as the metric scores them: see `decisions`.
            probs: (n, k) the probabilities that they are made of.
        """
        value = round(defined(self.sign * self.value(targets, decided)), DIGITS)
        return value, -float(self.target.loss(targets, probs).mean())

    def gain(self, targets: np.ndarray, probs: np.ndarray, than: np.ndarray) -> tuple[float, float]:
        """The gain of `probs` over the predictions `than` on the same rows: positive is better.

        With the standard error of the paired difference, which is much smaller than that of either score.
        """
        if self.per_row is None:
            gain = self.sign * (self.value(targets, probs) - self.value(targets, than))
            if self.influence is not None:
                return gain, standard_error(self.influence(targets, probs) - self.influence(targets, than))
            new, old = self.replicates(targets, [probs, than])
            return gain, bootstrap.spread(new - old)
        rows = self.per_row(targets, probs) - self.per_row(targets, than)
        return float(rows.mean()) * self.sign, standard_error(rows)

    def is_ahead(self, targets: np.ndarray, probs: np.ndarray, than: np.ndarray) -> bool:
        """Whether the gain is more than its 95 % interval; an undefined one is given the benefit."""
        gain, se = self.gain(targets, probs, than)
        return not gain <= Z * (0 if np.isnan(se) else se) + ROUNDING


def defined(score: float) -> float:
    """A score of which more is better, to be compared with others: one that is NaN is less than all, and as others."""
    return -np.inf if np.isnan(score) else score


def binary(of: PerRow, positive: np.ndarray, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """`of` two classes made of k, of which the second is those of the mask (k,)."""
    return of(positive[targets].astype(int), two_columns(positive, probs))


def binary_replicates(
    of: Callable, positive: np.ndarray, targets: np.ndarray, predictions: Sequence[np.ndarray]
) -> np.ndarray:
    return of(positive[targets].astype(int), [two_columns(positive, probs) for probs in predictions])


def two_columns(positive: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n, 2) the sums of the other classes' probabilities, and of those of the mask (k,)."""
    if isinstance(probs, Sparse):
        return np.stack([probs.sum_of(~positive), probs.sum_of(positive)], axis=1)
    return np.stack([probs[:, ~positive].sum(axis=1), probs[:, positive].sum(axis=1)], axis=1)


def standard_error(rows: np.ndarray) -> float:
    return float(rows.std() / np.sqrt(len(rows)))


def row_mean(per_row: PerRow, **facts: Any) -> Metric:
    """A metric that is the mean over rows; `facts` are further fields of Metric."""
    return Metric(**mean_over_rows(per_row), **facts)


def mean_over_rows(per_row: PerRow) -> dict[str, Any]:
    """The fields of a metric that is the mean of `per_row`."""

    def value(targets: np.ndarray, probs: np.ndarray) -> float:
        return float(per_row(targets, probs).mean())

    return {"value": value, "per_row": per_row}


def label_metric(of_counts: Callable[[Counts], np.ndarray], **facts: Any) -> Metric:
    """A metric of the labels' confusion matrix; `facts` are further fields of Metric."""

    def value(targets: np.ndarray, probs: np.ndarray) -> float:
        return float(of_counts(confusion.count(targets, probs.argmax(axis=1), probs.shape[1])))

    replicates = partial(bootstrap.label_replicates, of_counts)
    facts = {"rules": ("biases",), **facts}
    return Metric(value, answers="labels", replicates=replicates, of_counts=of_counts, **facts)


def column_metric(of: columns.Column, influence: PerRow, **facts: Any) -> Metric:
    """A metric that is the mean over columns of probabilities: see `columns`; `facts` are further fields of Metric."""
    return Metric(partial(columns.column_mean, of), influence=partial(columns.influence, influence), **facts)
