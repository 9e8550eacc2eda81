"""Tests of whether one of two answers to the same rows has more of them right than by chance."""

from dataclasses import dataclass

from src.base.errors import counted

CLEAR = 2  # standard errors of the paired difference: chance alone gives less 19 times of 20
LEVEL = 0.05  # of p, below which a difference is taken for more than chance
REPRODUCED, BETTER, WORSE = "reproduced", "better", "worse"


@dataclass(frozen=True)
class Pairs:
    """Two answers compared row by row."""

    differ: int  # rows that have another label, at most
    only_ours: int | None = None  # rows that are right in ours alone; None without a solution
    only_theirs: int | None = None

    def fit(self, images: int) -> bool:
        """Whether ours can have so many rows more right than theirs."""
        if self.only_ours is None:
            return abs(images) <= self.differ
        return self.only_ours - self.only_theirs == images


@dataclass(frozen=True)
class Outcome:
    verdict: str
    p: str
    how: str  # the test


def outcome(ours: int, theirs: int, n: int, pairs: Pairs | None = None) -> Outcome:
    """The verdict on two counts of n rows: by their pairs if there are some, else as if theirs were the true rate.

    Args:
        pairs: Of the same rows; they fit ours - theirs.
    """
    bound = ""
    if pairs is None:
        p, how = binomial(ours, theirs, n), f"exact binomial, with {theirs}/{n} taken for the true rate"
    elif pairs.only_ours is not None:
        p = mcnemar(pairs.only_ours, pairs.only_theirs)
        ours_alone = counted(pairs.only_ours, "row")
        how = f"exact McNemar, with {ours_alone} right in ours alone and {pairs.only_theirs} in theirs alone"
    else:
        p, bound = mcnemar_at_most(ours - theirs, pairs.differ), "at most "
        how = f"exact McNemar, the largest p of answers that differ in {counted(pairs.differ, 'row')} at most"
    verdict = REPRODUCED if p >= LEVEL else BETTER if ours > theirs else WORSE
    return Outcome(verdict, "< 0.001" if p < 0.001 else f"{bound}{p:.3f}", how)


def binomial(k: int, k0: int, n: int) -> float:
    """The exact two-sided p of k hits in n rows where k0 / n is the rate (scipy's binomtest).

    It stands in for the paired test of two answers to the same n rows, as if n p (1 - p) of these had just one of the
    answers right. Answers that agree on more rows have a smaller p than this, others a greater one.
    """
    from scipy import stats

    return float(stats.binomtest(k, n, k0 / n).pvalue)


def mcnemar(only_ours: int, only_theirs: int) -> float:
    """The exact two-sided p of a paired difference (McNemar 1947): of rows that just one of two answers has right.

    Were both as good, either would have each of these rows with probability 1/2.
    """
    from scipy import stats

    n = only_ours + only_theirs
    return float(stats.binomtest(only_ours, n, 0.5).pvalue) if n else 1.0


def mcnemar_at_most(images: int, differ: int) -> float:
    """The largest p of `mcnemar` that is possible where one answer has `images` rows more right than the other.

    Of the rows that differ, `differ` at most, some have one answer right and some have both wrong: which, only a
    solution tells. With b rows that are right in ours alone and c in theirs alone, b - c = images and b + c <= differ.
    The p rises with b + c, so that it is greatest where that is as large as it can be.

    Raises:
        ValueError: So many images cannot be between answers that differ in fewer rows.
    """
    if abs(images) > differ:
        raise ValueError(f"{images} images, but {differ} rows differ")
    return mcnemar((differ + images) // 2, (differ - images) // 2)  # of an odd sum, both are half a row less


def verdict(difference: float, se: float) -> str:
    """The verdict on a paired difference, where positive is better."""
    if not abs(difference) > CLEAR * se:
        return "not distinguishable"
    return "clearly better" if difference > 0 else "clearly worse"
