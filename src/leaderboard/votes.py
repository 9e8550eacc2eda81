"""Majority votes of labels: the blend's and those of submissions that came without out-of-fold rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.base.errors import UserError, counted, listed
from src.base.paths import resolve
from src.leaderboard import faults
from src.schema.competition import Competition


def read(competition: Competition, path: str, ids: Sequence[str]) -> np.ndarray:
    """The labels, as class indices (n,), that a submission CSV gives to `ids`; of a smoke run it may have more rows.

    Raises:
        UserError: It has faults, all of which are listed.
    """
    file, asked = resolve(path), faults.wanted(competition, more=competition.limit is not None)
    found, answers = faults.read(competition, file, asked)
    if answers is None:
        raise UserError(f"blend.csvs: {file} has {counted(len(found), 'fault')}:\n{listed(found)}")
    return answers.loc[list(ids)].to_numpy().argmax(axis=1)


def check(path: str, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"blend.csvs: there is no file {file}: fix the path {path!r} or leave it out")


def majority(votes: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The class (n,) with the most of v votes (v, n); of equal ones the more frequent by `prior` (k,), then the first.

    Args:
        prior: Counts of the classes in the train table.
    """
    k = len(prior)
    tally = (votes[:, :, None] == np.arange(k)).sum(axis=0)  # (n, k)
    rank = np.empty(k, int)
    rank[np.lexsort((np.arange(k), -prior))] = np.arange(k)[::-1]  # k - 1 for the most frequent
    return (tally * k + rank).argmax(axis=1)
