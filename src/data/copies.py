"""Images that are there twice, byte for byte: in train with different labels, or in train and in test."""

from dataclasses import dataclass

import pandas as pd

GROUPS_NAMED = 5  # groups of copies that are named


@dataclass(frozen=True)
class Copies:
    """Groups of rows that have one image, in the order of the rows; each a table of id, sha, label and part."""

    groups: list[pd.DataFrame]

    @property
    def conflicts(self) -> list[pd.DataFrame]:
        """The groups with different labels among their train rows."""
        return [group for group in self.groups if group.loc[group["part"] == "train", "label"].nunique() > 1]

    @property
    def shared(self) -> list[pd.DataFrame]:
        """The groups with rows of train and of test."""
        return [group for group in self.groups if group["part"].nunique() > 1]


def find(df: pd.DataFrame) -> Copies:
    """Find the copies among rows of id, sha (of the image's bytes), label ("" in test) and part (train or test)."""
    twice = df[df.duplicated("sha", keep=False)]
    return Copies([group for _, group in twice.groupby("sha", sort=False)])


def examples(groups: list[pd.DataFrame]) -> str:
    """`4.png (broken), 7.png (test); ...` of the first groups."""
    named = [
        ", ".join(f"{row.id} ({row.label or 'test'})" for row in group.itertuples()) for group in groups[:GROUPS_NAMED]
    ]
    return "; ".join(named) + ("; ..." if len(groups) > GROUPS_NAMED else "")
