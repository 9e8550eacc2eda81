"""data: fetches the competition's files and checks all of them before any model is loaded.

Reads the source; writes input/<slug>/ (once) and images.parquet, which remembers what was checked.
"""

import pandas as pd

from src import images, tables
from src.config import Competition
from src.errors import counted


def run(competition: Competition) -> None:
    competition.source.fetch(competition.input_root)
    rows = tables.read(competition)
    train, test = rows.train, rows.test
    record = images.check(
        [*train[competition.id], *test[competition.id]], [*train["path"], *test["path"]], competition.images_record
    )
    counts = train[competition.label].value_counts()
    shares = ", ".join(f"{name} {counts[name]} ({counts[name] / len(train):.1%})" for name in competition.classes)
    print(f"{len(train)} train rows: {shares}")
    print(f"{len(test)} test rows")
    print(f"images: {sizes(record)}")
    for warning in duplicates(competition, train, test, record):
        print(f"warning: {warning}")


def sizes(record: pd.DataFrame) -> str:
    """`718 of 120 to 145 x 118 to 141 pixels, RGB (median 131 x 130)`."""
    width, height = record["width"], record["height"]
    if width.nunique() == height.nunique() == 1:
        pixels = f"{width[0]} x {height[0]} pixels"
    else:
        spans = [f"{side.min()} to {side.max()}" for side in (width, height)]
        pixels = f"{spans[0]} x {spans[1]} pixels (median {width.median():.0f} x {height.median():.0f})"
    return f"{len(record)} of {pixels}, {', '.join(sorted(record['mode'].unique()))}"


def duplicates(competition: Competition, train: pd.DataFrame, test: pd.DataFrame, record: pd.DataFrame) -> list[str]:
    """Says which pictures are there twice, byte for byte, with different labels or in train and in test."""
    sha = record["sha256"].to_numpy()
    df = pd.DataFrame({"id": [*train[competition.id], *test[competition.id]], "sha": sha})
    df["label"] = [*train[competition.label], *[""] * len(test)]
    df["part"] = ["train"] * len(train) + ["test"] * len(test)
    twice = df[df.duplicated("sha", keep=False)].groupby("sha", sort=False)
    conflicts = [group for _, group in twice if group.loc[group["part"] == "train", "label"].nunique() > 1]
    shared = [group for _, group in twice if group["part"].nunique() > 1]

    def some(groups: list[pd.DataFrame]) -> str:
        shown = "; ".join(
            ", ".join(f"{r.id} ({r.label or 'test'})" for r in group.itertuples()) for group in groups[:5]
        )
        return shown + ("; ..." if len(groups) > 5 else "")

    said = []
    if conflicts:
        said.append(f"{counted(len(conflicts), 'image')} in train with different labels: {some(conflicts)}")
    if shared:
        said.append(f"{counted(len(shared), 'image')} in train and in test: {some(shared)}")
    return said
