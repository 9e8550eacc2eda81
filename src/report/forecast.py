"""Scores of the test rows as CV predicts them, beside the results."""

from collections.abc import Iterable

import pandas as pd

from src.leaderboard.counts import expected_interval
from src.leaderboard.forecast import BOARD_PARTS
from src.report.evidence import Evidence, Model
from src.report.figures import known
from src.scoring.metrics import METRICS

SLOW = 100_000  # rows from which on only the best model has an interval: each takes a second
WHOLE = "all test rows"


def sizes(evidence: Evidence) -> dict[str, int]:
    """{part: rows} of the leaderboard; all test rows together where its parts are not known."""
    there, n = evidence.known, len(evidence.test)
    if there is not None and there.sizes:
        return dict(there.sizes)
    if there is not None and len(there.splits) == 1:
        return {part: getattr(there.splits[0], part) for part in BOARD_PARTS}
    return {WHOLE: n}


def shown_parts(evidence: Evidence) -> dict[str, str]:
    """{part of the leaderboard: its name}: `test` for one that is all test rows, where nobody takes submissions."""
    alone = evidence.competition.source.page is None and len(sizes(evidence)) == 1
    return {part: "test" if alone else part for part in BOARD_PARTS}


def intervals(evidence: Evidence, models: Iterable[Model]) -> pd.DataFrame:
    """The interval that each model's CV predicts, beside its score: model, part, rows, cv, low, high, score."""
    found, parts, metric = [], sizes(evidence), evidence.competition.metric
    shown = {WHOLE: WHOLE, **shown_parts(evidence)}
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
            found.append((model.name, shown[part], n, cv, *ends, None if score is None else float(score.text)))
    return pd.DataFrame(found, columns=["model", "part", "rows", "cv", "low", "high", "score"])
