"""The honesty of a model's confidence: reliability curves and the expected calibration error (ECE).

Of one class confidence is the probability of the likeliest; of several labels all their probabilities are measured, by
whether the row has the label. They are sorted and cut into bins of equally many rows
(Nguyen & O'Connor 2015), so that no bin is nearly empty; the ECE is the mean over bins, weighted by their rows, of the
gap between confidence and share of hits (Naeini et al. 2015; Guo et al. 2017, "On Calibration of Modern Neural
Networks"). Few rows have an ECE above 0 even if every probability is right: `by_chance` says how much.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.report import tasks
from src.report.evidence import Evidence, Model
from src.scoring import calibration
from src.scoring.intervals import wilson
from src.scoring.sparse import KEPT, SparseTable
from src.scoring.tables import Table

BINS, MIN_BIN_ROWS = 15, 20  # bins at most, as Guo et al. have; rows a bin has at least
NUMBERS = 2**18  # probabilities that are measured, at most: of more, a sample of the rows
REPLICATES, SEED = 1000, 0


def sample(table: Table) -> np.ndarray | slice:
    """The rows of a table (n, k) to measure: all, or as many as NUMBERS allows, always the same."""
    n, k = len(table), KEPT if isinstance(table, SparseTable) else table.shape[1]
    if n * k <= NUMBERS:
        return slice(None)
    return np.sort(np.random.default_rng(SEED).permutation(n)[: NUMBERS // k])


@dataclass(frozen=True)
class Reliability:
    """b bins, the least confidence first."""

    rows: np.ndarray  # (b,)
    hits: np.ndarray  # (b,) rows whose likeliest class is the right one; or that have the label
    confidence: np.ndarray  # (b,) the mean
    variance: np.ndarray  # (b,) of the number of hits, if each confidence is right

    @property
    def ece(self) -> float:
        return float(np.abs(self.hits - self.rows * self.confidence).sum() / self.rows.sum())

    @property
    def by_chance(self) -> tuple[float, float]:
        """The ECE that this many rows have if each confidence is right: its mean, and the 95 % quantile.

        Hits are then drawn with these probabilities (Bröcker & Smith 2007); a bin's sum is taken to be normal.
        """
        drawn = np.random.default_rng(SEED).normal(size=(REPLICATES, len(self.rows))) * np.sqrt(self.variance)
        values = np.abs(drawn).sum(axis=1) / self.rows.sum()
        return float(values.mean()), float(np.quantile(values, 0.95))

    def table(self) -> pd.DataFrame:
        """One row a bin: confidence, share of hits, its 95 % interval (Wilson 1927), rows."""
        share, low, high = wilson(self.hits, self.rows).T
        columns = {"confidence": self.confidence, "share": share, "low": low, "high": high, "rows": self.rows}
        return pd.DataFrame(columns)


def measure(confidence: np.ndarray, right: np.ndarray) -> Reliability:
    """The bins of probabilities (n,) of what came true where a mask (n,) says so."""
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(BINS, max(1, len(order) // MIN_BIN_ROWS)))
    variance = confidence * (1 - confidence)
    of_bins = [(len(rows), right[rows].sum(), confidence[rows].mean(), variance[rows].sum()) for rows in bins]
    return Reliability(*map(np.array, zip(*of_bins, strict=True)))


@dataclass(frozen=True)
class Calibration:
    """A model's, without and with a temperature that is fitted on the other folds: see `src.scoring.calibration`."""

    before: Reliability
    after: Reliability
    gain: float  # of the log loss, by the temperature; positive is better
    gain_se: float
    temperature: float  # of all rows; of several labels the median of theirs
    scaled: Table  # (n, k) the probabilities with the temperature


def calibrated(evidence: Evidence, model: Model, rows: np.ndarray | slice = slice(None)) -> Calibration:
    probs, targets, fold = model.oof[rows], evidence.targets[rows], evidence.fold[rows]
    scaled, task = calibration.cross_fitted(probs, targets, fold), tasks.of(evidence.competition)
    gain, se = evidence.competition.loss.gain(targets, scaled, than=probs)
    before, after = (measure(*task.events(targets, table)) for table in (probs, scaled))
    return Calibration(before, after, gain, se, float(np.median(calibration.temperature(probs, targets))), scaled)
