"""Pictures that are unlike the others: far from all in feature space, of one colour, or tiny."""

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10  # cleanlab's own
MAX_SAMPLE_ROWS = 20_000  # rows among which neighbours are sought: of more, a sample
# Tukey's fence (1977) for what is far out, in quartile ranges above the upper quartile, here of the distances'
# logarithm: these are skewed, and of a normal distribution it leaves one in a million outside.
FENCE = 3.0
CONSTANT = 1.0  # of 255: the standard deviation of each colour in a picture that shows nothing; JPEG's noise is below
# A tiny picture's shorter side is less than a quarter of the others' median, and has less than 64 pixels: more are
# enough to see something, however large the others are.
SHARE, PIXELS = 0.25, 64


@dataclass(frozen=True)
class Outliers:
    """The distance of n pictures from the others."""

    score: np.ndarray  # (n,) cleanlab's: 0 to 1, small is far
    mask: np.ndarray  # (n,) bool: too far


def detect_outliers(feats: np.ndarray) -> Outliers:
    """Detect by the mean cosine distance to the nearest neighbours: cleanlab's OutOfDistribution (Kuan & Mueller 2022).

    Args:
        feats: (n, d) of length 1, n at least 2.
    """
    from cleanlab.outlier import OutOfDistribution

    n, measure = len(feats), OutOfDistribution({"k": min(NEIGHBOURS, len(feats) - 1)})
    if n <= MAX_SAMPLE_ROWS:
        score = measure.fit_score(features=feats, verbose=False)
    else:
        some, others = np.split(np.random.default_rng(0).permutation(n), [MAX_SAMPLE_ROWS])
        score = np.empty(n)
        score[some] = measure.fit_score(features=feats[some], verbose=False)
        score[others] = measure.score(features=feats[others])
    with np.errstate(divide="ignore"):  # of a score of 0: infinitely far
        distance = np.log(np.maximum(-np.log(score), 1e-6))  # the score is exp(-distance / the median distance)
    low, high = np.quantile(distance, [0.25, 0.75], method="closest_observation")
    return Outliers(score, distance > high + FENCE * max(high - low, 1e-6))


def is_constant(spread: np.ndarray) -> np.ndarray:
    """(n,) bool: the pictures that show nothing, by `Fingerprints.spread`."""
    return spread < CONSTANT


def is_tiny(sides: np.ndarray) -> np.ndarray:
    """(n,) bool: the pictures that are tiny beside the others. `sides` are the shorter ones (n,), in pixels."""
    return (sides < SHARE * np.median(sides)) & (sides < PIXELS)
