"""Folds: the rows that are held out together. Split once, written to a file, and part of every key by their hash."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import UserError
from src.base.files import read_csv
from src.data.tables import by_id


def split(
    ids: list[str], labels: list[str], groups: list[str] | None, n: int, seed: int, rare: bool = False
) -> np.ndarray:
    """Assign a fold to each row, 0 to n-1: stratified by label, rows of a group together, whatever the rows' order.

    A class with fewer rows than folds is spread as far as it goes: some folds have none of it to score on. If `rare`,
    it may be all in one fold, where it cannot be learnt.

    Raises:
        UserError: More folds than rows or groups; or, unless `rare`, a class that is all in one fold.
    """
    order = by_id(ids)
    y = np.asarray(labels)[order]
    g = None if groups is None else np.asarray(groups)[order]
    if (have := len(set(ids if groups is None else groups))) < n:
        unit = "rows" if groups is None else "groups"
        raise UserError(f"{n} folds cannot be made of {have} {unit}: lower folds.n in the config")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # a second, for this alone

    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(n, shuffle=True, random_state=seed)
    fold = np.empty(len(ids), int)
    with warnings.catch_warnings():  # a small class is handled on purpose, and said in our words
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            for k, (_, held_out) in enumerate(splitter.split(y, y, g)):
                fold[np.asarray(order)[held_out]] = k
        except ValueError as error:  # fewer rows in every class than folds
            raise UserError(f"{n} folds are too many for {len(ids)} rows: lower folds.n in the config") from error
    for label in () if rare else sorted(set(labels)):
        if len(set(fold[np.asarray(labels) == label])) < 2:
            raise UserError(
                f"all rows of class {label!r} are in one group: the fold without it could not learn the class "
                f"(rare_classes=True in the config allows that)"
            )
    return fold


def read(path: Path, id: str, ids: list[str]) -> np.ndarray:
    """Read the fold of each of `ids`, in their order.

    Raises:
        UserError: The file is missing, or not a table of these ids and folds from 0 up.
    """
    df, remedy = read_csv(path), "delete it to recompute it"
    if list(df.columns) != [id, "fold"]:
        raise UserError(f"{path} must have the columns {id},fold and has {','.join(df.columns)}: {remedy}")
    if df[id].duplicated().any() or set(df[id]) != set(ids):
        raise UserError(f"{path} is of other rows than the train table: {remedy}")
    fold = pd.to_numeric(df.set_index(id)["fold"].loc[ids], errors="coerce").to_numpy()
    if np.isnan(fold).any() or sorted(set(fold)) != list(range(len(set(fold)))) or len(set(fold)) < 3:
        raise UserError(f"{path}: its folds must be the numbers from 0 up, three or more: {remedy}")
    return fold.astype(int)
