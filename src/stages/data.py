"""data: fetches the competition's files and checks all of them before any model is loaded.

Reads the source: a folder or zip in input/, or the Kaggle API. Writes input/<slug>/ (once) and images.parquet, which
records what was checked. Prints class counts, image sizes and duplicate files, and lists all faults at once.
"""

import numpy as np
import pandas as pd

from src.base.errors import counted
from src.data import copies, images, tables
from src.data.labels import count, read_targets, shown
from src.data.record import check_images
from src.schema.competition import Competition

MOST_CLASSES, ENDS = 20, 5  # that are all printed with their rows; and of more classes, so many at either end


def run(competition: Competition) -> None:
    competition.source.fetch(competition.input_root)
    rows = tables.read(competition)
    train, test = rows.train, rows.test
    ids, paths = (rows.of_both(column) for column in (competition.id, tables.PATH))
    record = check_images(ids, paths, competition.images_record, competition.white)
    for note in rows.notes:
        print(note)
    print(f"{len(train)} train rows: {describe_labels(competition, train[competition.label])}")
    print(f"{len(test)} test rows")
    print(f"images: {sizes(record)}")
    tops = record["top"].to_numpy()
    for warning in (*white_warnings(competition, tops, len(train)), *copy_warnings(competition, train, test, record)):
        print(f"warning: {warning}")


def describe_labels(competition: Competition, labels: pd.Series) -> str:
    """The rows of each class as `describe_counts` has them; of numbers their mean and how far they go."""
    if competition.classes:
        return describe_counts(pd.Series(count(competition, labels)), len(labels))
    numbers = read_targets(competition, labels)
    return f"{competition.label} {numbers.min():g} to {numbers.max():g}, {numbers.mean():.4g} on average"


def describe_counts(counts: pd.Series, total: int) -> str:
    """`oak 12 (60.0%), elm 8 (40.0%)` in the config's order; of many classes the count, the largest and the smallest.

    Args:
        counts: The train rows of each class.
        total: All train rows, of which each may have several labels.
    """

    def few(counts: pd.Series) -> str:
        return ", ".join(f"{name} {n} ({n / total:.1%})" for name, n in counts.items())

    if len(counts) <= MOST_CLASSES:
        return few(counts)
    ordered = counts.sort_values(ascending=False, kind="stable")
    return (
        f"{len(counts):,} classes, the largest {few(ordered[:ENDS])}, the smallest {few(ordered[-ENDS:])}, the median "
        f"{counts.median():g}"
    )


def sizes(record: pd.DataFrame) -> str:
    """`718 of 120 to 145 x 118 to 141 pixels, RGB (median 131 x 130)`."""
    width, height = record["width"], record["height"]
    if width.nunique() == height.nunique() == 1:
        pixels = f"{width[0]} x {height[0]} pixels"
    else:
        spans = [f"{side.min()} to {side.max()}" for side in (width, height)]
        pixels = f"{spans[0]} x {spans[1]} pixels (median {width.median():.0f} x {height.median():.0f})"
    return f"{len(record)} of {pixels}, {', '.join(sorted(record['mode'].unique()))}"


def white_warnings(competition: Competition, tops: np.ndarray, n: int) -> list[str]:
    """Warn where pictures of more than 8 bits come out dark or cut off; `tops` are of the n train rows and of test."""
    warnings, white, top = [], competition.white, int(tops[:n].max())
    deep = f"{counted(int((tops[:n] > 0).sum()), 'train picture')} of more than 8 bits"
    if top and (better := images.white_over(top)) < white:
        warnings.append(
            f"{deep} have no value above {top:,}, and white={white} makes them dark: white={better} in the config "
            "scales them by what they hold (what was learnt from them is then computed again)"
        )
    if brighter := int((tops > white).sum()):
        warnings.append(
            f"{counted(brighter, 'picture')} of more than 8 bits have values up to {tops.max():,}: all above "
            f"white={white} is white; raise it in the config if that is not meant"
        )
    return warnings


def copy_warnings(competition: Competition, train: pd.DataFrame, test: pd.DataFrame, record: pd.DataFrame) -> list[str]:
    """Warn of pictures that are there twice, byte for byte, with different labels or in train and in test."""
    df = pd.DataFrame({"id": [*train[competition.id], *test[competition.id]], "sha": record["sha256"].to_numpy()})
    df["label"] = [*shown(competition, train[competition.label]), *[""] * len(test)]
    df["part"] = ["train"] * len(train) + ["test"] * len(test)
    twice, warnings = copies.find(df), []
    if twice.conflicts:
        n = counted(len(twice.conflicts), "image")
        warnings.append(f"{n} in train with different labels: {copies.examples(twice.conflicts)}")
    if twice.shared:
        warnings.append(f"{counted(len(twice.shared), 'image')} in train and in test: {copies.examples(twice.shared)}")
    return warnings
