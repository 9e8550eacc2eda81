"""Units of several pictures: the sample submission has a row a patient or a burst, the tables a row a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import pandas as pd

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new.looking import Contents
from src.data import patterns
from src.data.locating import plain_ending

SEPARATORS = ("_", "-", "", " ", ".", "/")
ROWS_TRIED = 20
MOST_COLUMNS = 12  # of which pairs are tried


@dataclass(frozen=True)
class Found:
    column: str  # of units, or a pattern over columns: see schema.competition.Unit
    id: str  # the column of pictures' ids


def find(contents: Contents, frames: Mapping[str, pd.DataFrame], test_file: str, unit: str) -> Found | None:
    """The units, where the test table has several rows of one of the sample submission's ids; else None.

    Args:
        frames: The competition's tables, the test table among them.
        unit: The test table's column of the sample submission's ids.

    Raises:
        UserError: Train rows have no such column, and nothing that it is made of; or no column names their pictures.
    """
    test = frames[test_file]
    if test[unit].is_unique:
        return None
    trains = {name: df for name, df in frames.items() if name != test_file and picture_ids(contents, df, test)}
    if not trains:
        raise UserError(
            f"{test_file} has several rows of one {unit}, and it and the train table have no column in common that "
            f"names their pictures ({examples(test, 8)}): add one"
        )
    name, train = max(trains.items(), key=lambda one: len(one[1]))
    (id, *_) = picture_ids(contents, train, test)
    if unit in train:
        return Found(unit, id)
    if (made := made_of(unit, test, [column for column in test if column in train and column != id])) is None:
        raise UserError(
            f"{test_file} has several rows of one {unit}, and {name} has no such column, nor two of which it is made "
            f"({examples(train, 8)}): add it"
        )
    return Found(made, id)


def picture_ids(contents: Contents, train: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """The columns of both tables that are another in each row; those that name pictures come first."""
    both = [column for column in train if column in test and train[column].is_unique and test[column].is_unique]

    def names_pictures(column: str) -> bool:
        some = train[column].head(ROWS_TRIED)
        return all(plain_ending(value.rpartition("/")[2]) in contents.named for value in some)

    return sorted(both, key=names_pictures, reverse=True)


def made_of(unit: str, test: pd.DataFrame, columns: list[str]) -> str | None:
    """The pattern over two columns that gives each row's unit: {patient_id}_{laterality}."""
    few = test.head(ROWS_TRIED)
    for one, other in permutations(columns[:MOST_COLUMNS], 2):
        for separator in SEPARATORS:
            pattern = f"{{{one}}}{separator}{{{other}}}"
            if all((df[one] + separator + df[other]).eq(df[unit]).all() for df in (few, test)):
                return pattern if patterns.fields(pattern) == [one, other] else None
    return None


def check_labels(train_file: str, train: pd.DataFrame, found: Found, label: str) -> None:
    """Raise a UserError if rows of one unit have different labels."""
    names = patterns.fields(found.column) or [found.column]
    several = train[[*names, label]].drop_duplicates()
    if (again := several[several.duplicated(names, keep=False)]).empty:
        return
    one = " ".join(again[names].iloc[0])
    raise UserError(
        f"{train_file}: rows of one {'_'.join(names)}, as {one!r}, have several {label}: the sample submission has one "
        "row for all of them"
    )
