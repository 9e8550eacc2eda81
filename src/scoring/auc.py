"""The area under the ROC curve of each class against the rest or of each label, and its mean over these.

It is the share of pairs of a row of the class and one of the rest in which the first has the larger probability; a tie
counts half. Classes that have no rows, or all of them, have no such pair and are left out; NaN if that leaves none.
"""

import numpy as np

from src.scoring.confusion import mean


def value(targets: np.ndarray, probs: np.ndarray) -> float:
    """The mean over classes, of class indices (n,) and probabilities (n, k)."""
    areas = np.array([area(targets == label, probs[:, label]) for label in range(probs.shape[1])])
    return float(mean(areas, np.isfinite(areas)))


def area(is_class: np.ndarray, prob: np.ndarray) -> float:
    """The area of one class: is_class (n,) bool, prob (n,) from 0 to 1; NaN if there is no pair.

    Sorts numbers, which is many times faster than sorting places: the order of floats that are not negative is that of
    their bits as integers, and below 2 the highest bits are 0, so that there is room for `is_class` as the lowest.
    """
    keys = (prob.astype(np.float64) + 0.0).view(np.int64) << 1 | is_class
    keys.sort()
    value = keys >> 1
    last = np.flatnonzero(np.append(value[1:] != value[:-1], True))  # of each group of ties
    of_class = np.cumsum(keys & 1)[last]
    others = last + 1 - of_class
    pairs = float(of_class[-1]) * float(others[-1])
    if pairs == 0:
        return float("nan")
    below = np.diff(of_class, prepend=0) * (others - np.diff(others, prepend=0) / 2)
    return float(below.sum() / pairs)


def weighted(targets: np.ndarray, probs: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(r,) `value` of r samples, in which row i stands times[i] times: times (n, r) float32. One sort a class."""
    n, r = times.shape
    areas = np.full((r, probs.shape[1]), np.nan)
    others = np.zeros((n + 1, r), np.float32)  # rows of other classes before each place
    for label in np.unique(targets):
        order = np.argsort(probs[:, label], kind="stable")
        prob, is_class = probs[order, label], targets[order] == label
        rows = np.take(times, order, axis=0)
        own = rows[is_class]
        rows[is_class] = 0
        np.cumsum(rows, axis=0, out=others[1:])
        below, up_to = (np.searchsorted(prob, prob[is_class], side=side) for side in ("left", "right"))
        pairs = own.sum(axis=0) * others[-1].astype(float)
        won = np.einsum("ir,ir->r", own, others[below] + others[up_to], dtype=np.float64) / 2
        np.divide(won, pairs, out=areas[:, label], where=pairs > 0)
    return mean(areas, np.isfinite(areas))


def influence(is_class: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(n,) how much each row moves the area of one column: DeLong, DeLong & Clarke-Pearson 1988."""
    n, of_class, won = len(prob), int(is_class.sum()), pairs_won(is_class, prob)
    return (won - won[is_class].mean()) * np.where(is_class, n / of_class, n / (n - of_class))


def pairs_won(is_class: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(n,) the share of each row's pairs with rows of the other side that are right; a tie is half right."""
    won = np.empty(len(prob))
    for side in (is_class, ~is_class):
        own, others = prob[side], np.sort(prob[~side])
        below = (np.searchsorted(others, own, side=end) for end in ("left", "right"))
        won[side] = sum(below) / (2 * len(others))
    won[~is_class] = 1 - won[~is_class]
    return won


BEND, STEEP = 0.4, 2.0  # the area below this true positive rate counts so many times
WHOLE = STEEP * BEND + 1 - BEND  # the weighted area of a faultless answer


def weigh(rate: np.ndarray) -> np.ndarray:
    return STEEP * np.minimum(rate, BEND) + np.maximum(rate - BEND, 0)


def low_rate_area(is_class: np.ndarray, prob: np.ndarray) -> float:
    """The area of one column, of which the part below a true positive rate of 0.4 counts twice, from 0 to 1.

    It is the metric of ALASKA2 (Kaggle 2020). Instead of the parts of the area, the rate is weighed.
    """
    of_class, others = np.count_nonzero(is_class), np.count_nonzero(~is_class)
    order = np.argsort(-prob, kind="stable")
    last = np.flatnonzero(np.append(np.diff(prob[order]) != 0, True))  # of each group of ties
    rate = np.append(0, np.cumsum(is_class[order])[last] / of_class)
    false = np.append(0, np.cumsum(~is_class[order])[last] / others)
    at = np.searchsorted(rate, BEND)  # where the weighed line has a bend
    share = (BEND - rate[at - 1]) / (rate[at] - rate[at - 1])
    false = np.insert(false, at, false[at - 1] + share * (false[at] - false[at - 1]))
    return float(np.trapezoid(weigh(np.insert(rate, at, BEND)), false) / WHOLE)


def low_rate_influence(is_class: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(n,) how much each row moves it: the mean over rows of the other side of the weighed rate at each.

    Such a row moves that mean by what is weighed there, and one of the class all rates: that at a row of the other side
    by 1 where that is less likely, less the rate itself, times the slope of the weight.
    """
    n, of_class = len(prob), int(is_class.sum())
    rate, less = pairs_won(is_class, prob)[~is_class], prob[~is_class]
    slope, order = np.where(rate < BEND, STEEP, 1.0), np.argsort(less)
    slopes = np.append(0, np.cumsum(slope[order]))
    sides = [slopes[np.searchsorted(less[order], prob[is_class], side=side)] for side in ("left", "right")]
    moved = np.empty(n)
    moved[is_class] = (np.mean(sides, axis=0) - slope @ rate) / len(rate) * n / of_class
    moved[~is_class] = (weigh(rate) - weigh(rate).mean()) * n / len(rate)
    return moved / WHOLE
