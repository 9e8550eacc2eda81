"""Wrong labels, and how many there are, by confident learning: Northcutt, Jiang & Chuang 2021, as cleanlab has it.

A row is doubtful where a model that has not seen it finds another class likelier than that class's own rows are on
average. Only the disagreement of labels and these probabilities is judged.

It cannot see mistakes that the model makes too, such as a class pair that annotators mix up consistently, nor who of
the two is wrong. A picture that is hard, or can be read in two ways, and on which the model is sure of another
class, counts as a wrong label. So a weak model finds too much noise, and a model that learnt the annotators' habits too
little. The estimate is of these labels and this model, no bound: a better model may score above the ceiling.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from src.scoring import bootstrap

METHOD = "confident learning (Northcutt et al. 2021): the share of rows off the diagonal of cleanlab's confident joint"
DRAWN = 10_000  # rows that a replicate has at most


@dataclass(frozen=True)
class Issues:
    """The judgement of confident learning on n labels, in their order."""

    mask: np.ndarray  # (n,) bool: taken for wrong
    quality: np.ndarray  # (n,) in [0, 1]: the model's probability of the label; small is suspicious
    suggested: np.ndarray  # (n,) class indices: the likeliest class, which may be the label


@dataclass(frozen=True)
class Ceiling:
    """The share of wrong labels, and with it the accuracy that a perfect model would have on such labels."""

    noise: float  # the share of labels that are wrong
    se: float  # of either: the bootstrap's, over rows
    method: str = METHOD

    @property
    def accuracy(self) -> float:
        """The noise ceiling."""
        return 1 - self.noise


def issues(targets: np.ndarray, probs: np.ndarray) -> Issues:
    """Find the wrong labels by cleanlab's default rule, pruning by noise rate.

    Each class keeps at least one row; labels of a single class are all believed.

    Args:
        targets: (n,) class indices below k.
        probs: (n, k) of models that have not seen the row's label.
    """
    probs = np.asarray(probs, np.float64)
    quality, suggested = probs[np.arange(len(targets)), targets].clip(0, 1), probs.argmax(axis=1)
    mask = np.zeros(len(targets), bool)
    if len(np.unique(targets)) > 1:  # cleanlab refuses labels that cannot be wrong
        from cleanlab import filter

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a class of one row: that it is kept
            mask = filter.find_label_issues(np.asarray(targets), probs, n_jobs=1)
        filter.pred_probs_by_class = None  # where it leaves a copy of all probabilities
    return Issues(mask, quality, suggested)


def ceiling(targets: np.ndarray, probs: np.ndarray) -> Ceiling:
    """The share of wrong labels, with its standard error over `bootstrap.REPLICATES` draws of the rows; see `issues`.

    Of many rows a replicate draws m of n, and its spread is scaled by sqrt(m / n) (Bickel, Götze & van Zwet 1997). The
    spread is that of the rows: that another model would say something else is not in it.
    """
    targets, probs = np.asarray(targets), np.asarray(probs, np.float64)
    n, m, rng = len(targets), min(len(targets), DRAWN), np.random.default_rng(bootstrap.SEED)
    draws = (rng.integers(0, n, m) for _ in range(bootstrap.REPLICATES))
    values = np.array([noise(targets[rows], probs[rows]) for rows in draws])
    return Ceiling(noise(targets, probs), bootstrap.spread(values) * float(np.sqrt(m / n)))


def noise(targets: np.ndarray, probs: np.ndarray) -> float:
    """The confident joint's share off the diagonal, calibrated so that each label is as frequent as it is.

    (As cleanlab's estimate_joint, which rounds to whole rows.)
    """
    if len(np.unique(targets)) < 2:
        return 0.0
    from cleanlab import count

    joint = count.compute_confident_joint(targets, probs, calibrate=False)
    wrong = 1 - joint.diagonal() / joint.sum(axis=1)
    return float(np.bincount(targets, minlength=len(joint)) @ wrong / len(targets))


def drop_message(dropped: int, n: int) -> str:
    """Report how many of n training rows were left out."""
    return f"{dropped} of {n} training rows dropped: their labels are doubtful"
