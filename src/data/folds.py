"""Folds: the rows that are held out together. Split once, written to a file, and part of every key by their hash."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import compute
from scipy import sparse

from src.base.csvs import read_csv
from src.base.errors import UserError
from src.base.spellings import by_id
from src.data.texts import Texts
from src.schema.settings import FEWEST_FOLDS

CELLS = (
    200_000_000  # groups times classes, which scikit-learn's splitter by groups has a table of, a pass for each group
)


def split(
    ids: Sequence[str], labels: Sequence[str], groups: Sequence[str] | None, n: int, seed: int, rare: bool = False
) -> np.ndarray:
    """Assign a fold to each row, 0 to n-1: stratified by label, rows of a group together, whatever the rows' order.

    A class with fewer rows than folds is spread as far as it goes: some folds have none of it to score on. If `rare`,
    it may be all in one fold, where it cannot be learnt. Where each class has fewer, or there are many of both groups
    and classes, rows are dealt out by `deal`.

    Raises:
        UserError: More folds than rows or groups; or, unless `rare`, a class that is all in one fold.
    """
    order = by_id(ids)
    which, names = pd.factorize(Texts(labels).series, sort=True)
    y, g = which[order], group_of(ids, groups, n, order)
    dealt = np.full(len(ids), -1)
    rows = np.unique(y, return_counts=True)[1]
    many = g is not None and len(rows) * (g.max() + 1) > CELLS
    if rows.max() >= n and not many:  # or the splitters refuse
        for k, held_out in enumerate(held_out_rows(y, g, n, seed)):
            dealt[held_out] = k
    if len(np.unique(dealt)) < n:  # nor do they fill each fold where groups are few
        dealt = deal(y, np.arange(len(y)) if g is None else g, n, seed)
    fold = np.empty(len(ids), int)
    fold[order] = dealt
    in_folds = np.bincount(np.unique(which * n + fold) // n, minlength=len(names))
    if not rare and (in_folds < 2).any():
        raise UserError(
            f"all rows of class {str(names[in_folds < 2][0])!r} are in one group: the fold without it could not learn "
            f"the class (rare_classes=True in the config allows that)"
        )
    return fold


def split_labels(
    ids: Sequence[str], labels: np.ndarray, groups: Sequence[str] | None, n: int, seed: int, names: Sequence[str] = ()
) -> np.ndarray:
    """Assign a fold to each row of several labels (m, k) of 0 or 1, rows of a group together, whatever their order.

    Iterative stratification (Sechidis et al. 2011, "On the stratification of multi-label data"): the label with the
    fewest rows left is spread first, each row, or group of rows, to the fold that lacks most of it.

    Args:
        names: The labels that must not be all in one fold, where they could not be learnt.

    Raises:
        UserError: More folds than rows or groups; or a label that is all in one fold.
    """
    order = by_id(ids)
    which = np.arange(len(order)) if (found := group_of(ids, groups, n, order)) is None else found
    members = sparse.csr_array((np.ones(len(order)), (which, np.arange(len(order)))))
    units = sparse.csr_array(members @ sparse.csr_array(labels[order], dtype=float))  # (units, k): rows with each label
    sizes = np.asarray(members.sum(axis=1)).ravel()
    with_label = units.tocsc()
    wanted, room = np.tile(labels.sum(axis=0) / n, (n, 1)), np.full(n, len(order) / n)
    left = labels.sum(axis=0).astype(float)
    rng, fold_of = np.random.default_rng(seed), np.full(len(sizes), -1)

    def assign(unit: int, fold: int) -> None:
        some = slice(*units.indptr[unit : unit + 2])
        fold_of[unit] = fold
        room[fold] -= sizes[unit]
        wanted[fold, units.indices[some]] -= units.data[some]
        left[units.indices[some]] -= units.data[some]

    while (left > 0).any():
        label = int(np.where(left > 0, left, np.inf).argmin())
        some = slice(*with_label.indptr[label : label + 2])
        some_units, counts = with_label.indices[some], with_label.data[some]
        free = np.flatnonzero(fold_of[some_units] < 0)
        free = rng.permutation(free)
        for place in free[np.argsort(-counts[free], kind="stable")]:  # the largest groups first
            best = np.lexsort((rng.random(n), -room, -wanted[:, label]))[0]
            assign(int(some_units[place]), int(best))
    for unit in rng.permutation(np.flatnonzero(fold_of < 0)):  # of rows without any label
        assign(int(unit), int(room.argmax()))
    for fold in np.flatnonzero(np.bincount(fold_of, minlength=n) == 0):  # few units: none may stay empty
        fold_of[np.flatnonzero(fold_of == np.bincount(fold_of, minlength=n).argmax())[0]] = fold
    fold = np.empty(len(order), int)
    fold[order] = fold_of[which]
    for column, name in enumerate(names):
        if len(set(fold[labels[:, column] > 0])) < 2:
            raise UserError(
                f"all rows of label {name!r} are in one group: the fold without it could not learn the label "
                f"(rare_classes=True in the config allows that)"
            )
    return fold


def group_of(ids: Sequence[str], groups: Sequence[str] | None, n: int, order: np.ndarray) -> np.ndarray | None:
    """The place of the group of each row, in this order, among all groups sorted; None where there are none.

    Raises:
        UserError: More folds than rows or groups.
    """
    if groups is None:
        refuse_few(len(ids), "rows", n)
        return None
    which, names = pd.factorize(Texts(groups).series, sort=True)
    refuse_few(len(names), "groups", n)
    return which[order]


def refuse_few(have: int, unit: str, n: int) -> None:
    """Raise a UserError where there are fewer rows or groups than folds."""
    if have < n:
        fewest = f"{FEWEST_FOLDS} are the fewest that folds are made of"
        remedy = "lower folds.n in the config" if have >= FEWEST_FOLDS else fewest
        raise UserError(f"{n} folds cannot be made of {have} {unit}: {remedy}")


def held_out_rows(labels: np.ndarray, groups: np.ndarray | None, n: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each of n folds by scikit-learn: stratified by label (m,), rows of a group (m,) together.

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
    with warnings.catch_warnings():  # a small class is handled on purpose, and said in our words
        warnings.filterwarnings("ignore", message="The least populated class")
        return [held_out for _, held_out in splits]


def first_fold(labels: np.ndarray, groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return whether each row is in the first of n folds, or of as many as there are groups: (m,) bool.

    It is that of `held_out_rows`, or by `deal` where groups or rows are too few for that. Of one group none is.
    """
    n, first = min(n, len(np.unique(groups))), np.zeros(len(labels), bool)
    if n > 1 and np.unique(labels, return_counts=True)[1].max() >= n:
        first[held_out_rows(labels, groups, n, seed)[0]] = True
    if n > 1 and not first.any():
        first = deal(labels, groups, n, seed) == 0
    return first


