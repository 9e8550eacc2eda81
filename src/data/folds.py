"""Folds: the rows that are held out together. Split once, written to a file, and part of every key by their hash."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError
from src.data.tables import by_id
from src.schema.competition import FEWEST_FOLDS


def split(
    ids: list[str], labels: list[str], groups: list[str] | None, n: int, seed: int, rare: bool = False
) -> np.ndarray:
    """Assign a fold to each row, 0 to n-1: stratified by label, rows of a group together, whatever the rows' order.

    A class with fewer rows than folds is spread as far as it goes: some folds have none of it to score on. If `rare`,
    it may be all in one fold, where it cannot be learnt. Where each class has fewer, rows are dealt out by `deal`.

    Raises:
        UserError: More folds than rows or groups; or, unless `rare`, a class that is all in one fold.
    """
    order = by_id(ids)
    y = np.asarray(labels)[order]
    g = None if groups is None else np.asarray(groups)[order]
    if (have := len(set(ids if groups is None else groups))) < n:
        unit = "rows" if groups is None else "groups"
        fewest = f"{FEWEST_FOLDS} are the fewest that folds are made of"
        remedy = "lower folds.n in the config" if have >= FEWEST_FOLDS else fewest
        raise UserError(f"{n} folds cannot be made of {have} {unit}: {remedy}")
    dealt = np.full(len(ids), -1)
    with warnings.catch_warnings():  # a small class is handled on purpose, and said in our words
        warnings.filterwarnings("ignore", message="The least populated class")
        if np.unique(y, return_counts=True)[1].max() >= n:  # or the splitters refuse
            for k, held_out in enumerate(held_out_rows(y, g, n, seed)):
                dealt[held_out] = k
    if len(set(dealt)) < n:  # nor do they fill each fold where groups are few
        dealt = deal(y, np.arange(len(y)) if g is None else g, n, seed)
    fold = np.empty(len(ids), int)
    fold[np.asarray(order)] = dealt
    for label in () if rare else sorted(set(labels)):
        if len(set(fold[np.asarray(labels) == label])) < 2:
            raise UserError(
                f"all rows of class {label!r} are in one group: the fold without it could not learn the class "
                f"(rare_classes=True in the config allows that)"
            )
    return fold


def held_out_rows(labels: np.ndarray, groups: np.ndarray | None, n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of each of n folds by scikit-learn: stratified by label (m,), rows of a group (m,) together.

    The groups are shuffled here, as scikit-learn does it since 1.8: before, it shuffled their counts and not them.

    Raises:
        ValueError: Every class has fewer rows than n, or there are fewer groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # a second, for this alone

    if groups is None:
        splits = StratifiedKFold(n, shuffle=True, random_state=seed).split(labels, labels)
    else:
        names, which = np.unique(groups, return_inverse=True)
        place = np.argsort(np.random.RandomState(seed).permutation(len(names)))
        splits = StratifiedGroupKFold(n).split(labels, labels, place[which])
    return (held_out for _, held_out in splits)


def deal(labels: np.ndarray, groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the fold (m,) of each row: groups, the largest first, go where their classes and then rows are fewest."""
    classes = np.unique(labels, return_inverse=True)[1]
    names, which = np.unique(groups, return_inverse=True)
    sizes = np.zeros((len(names), classes.max() + 1), int)  # the rows of each class in each group
    np.add.at(sizes, (which, classes), 1)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    counts, fold_of = np.zeros((n, sizes.shape[1]), int), np.empty(len(names), int)
    for i in shuffled[np.argsort(-sizes[shuffled].sum(axis=1), kind="stable")]:
        fold_of[i] = np.lexsort((counts.sum(axis=1), counts @ sizes[i]))[0]
        counts[fold_of[i]] += sizes[i]
    return fold_of[which]


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
    if np.isnan(fold).any() or sorted(set(fold)) != list(range(len(set(fold)))) or len(set(fold)) < FEWEST_FOLDS:
        raise UserError(f"{path}: its folds must be the numbers from 0 up, three or more: {remedy}")
    return fold.astype(int)
