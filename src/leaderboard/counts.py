"""The counts behind a leaderboard's scores: of its rows, and of the right ones among them; and expected scores.

A score that is a share of rows (accuracy, top5) is a whole count over n rows, and Kaggle cuts it after five decimals:
0.71982 is 501 of 696. Scores are text here, with the digits that were shown. Their arithmetic is that of integers.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import numpy as np

from src.base.errors import UserError, counted
from src.results.ledger import COMPLETE, Entry
from src.schema.competition import Competition
from src.scoring import intervals
from src.scoring.metrics import METRICS

FEW = 3  # scores at least, for a correlation
How = Literal["cut", "rounded"]


@dataclass(frozen=True)
class BoardSizes:
    """The numbers of test rows behind the two leaderboards."""

    public: int
    private: int
    how: How = "cut"  # the way to the decimals that the leaderboard shows

    def count(self, part: str, score: str) -> int | None:
        """Return the `count` of a score of `public` or `private`."""
        return count(score, getattr(self, part), self.how)


def splits(
    public: Sequence[str], private: Sequence[str], rows: int, how: How = "cut", told: int | None = None
) -> list[BoardSizes]:
    """Return all splits of the test rows in two parts in which every score is a whole count, by their public part.

    Args:
        public, private: Scores as text: "0.816" has three digits, which leave more counts open than five.
        rows: The number of test rows; each of them counts in one of the two parts.
        told: The number of public rows, where a solution tells it: then there is one split, or none.

    Raises:
        UserError: A score is no number.
    """
    n = np.arange(1, rows) if told is None else np.array([told])
    n = n.astype(object)  # Python's integers, which have no end
    fits = np.full(len(n), True)
    for scores, sizes in ((public, n), (private, rows - n)):
        for score in sorted({decimal(score) for score in scores}):
            low, high = limits(*score, sizes, how)
            fits &= (low <= high).astype(bool) & (sizes > 0).astype(bool)  # of no rows there is no score
    return [BoardSizes(int(size), rows - int(size), how) for size in n[fits]]


def count(score: str, n: int, how: How = "cut") -> int | None:
    """Return the one count k for which k / n is shown as `score`; None where there is none, or several.

    Raises:
        UserError: The score is no number.
    """
    low, high = limits(*decimal(score), n, how)
    return int(low) if low == high else None


def limits(value: int, digits: int, n: Any, how: How) -> tuple[Any, Any]:
    """Return the least and the greatest count k of n (integers) for which k / n is shown as value / 10^digits.

    The least is above the greatest where there is none. Cut: value <= 10^digits * k / n < value + 1. Rounded: within a
    half of it, both ends included, since of a tie it is not known which way it goes.
    """
    scale = 10**digits
    if how == "cut":
        low, high = -(-value * n // scale), -(-(value + 1) * n // scale) - 1
    else:
        low, high = -(-(2 * value - 1) * n // (2 * scale)), (2 * value + 1) * n // (2 * scale)
    return np.maximum(low, 0), np.minimum(high, n)


def decimal(score: str) -> tuple[int, int]:
    """Return (71982, 5) of "0.71982", which is 71982 / 10^5; a UserError where a score is no number.

    Raises:
        UserError: It is no number.
    """
    try:
        number = Decimal(score)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise UserError(f"{score!r} is no score: write it as the leaderboard shows it, such as 0.71982")
    digits = max(0, -number.as_tuple().exponent)
    return int(number.scaleb(digits)), digits


def digits_shown(score: float | str) -> str:
    """Return a config's score as text, a float with the fewest digits that give the same: final zeros are lost."""
    return score if isinstance(score, str) else repr(float(score))