def deal(labels: np.ndarray, groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the fold (m,) of each row: groups, the largest first, go where their classes and then rows are fewest."""
    classes = np.unique(labels, return_inverse=True)[1]
    names, which = np.unique(groups, return_inverse=True)
    ones = np.ones(len(which), int)
    rows = sparse.csr_array((ones, (which, classes)))  # of each class in each group
    rows.sum_duplicates()
    sizes = np.bincount(which)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    counts, total, fold_of = np.zeros((n, rows.shape[1]), int), np.zeros(n, int), np.empty(len(names), int)
    for i in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        some = slice(*rows.indptr[i : i + 2])
        own, of_class = rows.indices[some], rows.data[some]
        fold_of[i] = np.lexsort((total, counts[:, own] @ of_class))[0]
        counts[fold_of[i], own] += of_class
        total[fold_of[i]] += sizes[i]
    return fold_of[which]


def read(path: Path, id: str, ids: Sequence[str]) -> np.ndarray:
    """Read the fold of each of `ids`, in their order.

    Raises:
        UserError: The file is missing, or not a table of these ids and folds from 0 up.
    """
    df, remedy = read_csv(path), "delete it to recompute it"
    if list(df.columns) != [id, "fold"]:
        raise UserError(f"{path} must have the columns {id},fold and has {','.join(df.columns)}: {remedy}")
    there = Texts(df[id])
    at = compute.index_in(Texts(ids).array, there.array)
    if not df[id].is_unique or len(there) != len(ids) or at.null_count:
        raise UserError(f"{path} is of other rows than the train table: {remedy}")
    fold = pd.to_numeric(df["fold"], errors="coerce").to_numpy()[at.to_numpy()]
    numbers = np.unique(fold)
    if not np.array_equal(numbers, np.arange(len(numbers))) or len(numbers) < FEWEST_FOLDS:
        raise UserError(f"{path}: its folds must be the numbers from 0 up, three or more: {remedy}")
    return fold.astype(int)
