"""Submission CSVs: written, inspected before they are sent, and read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import UserError, counted, listed
from src.data.texts import Texts
from src.kaggle.refusals import Refusal
from src.leaderboard import cells
from src.leaderboard.faults import Requirements, read, requirements
from src.leaderboard.warnings import find_suspicions
from src.schema.competition import Competition


@dataclass(frozen=True)
class Findings:
    """The messages about a submission: a line each, with its fix."""

    faults: list[str]  # it is not to be sent
    warnings: list[str]  # it can be sent, and it may be a mistake
    repeats: list[str] = field(default_factory=list)  # Kaggle has these answers already
    answers: pd.DataFrame | None = field(default=None, compare=False, repr=False)  # see `inspected`; without faults


def inspect(competition: Competition, path: Path) -> Findings:
    """Return all findings about a submission, offline. Rows may be in any order: Kaggle joins them by id.

    Raises:
        UserError: The competition's own tables or the ledger cannot be read.
    """
    required = requirements(competition)
    faults, probs = read(competition, path, required)
    if probs is None:
        return Findings(faults, [])
    warnings, repeats = find_suspicions(competition, path, probs, required)
    return Findings(faults, warnings, repeats, probs)


def answers(competition: Competition, path: Path, ids: Sequence[str]) -> np.ndarray:
    """Return the probabilities (n, k) that a submission gives to `ids`; 1 for its label where it has labels.

    Of a smoke run it may have more rows.

    Raises:
        Refusal: It has faults, all of which are listed.
        UserError: As `inspect`.
    """
    required = requirements(competition, more=competition.limit is not None)
    faults, probs = read(competition, path, required)
    if probs is None:
        raise Refusal("check", f"{path} has {counted(len(faults), 'fault')} to fix:\n{listed(faults)}")
    ids = pd.Index(ids)
    if len(strangers := ids[~Texts(ids).are_in(probs.index)]):
        raise UserError(f"{path} has no answer to {competition.id} {min(strangers)!r}, which is in no test table")
    return probs.loc[ids].to_numpy()


def csv_of(competition: Competition, required: Requirements, ids: Sequence[str], probs: np.ndarray) -> str:
    """Return a submission's text: the required ids and columns, in their order, and the answers joined by id.

    These are what the form of a submission says of a table of predictions (n, k) of `ids`, which is decided.
    """
    sub = cells.write(competition, ids, probs)
    sub = sub.loc[required.ids].rename_axis(competition.sample_id).reset_index()
    return sub[list(required.columns)].to_csv(index=False, lineterminator="\n")
