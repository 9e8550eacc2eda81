"""What CV predicts of the test rows, and what came: scores, and how often each class is given."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from src.leaderboard import scored
from src.leaderboard.counts import expected_interval
from src.leaderboard.forecast import BOARD_PARTS
from src.report.evidence import Evidence, Model
from src.report.figures import known
from src.results.model import decided_probs
from src.scoring import agreement
from src.scoring.metrics import METRICS

SLOW = 100_000  # rows from which on the best model alone is looked at: each takes a second
WHOLE = "all test rows"


def sizes(evidence: Evidence) -> dict[str, int]:
    """{part: rows} of the leaderboard; all test rows together where its parts are not known."""
    there, n = evidence.known, len(evidence.test)
    if there is not None and there.graded:
        flat = np.full((n, len(evidence.classes)), 1 / len(evidence.classes))
        return {part: rows for part, (_, rows) in scored.graded(evidence.competition, evidence.test_ids, flat).items()}
    if there is not None and len(there.splits) == 1:
        return {part: getattr(there.splits[0], part) for part in BOARD_PARTS}
    return {WHOLE: n}


def heading(part: str) -> str:
    """`Expected public score`."""
    return "Expected test score" if part == WHOLE else f"Expected {part} score"


def intervals(evidence: Evidence, models: Iterable[Model]) -> pd.DataFrame:
    """What each model's CV predicts, and what was scored: model, part, rows, cv, low, high, score."""
    found, parts, metric = [], sizes(evidence), evidence.competition.metric
    slow = METRICS[metric].is_share and max(parts.values()) > SLOW
    for model in models:
        cv, se = model.made["cv"], model.made["se"]
        if not known(cv) or not (known(se) or METRICS[metric].is_share) or (slow and model is not evidence.best):
            continue
        ours = evidence.ours.get(model.name)
        for part, n in parts.items():
            if (ends := expected_interval(cv, se, len(evidence.train), n, metric=metric)) is None:
                continue
            score = ours.scores.get(part) if ours else None
            found.append((model.name, part, n, cv, *ends, None if score is None else float(score.text)))
    return pd.DataFrame(found, columns=["model", "part", "rows", "cv", "low", "high", "score"])


@dataclass(frozen=True)
class Mix:
    """How often each of k classes is given."""

    train: np.ndarray  # (k,) train rows with that label
    oof: np.ndarray  # (k,) train rows to which the model gives it, out of fold
    test: np.ndarray  # (k,) test rows

    @cached_property
    def p(self) -> float:
        """How often train and test rows of one kind would be given mixes as unlike: see `likeness.chance`."""
        return agreement.chance(self.oof, self.test)

    @property
    def shares(self) -> pd.DataFrame:
        """(k, 3)"""
        found = {"train labels": self.train, "out of fold": self.oof, "test": self.test}
        return pd.DataFrame({kind: counts / counts.sum() for kind, counts in found.items()})

    @property
    def apart(self) -> np.ndarray:
        """(k,) how much greater the share is on the test rows than out of fold."""
        return self.test / self.test.sum() - self.oof / self.oof.sum()


def mix(evidence: Evidence, model: Model) -> Mix | None:
    """None where the model has no table of the test rows."""
    if model.test is None:
        return None
    test = decided_probs(evidence.competition, dict(model.made), model.test).argmax(axis=1)
    k = len(evidence.classes)
    return Mix(*(np.bincount(labels, minlength=k) for labels in (evidence.targets, model.labels, test)))
