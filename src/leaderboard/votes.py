"""Majority votes of labels: the blend's and those of submissions that came without out-of-fold rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.base.errors import UserError
from src.base.paths import resolve
from src.kaggle.refusals import Refusal
from src.leaderboard import submission
from src.schema.competition import Competition
from src.scoring.tables import Table, of_labels
from src.scoring.targets import Target


def read(competition: Competition, path: str, ids: Sequence[str]) -> np.ndarray:
    """Return the answers, (n,) or of several labels (n, k), of a submission CSV to `ids`: see `submission.answers`.

    Raises:
        UserError: It has faults, all of which are listed.
    """
    try:
        return competition.target.answers(submission.answers(competition, resolve(path), ids))
    except Refusal as error:
        raise UserError(f"blend.csvs: {error}") from error


def check(path: str, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"blend.csvs: there is no file {file}: fix the path {path!r} or leave it out")


def elect(target: Target, ballots: np.ndarray, targets: np.ndarray, k: int) -> Table:
    """Return a table (n, k) of 0 and 1 with what most of v answers say, classes (v, n) or labels (v, n, k).

    A label of as many votes for it as against it is there if more than half of the train rows, of `targets`, have it.
    """
    if target.is_choice:
        labels = majority(ballots, np.bincount(targets, minlength=k))
        return of_labels(labels, k) if target.is_sparse(len(labels), k) else np.eye(k, dtype=np.float32)[labels]
    lead = 2 * ballots.sum(axis=0) - len(ballots)
    return np.where(lead == 0, targets.mean(axis=0) > 0.5, lead > 0).astype(np.float32)


def majority(votes: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the class (n,) with the most votes (v, n); of equal ones the more frequent by `prior`, then the first.

    The prior (k,) counts the classes in the train table.
    """
    k = len(prior)
    alike = np.stack([(votes == own).sum(axis=0) for own in votes])  # (v, n) votes for the class of each
    rank = np.empty(k, int)
    rank[np.lexsort((np.arange(k), -prior))] = np.arange(k)[::-1]  # k - 1 for the most frequent
    return votes[(alike * k + rank[votes]).argmax(axis=0), np.arange(votes.shape[1])]
