"""Comparisons of a submission's labels with known ones: their mix of classes, and earlier submissions."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

DRAWS = 9_999  # of a Monte Carlo test: the least p is one in DRAWS + 1
RARE = 0.001  # the p below which a mix of classes is called another
ERRORS = 3  # standard errors within which two numbers may differ by chance
SHARES_SHOWN = 4  # classes whose shares are named


def disagreement(tables: Sequence[np.ndarray]) -> np.ndarray:
    """(m, m) the share of rows to which two of m tables (n, k) give different labels."""
    labels = np.stack([probs.argmax(axis=1) for probs in tables])
    return np.array([(labels != own).mean(axis=1) for own in labels])


def chance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The chance that two samples of one mix are as unlike as these counts (k,), neither of them of no rows.

    The p of a chi-square test, exact but for its random draws. Tables are drawn with the margins of this one
    (Fisher's): classes of few rows, for which the chi-square distribution is no good, need no rule of their own.
    """
    from scipy import stats

    table = np.stack([ours, theirs])
    draws = stats.MonteCarloMethod(n_resamples=DRAWS, rng=np.random.default_rng(0))
    found = stats.chi2_contingency(table[:, table.any(axis=0)], correction=False, method=draws)
    return float(found.pvalue)


def mix(ours: np.ndarray, theirs: np.ndarray, classes: Sequence[str]) -> str | None:
    """`broken 80.1% (not 31.8%), ...` where the mixes of labels (n,) and (m,) differ by more than chance.

    The greatest differences are first.
    """
    counts = [np.bincount(labels, minlength=len(classes)) for labels in (ours, theirs)]
    if chance(*counts) >= RARE:
        return None
    p, q = (count / count.sum() for count in counts)
    most = np.argsort(-np.abs(p - q), kind="stable")[:SHARES_SHOWN]
    return ", ".join(f"{classes[i]} {p[i]:.1%} (not {q[i]:.1%})" for i in most)


def chance_agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The share of rows with equal labels if they were independent, each of its mix: the sum of p_i q_i."""
    k = 1 + max(ours.max(), theirs.max())
    p, q = (np.bincount(labels, minlength=k) / len(labels) for labels in (ours, theirs))
    return float(p @ q)


def are_unrelated(ours: np.ndarray, theirs: np.ndarray, out_of_fold: float | None) -> bool:
    """Whether labels (n,) of the same rows agree no more than chance has it, and out of fold they did.

    Args:
        out_of_fold: The share of rows on which the two agree out of fold. A weak model may agree with a good one by
            chance only, which says nothing of the rows. None: not known.
    """
    if len(np.unique(ours)) == 1 or len(np.unique(theirs)) == 1:  # then any order of rows agrees as well
        return False
    n, agreement, expected = len(ours), float(np.mean(ours == theirs)), chance_agreement(ours, theirs)
    if agreement > expected + ERRORS * share_error(expected, n):
        return False
    return out_of_fold is None or agreement < out_of_fold - ERRORS * share_error(out_of_fold, n)


def share_error(share: float, n: int) -> float:
    """The standard error of a share of n rows."""
    return sqrt(share * (1 - share) / n)
