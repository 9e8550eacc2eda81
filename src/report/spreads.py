"""How far a model's folds are apart, and whether that is more than chance."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from src.report.evidence import Evidence, Model
from src.scoring.metrics import METRICS


@dataclass(frozen=True)
class Folds:
    """A model's scores of f folds."""

    rows: np.ndarray  # (f,)
    score: np.ndarray  # (f,) NaN where it is undefined
    se: np.ndarray  # (f,)

    def p(self, metric: str) -> float | None:
        """How often scores of one rate are so far apart; None where a fold's is undefined.

        Of a share of rows the chi-square test of the table folds x hits; else Cochran's Q (1954).
        """
        if not np.isfinite(self.score).all() or len(self.score) < 2:
            return None
        if METRICS[metric].is_share:
            rate = self.score @ self.rows / self.rows.sum()
            variance = rate * (1 - rate) / self.rows
        else:
            variance = self.se**2
            if not (np.isfinite(variance).all() and (variance > 0).all()):
                return None
            rate = (self.score / variance).sum() / (1 / variance).sum()
        off = (self.score - rate) ** 2
        q = float(np.divide(off, variance, out=np.zeros(len(off)), where=variance > 0).sum())
        return float(chdtrc(len(off) - 1, q))


def by_fold(evidence: Evidence, model: Model) -> Folds:
    held_out = [evidence.fold == number for number in range(evidence.fold.max() + 1)]
    scores = [evidence.metric.score(evidence.targets[rows], model.decided[rows]) for rows in held_out]
    score, se = (np.array(column, float) for column in zip(*scores, strict=True))
    return Folds(np.array([rows.sum() for rows in held_out]), score, se)
