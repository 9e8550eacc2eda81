"""Comparisons of answers with others of the same rows, or of other rows: how far they agree, and their mix.

Answers are those of `Target.answers`: classes (n,), labels (n, k) of bool, or numbers (n,). Classes agree on a share of
the rows. Of labels, most of which most rows lack, and of numbers, no two of which are equal, that share says little:
they agree by their correlation, the mean over labels.
"""

import warnings
from collections.abc import Sequence
from math import sqrt

import numpy as np

from src.scoring.tables import Tables
from src.scoring.targets import Target

DRAWS = 9_999  # of a Monte Carlo test: the least p is one in DRAWS + 1
FEWEST_DRAWS, CELLS = 1_999, 2**25  # of many classes, whose tables would take more cells in all: still enough for RARE
RARE = 0.001  # the p below which a mix of answers is called another
ERRORS = 3  # standard errors within which two numbers may differ by chance
SHARES_SHOWN = 4  # classes whose shares are named


def disagreement(target: Target, tables: Tables) -> np.ndarray:
    """(m, m) how far each two of m tables (n, k) are apart; 0 of one and itself.

    Of classes it is the share of rows with another label, else 1 - the correlation; see `disagreement_name`.
    """
    if target.is_choice:
        answers = np.stack([target.answers(table) for table in tables])
        return np.array([(answers != own).mean(axis=1) for own in answers])
    z = np.stack([standardised(table) for table in tables])
    varies = z.any(axis=1).astype(float)
    columns = varies @ varies.T  # in which both differ between rows
    flat = z.reshape(len(z), -1)
    apart = 1 - np.divide(flat @ flat.T / z.shape[1], columns, out=np.zeros(columns.shape), where=columns > 0)
    np.fill_diagonal(apart, 0)
    return apart


def differing(target: Target, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) bool: the rows whose answers by two tables (n, k) are not the same."""
    apart = target.answers(one) != target.answers(other)
    return apart if apart.ndim == 1 else apart.any(axis=1)


def disagreement_name(target: Target) -> str:
    return "labels that differ" if target.is_choice else "1 - correlation"


def agreement(target: Target, ours: np.ndarray, theirs: np.ndarray) -> float:
    """The share of rows with the same class, else the correlation, of answers to the same rows."""
    if target.is_choice:
        return float(np.mean(ours == theirs))
    return 1 - float(disagreement(target, [columns(ours), columns(theirs)])[0, 1])


def chance_agreement(target: Target, ours: np.ndarray, theirs: np.ndarray) -> float:
    """The agreement of answers to the same rows if they were independent: the sum of p_i q_i, or 0."""
    if not target.is_choice:
        return 0.0
    k = 1 + max(ours.max(), theirs.max())
    p, q = (np.bincount(labels, minlength=k) / len(labels) for labels in (ours, theirs))
    return float(p @ q)


def agreement_error(target: Target, agreement: float, n: int) -> float:
    """The standard error of an agreement on n rows.

    That of a correlation is (1 - r^2) / sqrt(n) (Fisher 1915); its mean over labels has no greater one.
    """
    return sqrt(agreement * (1 - agreement) / n) if target.is_choice else (1 - agreement**2) / sqrt(n)


def are_unrelated(target: Target, ours: np.ndarray, theirs: np.ndarray, out_of_fold: float | None) -> bool:
    """Whether answers to the same rows agree no more than chance has it, and out of fold they did.

    Args:
        out_of_fold: The agreement of the two out of fold. A weak model may agree with a good one by chance only, which
            says nothing of the rows. None: not known.
    """
    if any((answers == answers[0]).all() for answers in (ours, theirs)):  # then any order of rows agrees as well
        return False
    n, found, expected = len(ours), agreement(target, ours, theirs), chance_agreement(target, ours, theirs)
    if found > expected + ERRORS * agreement_error(target, expected, n):
        return False
    return out_of_fold is None or found < out_of_fold - ERRORS * agreement_error(target, out_of_fold, n)


def mix(target: Target, ours: np.ndarray, theirs: np.ndarray, names: Sequence[str]) -> str | None:
    """`broken 80.1% (not 31.8%), ...` where the mixes of two sets of answers differ by more than chance.

    The greatest differences are first. Of numbers it is `a mean of 31.5 (not 38.1)`.
    """
    if target.is_choice:
        return class_mix(ours, theirs, names)
    return number_mix(ours, theirs) if ours.ndim == 1 else label_mix(ours, theirs, names)


def class_mix(ours: np.ndarray, theirs: np.ndarray, classes: Sequence[str]) -> str | None:
    counts = [np.bincount(labels, minlength=len(classes)) for labels in (ours, theirs)]
    if chance(*counts) >= RARE:
        return None
    p, q = (count / count.sum() for count in counts)
    return shares_text(p, q, classes, np.abs(p - q))


def label_mix(ours: np.ndarray, theirs: np.ndarray, labels: Sequence[str]) -> str | None:
    """Each label by Fisher's exact test; of k labels the p of each must be below RARE / k (Bonferroni).

    Of probabilities, which are float, their means are compared, by Welch's test.
    """
    if ours.dtype.kind == "f":
        rare = number_chance(ours, theirs) < RARE / len(labels)
        p, q = ours.mean(axis=0), theirs.mean(axis=0)
        return shares_text(p, q, labels, np.where(rare, np.abs(p - q), -1))
    has, others = ours.sum(axis=0), theirs.sum(axis=0)
    p, q = has / len(ours), others / len(theirs)
    rare = label_chances(has, len(ours), others, len(theirs)) < RARE / len(labels)
    return shares_text(p, q, labels, np.where(rare, np.abs(p - q), -1))


def label_chances(ours: np.ndarray, n: int, theirs: np.ndarray, m: int) -> np.ndarray:
    """(k,) the chance that n rows and m of one mix differ as much in the rows (k,) that have each label: Fisher's."""
    from scipy import stats

    drawn = stats.hypergeom(n + m, ours + theirs, n)
    return np.minimum(1, 2 * np.minimum(drawn.cdf(ours), drawn.sf(ours - 1)))  # twice the lesser tail


