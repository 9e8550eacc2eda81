"""Sample submissions that have a row a picture and label: 7_rust, 7_scab, 8_rust, 8_scab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from src.commands.new.looking import Contents
from src.data.labels import to_numbers
from src.data.locating import plain_ending

SEPARATORS = ("_", "-", " ", ":", "/", "|", ".")
MOST_LABELS = 200  # that are told by the ids alone


@dataclass(frozen=True)
class Melted:
    row: str  # as LabelRows has it: "{id}_{label}"
    labels: tuple[str, ...]  # in the order of the first picture's rows
    ids: list[str]  # of the pictures


def find(contents: Contents, rows: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> Melted | None:
    """How the ids of a sample submission are made of pictures' ids and labels; None where they are not.

    Each picture has a row of each label. The labels, which may have the separator in them, are columns of 0 and 1 of a
    train table; or the pictures are called by the ids without their labels.
    """
    columns = [named for df in tables.values() if len(named := zeros_and_ones(df)) > 1]
    for separator in SEPARATORS:
        for labels in columns:
            ends = tuple(separator + label for label in labels)
            if all(row.endswith(ends) for row in rows) and (found := split(rows, separator, labels)):
                return found
    if any(plain_ending(row) in contents.named for row in rows[:20]):
        return None
    for separator in SEPARATORS:
        labels = tuple(dict.fromkeys(row.rpartition(separator)[2] for row in rows))
        found = split(rows, separator, labels) if len(labels) <= MOST_LABELS else None
        if found is not None and all(plain_ending(id) in contents.named for id in found.ids[:20]):
            return found
    return None


def zeros_and_ones(df: pd.DataFrame) -> list[str]:
    columns = [column for column in df if 1 <= df[column].nunique() <= 2]
    numbers = to_numbers(df[columns])
    return [column for column, cells in zip(columns, numbers.T, strict=True) if set(cells) <= {0, 1}]


def split(rows: Sequence[str], separator: str, labels: Sequence[str]) -> Melted | None:
    """The pictures' ids, if each has a row of each of the same labels, of which a row has the longest that fits."""
    by_length, found = sorted(labels, key=len, reverse=True), {}
    for row in rows:
        label = next((one for one in by_length if row.endswith(separator + one)), "")
        id = row.removesuffix(separator + label)
        if not label or not id or label in found.setdefault(id, []):
            return None
        found[id].append(label)
    first = next(iter(found.values()))
    if len(first) < 2 or any(set(one) != set(first) for one in found.values()):
        return None
    return Melted(f"{{id}}{separator}{{label}}", tuple(first), list(found))


def widened(train: pd.DataFrame, id: str, answer: str, melted: Melted | None) -> pd.DataFrame:
    """A train table that has a row a picture and label too as one with a column a label; another as it is."""
    if melted is None or answer not in train:
        return train
    before = melted.row.removeprefix("{id}").removesuffix("{label}")
    ends = sorted((before + label for label in melted.labels), key=len, reverse=True)
    label = [next((end for end in ends if row.endswith(end)), "") for row in train[id]]
    if 2 * label.count("") > len(label):  # the column of labels is called as the sample submission's of probabilities
        return train
    ids = [row.removesuffix(end) for row, end in zip(train[id], label, strict=True)]
    rows = pd.DataFrame({id: ids, "end": label, "cell": train[answer]}).drop_duplicates([id, "end"])
    wide = rows.pivot(index=id, columns="end", values="cell").reindex(dict.fromkeys(ids)).fillna("0")
    wide.columns = [end.removeprefix(before) for end in wide.columns]
    return wide.rename_axis(columns=None).reset_index()
