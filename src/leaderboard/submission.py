"""Submission CSVs: how one is made, inspected before it is sent, and read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import UserError, counted, listed
from src.kaggle.refusals import Refusal
from src.leaderboard.faults import Asked, read, wanted
from src.leaderboard.warnings import of
from src.schema.competition import Competition
from src.scoring.metrics import METRICS


@dataclass(frozen=True)
class Findings:
    """What is to be said of a submission: a line each, with its fix."""

    faults: list[str]  # it is not to be sent
    warnings: list[str]  # it can be sent, and it may be a mistake
    repeats: list[str] = field(default_factory=list)  # that Kaggle has these answers already
    answers: pd.DataFrame | None = field(default=None, compare=False, repr=False)  # see `inspected`; without faults


def inspect(competition: Competition, path: Path) -> Findings:
    """All that is wrong with a submission, offline. Rows may be in any order: Kaggle joins them by id.

    Raises:
        UserError: The competition's own tables or the ledger cannot be read.
    """
    asked = wanted(competition)
    faults, found = read(competition, path, asked)
    if found is None:
        return Findings(faults, [])
    warnings, repeats = of(competition, path, found, asked)
    return Findings(faults, warnings, repeats, found)


def answers(competition: Competition, path: Path, ids: Sequence[str]) -> np.ndarray:
    """The probabilities (n, k) float32 that a submission gives to `ids`; 1 for its label where it has labels.

    Of a smoke run it may have more rows.

    Raises:
        Refusal: It has faults, all of which are listed.
        UserError: As `inspect`.
    """
    asked = wanted(competition, more=competition.limit is not None)
    faults, found = read(competition, path, asked)
    if found is None:
        raise Refusal("check", f"{path} has {counted(len(faults), 'fault')} to fix:\n{listed(faults)}")
    if strangers := sorted(set(ids) - set(found.index)):
        raise UserError(f"{path} has no answer to {competition.id} {strangers[0]!r}, which is in no test table")
    return found.loc[list(ids)].to_numpy()


def csv_of(competition: Competition, asked: Asked, ids: Sequence[str], probs: np.ndarray) -> str:
    """A submission's text: the ids and columns that are asked for, in their order, and the answers joined by id.

    Args:
        probs: (n, k) probabilities of `ids`; where the metric is of labels, the likeliest class is written.
    """
    sub = pd.DataFrame(probs, columns=list(competition.classes))
    if METRICS[competition.metric].of_labels:
        sub = pd.DataFrame({competition.label: np.asarray(competition.classes)[probs.argmax(axis=1)]})
    sub.insert(0, competition.id, ids)
    sub = sub.set_index(competition.id, drop=False).loc[list(asked.ids), list(asked.columns)]
    return sub.to_csv(index=False, lineterminator="\n")
