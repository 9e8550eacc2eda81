"""Majority votes of labels: the blend's and those of submissions that came without out-of-fold rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.base.errors import UserError, counted, unknown
from src.base.files import read_csv
from src.base.paths import resolve
from src.schema.competition import Competition


def read(competition: Competition, path: str, ids: Sequence[str]) -> np.ndarray:
    """The labels, as class indices (n,), that a submission CSV gives to `ids`; of a smoke run it may have more rows.

    Raises:
        UserError: It is not there, or it is no submission of labels for these ids.
    """
    file, id, label = resolve(path), competition.id, competition.label
    check(path, file)
    sub = read_csv(file)
    if set(sub.columns) != {id, label}:
        raise UserError(f"blend.csvs: {file} has the columns {', '.join(sub.columns)}, not {id}, {label}")
    if (twice := sub[id].duplicated()).any():
        raise UserError(f"blend.csvs: {file} has {id} {sub[id][twice].iloc[0]!r} in more than one row")
    missing = sorted(set(ids) - set(sub[id]))
    others = sorted(set(sub[id]) - set(ids)) if competition.limit is None else []
    if missing or others:
        raise UserError(
            f"blend.csvs: {file} is of other rows: {counted(len(missing), 'id')} of the test table missing and "
            f"{len(others)} that it has not, such as {(missing or others)[0]!r}"
        )
    labels = sub.set_index(id)[label].loc[list(ids)]
    if wrong := sorted(set(labels) - set(competition.classes)):
        raise UserError(f"blend.csvs: {file}: {unknown('class', wrong[0], competition.classes)}")
    return labels.map(list(competition.classes).index).to_numpy()


def check(path: str, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"blend.csvs: there is no file {file}: mend the path {path!r} or leave it out")


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