def number_mix(ours: np.ndarray, theirs: np.ndarray) -> str | None:
    """By Welch's test of the means: the spread of a mean of models is less than that of each, and is not compared."""
    if not number_chance(ours, theirs) < RARE:
        return None
    return f"a mean of {ours.mean():.4g} (not {theirs.mean():.4g})"


def number_chance(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The chance that two samples of one mean have means as unlike as these of (n, ...) and (m, ...): Welch's test.

    Of each column; NaN of one that is the same in all rows.
    """
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of such a column
        return stats.ttest_ind(ours, theirs, equal_var=False).pvalue


def shares_text(p: np.ndarray, q: np.ndarray, names: Sequence[str], apart: np.ndarray) -> str | None:
    """The shares (k,) that are most apart, but for those of which `apart` is negative; None where all are."""
    most = [i for i in np.argsort(-apart, kind="stable")[:SHARES_SHOWN] if apart[i] >= 0]
    return ", ".join(f"{names[i]} {p[i]:.1%} (not {q[i]:.1%})" for i in most) or None


def chance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The chance that two samples of one mix are as unlike as these counts (k,), neither of them of no rows.

    The p of a chi-square test, exact but for its random draws. Tables are drawn with the margins of this one
    (Fisher's): classes of few rows, for which the chi-square distribution is no good, need no rule of their own.
    """
    from scipy import stats

    table = np.stack([ours, theirs])
    times = max(FEWEST_DRAWS, min(DRAWS, CELLS // table.size))
    draws = stats.MonteCarloMethod(n_resamples=times, rng=np.random.default_rng(0))
    found = stats.chi2_contingency(table[:, table.any(axis=0)], correction=False, method=draws)
    return float(found.pvalue)


def columns(answers: np.ndarray) -> np.ndarray:
    """(n, k) of labels or numbers."""
    return answers if answers.ndim == 2 else answers[:, None]


def standardised(table: np.ndarray) -> np.ndarray:
    """(n, k) columns of mean 0 and variance 1; 0 of one that is the same in all rows."""
    centred = table - table.mean(axis=0, dtype=float)
    spread = np.where((table == table[:1]).all(axis=0), 0, centred.std(axis=0))
    return np.divide(centred, spread, out=np.zeros(table.shape), where=spread > 0)
