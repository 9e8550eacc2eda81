"""Which images are there twice, byte for byte: in train with different labels, or in train and in test."""

from dataclasses import dataclass

import pandas as pd

GROUPS_NAMED = 5  # groups of copies that are named


@dataclass(frozen=True)
class Copies:
    """Groups of rows that have one image, in the order of the rows; each a table of id, sha, label and part."""

    groups: list[pd.DataFrame]

    @property
    def conflicts(self) -> list[pd.DataFrame]:
        """Those with different labels among their train rows."""
        return [group for group in self.groups if group.loc[group["part"] == "train", "label"].nunique() > 1]

    @property
    def shared(self) -> list[pd.DataFrame]:
        """Those with rows of train and of test."""
        return [group for group in self.groups if group["part"].nunique() > 1]


def find(df: pd.DataFrame) -> Copies:
    """The copies among rows.

    Args:
        df: Of columns id, sha (of the image's bytes), label ("" of a test row) and part (train or test).
    """
    twice = df[df.duplicated("sha", keep=False)]
    return Copies([group for _, group in twice.groupby("sha", sort=False)])


def examples(groups: list[pd.DataFrame]) -> str:
    """`4.png (broken), 7.png (test); ...` of the first groups."""
    shown = [
        ", ".join(f"{row.id} ({row.label or 'test'})" for row in group.itertuples()) for group in groups[:GROUPS_NAMED]
    ]
    return "; ".join(shown) + ("; ..." if len(groups) > GROUPS_NAMED else "")
