"""Units: several pictures that are one row of the submission. The tables have a row a picture, and its unit's id.

What is scored is a unit: folds, stored tables of predictions, blend, submission and report are of these. A competition
without units has the rows themselves in their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from src.base.errors import UserError, counted
from src.base.spellings import by_id
from src.data import patterns
from src.data.labels import said
from src.data.texts import Texts
from src.schema.competition import Competition
from src.scoring.metric import two_columns
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, grouped


@dataclass(frozen=True)
class Units:
    """The m units of n rows of one part."""

    ids: Texts  # sorted as rows are
    which: np.ndarray  # (n,) each row's place in `ids`

    @cached_property
    def first(self) -> np.ndarray:
        """(m,) the place of the first row of each."""
        return np.unique(self.which, return_index=True)[1]

    def combine(self, competition: Competition, table: Table) -> Table:
        """(n, k) predictions of rows -> (m, k) of units, as `Unit` says."""
        if competition.unit.by == "max" and (asked := competition.asked) is not None:
            order = np.lexsort((two_columns(asked, table)[:, 1], self.which))
            return table[order[np.cumsum(np.bincount(self.which)) - 1]]
        if isinstance(table, SparseTable):
            return grouped(table, self.which, competition.unit.by)
        order = np.argsort(self.which, kind="stable")
        starts = np.searchsorted(self.which[order], np.arange(len(self.ids)))
        if competition.unit.by == "max":
            return competition.target.rescaled(np.maximum.reduceat(table[order], starts))
        return np.add.reduceat(table[order].astype(float), starts) / np.bincount(self.which)[:, None]


def ids_of(competition: Competition, df: pd.DataFrame) -> pd.Series:
    """Return the id of each row's unit: its own where there are no units."""
    if competition.unit is None:
        return df[competition.id]
    column = competition.unit.column
    if not patterns.is_pattern(column):
        return df[column]
    return patterns.fill_rows(column, df)


def find(competition: Competition, df: pd.DataFrame) -> Units | None:
    """Return the units of a part's rows; None where there are none."""
    if competition.unit is None:
        return None
    which, names = pd.factorize(ids_of(competition, df))
    order = by_id(names)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    return Units(Texts(names)[order], place[which])


def of_parts(competition: Competition, train: pd.DataFrame, test: pd.DataFrame) -> tuple[Units, Units] | None:
    """Return the units of train and of test rows; None where there are none."""
    return None if competition.unit is None else (find(competition, train), find(competition, test))


def scored(competition: Competition, df: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each unit, its first one with the unit's id in place of the picture's; `df` without units."""
    if (units := find(competition, df)) is None:
        return df
    return df.iloc[units.first].reset_index(drop=True).assign(**{competition.id: units.ids.series})


def columns(competition: Competition) -> list[str]:
    """Return the columns that the ids of units are made of."""
    if competition.unit is None:
        return []
    return patterns.fields(competition.unit.column) or [competition.unit.column]


def faults(competition: Competition, file: str, train: pd.DataFrame) -> list[str]:
    """Check that train rows of one unit have one label; rows without a unit are faults too."""
    if competition.unit is None:
        return []
    cells, found = train[competition.label], []
    df = pd.DataFrame({"unit": ids_of(competition, train), "label": cells, "same": said(competition, cells)})
    labels = df.drop_duplicates(["unit", "same"])
    for unit, rows in labels[labels["unit"].duplicated(keep=False)].groupby("unit", sort=True):
        values = " and ".join(map(repr, rows["label"][:4]))
        found.append(f"{file}: unit {unit!r} has rows with the {competition.label} {values}: a unit has one")
    blank = (train[columns(competition)] == "").all(axis=1)
    if blank.any():
        found.append(f"{file}: {counted(int(blank.sum()), 'row')} without {' and '.join(columns(competition))}")
    return found


def join_groups(units: Units | None, groups: Sequence[str]) -> list[str]:
    """Return the group of each unit by those of its n rows: one for all that rows of one group, or unit, connect."""
    if units is None:
        return list(groups)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = pd.factorize(np.asarray(groups, object))[0]
    m, edges = len(units.ids), len(group)
    graph = coo_array((np.ones(edges), (units.which, m + group)), shape=(m + group.max() + 1,) * 2)
    together = connected_components(graph, directed=False)[1]
    name = np.asarray(groups, object)[units.first]
    return [str(name[first]) for first in np.unique(together[:m], return_index=True)[1][together[:m]]]


def list_pictures(competition: Competition, part: str, df: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each picture of a table's rows, where the images' pattern has a field that is no column.

    Its pictures are those that the pattern lists, such as train/{patient}/{file} for the rows by patient; the new field
    and the path, as `patterns.read` gives them, become columns.

    Raises:
        UserError: A row has no picture.
    """
    pattern = competition.image_of(part)
    known = [name for name in patterns.fields(pattern) if name in df]
    if competition.unit is None or not known or set(patterns.fields(pattern)) <= {*df, "part"}:
        return df
    images = competition.input(competition.images)
    listed = patterns.read(images, pattern.replace("{part}", part), images)
    others = [name for name in listed if name not in known]
    rows = df.drop(columns=others, errors="ignore").merge(listed, on=known, how="left")
    rows.attrs = dict(df.attrs)
    if (missing := rows[patterns.path_column(pattern)].isna()).any():
        row = ", ".join(f"{name} {value!r}" for name, value in rows.loc[missing, known].iloc[0].items())
        raise UserError(f"{counted(int(missing.sum()), 'row')} of {part} without a picture by {pattern!r}, as of {row}")
    return rows
