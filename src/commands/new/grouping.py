"""Groups that the files prove: a column whose values are of train rows or of test rows, and of both by chance never."""

import math

import pandas as pd

from src.commands.new.guess import Guess

CHANCE = 1e-6  # a column is a group if rows dealt out one by one leave no value in both parts less often


def settle(guess: Guess, train: pd.DataFrame, test: pd.DataFrame, rows: pd.Series | None) -> None:
    """Switch on the group that the tables prove, of those that `guess.groups` proposes.

    If several are proven it is that of the fewest values, which has the rows of the others' together, mostly.

    Args:
        rows: The label of each train row; None of numbers and of several labels. A class that is all in one group is
            allowed then, and said.
    """
    proven = [column for column in guess.groups if column in test and are_apart(train[column], test[column])]
    if not proven:
        return
    column = min(proven, key=guess.groups.get)
    guess.group, others = column, [one for one in proven if one != column]
    n = test[column].nunique()
    guess.why["group"] = f"{guess.groups[column]:,} values in train and {n:,} in test, none in both" + (
        f"; so it is of {', '.join(others)}" if others else ""
    )
    guess.odd.append(
        f"group={column!r}: train and test have no {column} in common, so rows of one stay in one fold, as in the test"
    )
    guess.groups = {}
    if rows is None:
        return
    groups = train[column].where(train[column] != "", "\0" + pd.Series(range(len(train)), train.index).astype(str))
    alone = groups.groupby(rows).nunique()
    if (single := alone[alone < 2].index.tolist()) and not guess.rare_classes:
        guess.rare_classes = True
        guess.why["rare_classes"] = (
            f"{len(single):,} of {len(alone):,} classes are in one {column} alone, such as {single[0]!r}: the fold "
            "that holds it out cannot learn them"
        )


def are_apart(train: pd.Series, test: pd.Series) -> bool:
    """True if no value is in both parts, and chance alone would hardly ever do that.

    Of a value with n rows it does so with p^n + (1 - p)^n, where p is the share of train rows.
    """
    train, test = train[train != ""], test[test != ""]
    if not len(train) or not len(test) or set(train) & set(test):
        return False
    p = len(train) / (len(train) + len(test))
    log = sum(
        math.log(p**n + (1 - p) ** n) * count
        for n, count in pd.concat([train, test]).value_counts().value_counts().items()
    )
    return log < math.log(CHANCE)