def cut(k: int, n: int, digits: int = 5) -> str:
    """Return k / n as the leaderboard shows it."""
    whole, rest = divmod(k * 10**digits // n, 10**digits)
    return f"{whole}.{rest:0{digits}}"


def known_scores(competition: Competition, entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return the public and the private scores of the config's reported rows and of the ledger's scored entries."""

    def scores(part: str) -> list[str]:
        reported = [getattr(row, part) for row in competition.on_board]
        ours = [getattr(entry, part) for entry in entries if entry.status == COMPLETE]
        return [*(digits_shown(one) for one in reported if one is not None), *filter(None, ours)]

    return scores("public"), scores("private")


def board_sizes(
    competition: Competition, entries: Sequence[Entry], rows: int, told: int | None = None
) -> list[BoardSizes]:
    """Return the splits of the test rows that all scores, of the ledger's entries too, allow: cut, or else rounded.

    Empty where none fits, no score is known, or the metric is no share of rows; `told` is that of `splits`.

    Raises:
        UserError: A score is no number.
    """
    public, private = known_scores(competition, entries)
    if not competition.scorer.is_share or not (public or private):
        return []
    return splits(public, private, rows, told=told) or splits(public, private, rows, "rounded", told)


def sizes_sentence(competition: Competition, entries: Sequence[Entry], rows: int, told: int | None = None) -> str:
    """Return a sentence of the result of `board_sizes`, and of a remedy where that is not one split."""
    public, private = known_scores(competition, entries)
    if not competition.scorer.is_share:
        return f"{competition.metric} is no share of rows: its scores do not tell how many rows are behind them"
    if not (public or private):
        return "no score of the leaderboard is known: how many rows are behind it cannot be told"
    sizes, n = board_sizes(competition, entries, rows, told), len({*public}) + len({*private})
    scores = "the one known score is a whole count" if n == 1 else f"all {n} known scores are whole counts"
    if not sizes and told is not None:
        return f"{told} public and {rows - told} private rows, by the solution: there it is not so that {scores}"
    if not sizes:
        return f"there is no split of {rows} test rows in which {scores}" + suspects(public, private, rows)
    first, last = sizes[0], sizes[-1]
    there = f"there {scores}, {first.how} after {'its' if n == 1 else 'their'} decimals"
    if len(sizes) > 1:
        fit = f"{counted(len(sizes), 'split')} of {rows} test rows fit"
        return f"{fit}: {first.public} to {last.public} are public ({there}); more scores narrow it"
    return f"{first.public} public and {first.private} private rows: {there}"


def suspects(public: Sequence[str], private: Sequence[str], rows: int) -> str:
    """Return the end of a sentence: the scores without each of which alone there is a split; empty if there is none."""
    known, alone = {"public": public, "private": private}, []
    for part, scores in known.items():
        for score in sorted({*scores}):
            rest = known | {part: [other for other in scores if other != score]}
            if 0 < len(splits(**rest, rows=rows)) < rows - 1:
                alone.append(f"{part} {score}")
    return f"; without {' or without '.join(alone)} there is: was it typed or rounded by hand?" if alone else ""


def cv_correlation(part: str, cv: np.ndarray, scores: np.ndarray, what: str) -> str | None:
    """Return the correlation of CV and the scores of a part (n,) of `what`; None where they are few, or do not vary."""
    if len(cv) < FEW or np.ptp(cv) == 0 or np.ptp(scores) == 0:
        return None
    pearson, gap = np.corrcoef(cv, scores)[0, 1], (scores - cv).mean()
    return f"CV and {part}: correlation {pearson:.2f} over {len(cv)} {what}; {part} is CV {gap:+.4f} on average"


@functools.lru_cache
def expected_interval(
    cv: float, se: float, rows: int, n: int, level: float = 0.95, *, metric: str
) -> tuple[float, float] | None:
    """Return the interval that holds the score on n fresh rows with probability `level`, of a model that had `cv`.

    Of a share of rows, the equal-tailed interval of the beta-binomial distribution: the rate is known from cv * rows
    hits (Jeffreys' prior; Brown, Cai and DasGupta 2001), the fresh hits are counted. Unlike the normal approximation it
    holds near 0 and 1, and is no point where se is 0. Of other metrics cv ± z * sqrt(se^2 + se^2 * rows / n), within
    the metric's bounds: se^2 * rows is the variance of one row (Hahn and Meeker 1991, chapter 4). Where se says nothing
    (see `intervals.at_edge`), that would be a point: then the interval is a share's, from the least to the greatest
    value of the metric. A metric without an upper bound has none if se is 0: None.

    It assumes fresh rows drawn as the train rows were, and a model as good as those of the folds. The mean of these is
    often a little better.

    Args:
        cv, se: The out-of-fold score, of so many `rows`, and its standard error.
    """
    from scipy import stats

    tail, (least, greatest) = (1 - level) / 2, METRICS[metric].bounds
    if METRICS[metric].is_share or (intervals.at_edge(metric, cv, se) and np.isfinite([least, greatest]).all()):
        hits = rows * (cv - least) / (greatest - least)
        shares = stats.betabinom(n, hits + 0.5, rows - hits + 0.5).ppf([tail, 1 - tail]) / n
        low, high = least + (greatest - least) * shares
        return float(low), float(high)
    if not se > intervals.ROUNDING:
        return None
    reach = stats.norm.ppf(1 - tail) * se * np.sqrt(1 + rows / n)
    low, high = np.clip([cv - reach, cv + reach], least, greatest)
    return float(low), float(high)


def standard_error(k: int, n: int) -> float:
    """Return the binomial standard error of the share k / n."""
    return float(np.sqrt(k * (n - k) / n) / n)


def error_text(k: int, n: int) -> str:
    """Return `± 0.0141` of the share k / n, and at an edge an interval: see `intervals.error_text`."""
    return intervals.error_text("accuracy", k / n, standard_error(k, n), n)
