"""Images that are there twice, byte for byte: in train with different labels, or in train and in test."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

GROUPS_NAMED = 5  # groups of copies that are named


@dataclass(frozen=True)
class Copies:
    """Rows of which others have the same image, with id, sha, label and part; groups are in the order of the rows."""

    rows: pd.DataFrame

    @property
    def groups(self) -> list[pd.DataFrame]:
        """The rows of each image."""
        return [group for _, group in self.rows.groupby("sha", sort=False)]

    @cached_property
    def conflicts(self) -> list[pd.DataFrame]:
        """The groups with different labels among their train rows."""
        return self.with_several("label", self.rows[self.rows["part"] == "train"])

    @cached_property
    def shared(self) -> list[pd.DataFrame]:
        """The groups with rows of train and of test."""
        return self.with_several("part", self.rows)

    def with_several(self, column: str, among: pd.DataFrame) -> list[pd.DataFrame]:
        """The groups that have several values of a column among some of the rows."""
        values = among.drop_duplicates(["sha", column])["sha"]
        return Copies(self.rows[self.rows["sha"].isin(values[values.duplicated()].array)]).groups


def find(df: pd.DataFrame) -> Copies:
    """Find the copies among rows of id, sha (of the image's bytes), label ("" in test) and part (train or test)."""
    return Copies(df[df.duplicated("sha", keep=False)])


def examples(groups: list[pd.DataFrame]) -> str:
    """`4.png (broken), 7.png (test); ...` of the first groups."""
    named = [
        ", ".join(f"{row.id} ({row.label or 'test'})" for row in group.itertuples()) for group in groups[:GROUPS_NAMED]
    ]
    return "; ".join(named) + ("; ..." if len(groups) > GROUPS_NAMED else "")
