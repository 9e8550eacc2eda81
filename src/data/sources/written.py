"""A data set's pictures and labels as the tables of a competition: the common part of all sources of data sets."""

import functools
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from src.base.errors import UserError, counted, unknown
from src.base.files import (
    as_json_value,
    describe_changes,
    explain_os_errors,
    read_json,
    replacing,
    replacing_folder,
    write_json,
)
from src.base.paths import input_root
from src.data import folds
from src.schema.source import Source

TABLES = ("train.csv", "test.csv", "sample_submission.csv", "solution.csv")
RECORD = "source.json"  # the key of the tables


def is_written(folder: Path, key: dict[str, Any]) -> bool:
    """Return whether all tables of this source lie in `folder`.

    Raises:
        UserError: Tables of that name are somebody's own, or of another source or other splits.
    """
    record, there = folder / RECORD, [name for name in TABLES if (folder / name).exists()]
    if not record.is_file():
        if there:
            raise UserError(
                f"{folder / there[0]} is there and was not written by this source: give the source another slug=..., "
                "or move that file away"
            )
        return False
    stored, key = read_json(record), as_json_value(key)
    if stored != key:
        raise UserError(
            f"the tables in {folder} are of other rows than the config asks for: {describe_changes(stored, key)}: give "
            "the source another slug=... (./run.sh new does by --name), or delete them, and they are written again: "
            f"rm -f {shlex.quote(str(folder))}/{{{','.join((RECORD, *TABLES))}}}"
        )
    return len(there) == len(TABLES)


def remove(folder: Path) -> None:
    """Remove the tables of `folder` that were written here, so that they are written again; others stay.

    Raises:
        UserError: The disk is read-only.
    """
    if (folder / RECORD).is_file():
        with explain_os_errors(folder):
            for name in (*TABLES, RECORD):  # the record last: killed in between, the rest are known for ours
                (folder / name).unlink(missing_ok=True)


def write(folder: Path, key: dict[str, Any], train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Write the four tables, and beside them their key.

    Args:
        train, test: The columns image (a path relative to `folder`, or absolute), label, and others to keep. Ids are
            the paths without the folder and the ending that all have in common.

    Raises:
        UserError: A column is called id, a split has no rows, or the disk is full or read-only.
    """
    for part, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise UserError(f"{folder}: there is no picture to {'train' if part == 'train' else 'validate'} with")
        if "id" in rows:
            raise UserError(f"{folder}: a column is called 'id', as the rows' own ids are: call it something else")
    ids = ids_of([*train["image"], *test["image"]])
    train, test = train.assign(id=ids[: len(train)]), test.assign(id=ids[len(train) :])
    columns = ["id", "image", *(name for name in train if name not in ("id", "image", "label"))]
    least = min(train["label"])  # the sample's label of every row
    tables = {
        "train.csv": train[[*columns, "label"]],
        "test.csv": test[columns],
        "sample_submission.csv": test[["id"]].assign(label=least),
        "solution.csv": test[["id", "label"]].assign(Usage="Public"),
    }
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # the record first: killed in between, the tables are known for ours, and those that lack are written
    write_json(folder / RECORD, key)
    for name, df in reversed(tables.items()):
        with replacing(folder / name) as part:
            df.to_csv(part, index=False, lineterminator="\n")
    print(f"wrote {len(train):,} train rows and {len(test):,} to validate on to {folder}")


def ids_of(images: Sequence[str]) -> list[str]:
    """Return the images' paths without the folder and the ending that all have in common."""
    inside = {os.path.dirname(image) for image in images}
    common = os.path.commonpath(inside) if len(set(map(os.path.isabs, inside))) == 1 else ""
    names = [image[len(common) :].lstrip("/") for image in images]
    endings = {os.path.splitext(name)[1] for name in names}
    ending = endings.pop() if len(endings) == 1 else ""
    return [name.removesuffix(ending) for name in names]


def check_complete(folder: Path, train: pd.DataFrame, test: pd.DataFrame, remedy: str) -> None:
    """Raise a UserError where pictures that the tables name are not there."""

    @functools.cache
    def files_in(inside: str) -> set[str]:
        return set(os.listdir(inside)) if os.path.isdir(inside) else set()

    images = [*train["image"], *test["image"]]
    paths = [os.path.split(folder / image) for image in images]
    missing = [image for image, (inside, name) in zip(images, paths, strict=True) if name not in files_in(inside)]
    if missing:
        raise UserError(
            f"{counted(len(missing), 'picture')} of {len(images):,} of the data set are missing below {folder}, such "
            f"as {missing[0]}: {remedy}"
        )


def split(labels: Sequence[str], groups: Sequence[str] | None, share: float, seed: int) -> np.ndarray:
    """Choose the rows to validate on, a fixed share of each class: (n,) bool. Rows of one group stay together.

    A class with fewer than three rows stays where it can be learnt.
    """
    y, rng = np.asarray(labels), np.random.default_rng(seed)
    held_out = np.zeros(len(y), bool)
    if groups is not None:
        return folds.first_fold(y, np.asarray(groups), max(2, round(1 / share)), seed)
    for label in sorted(set(labels)):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) >= 3:
            held_out[rows[: max(1, round(share * len(rows)))]] = True
    return held_out


def link_inputs(folder: Path, inside: str = "") -> None:
    """Link what INPUT_DIR/<slug>/ has into `folder`, a place of our own where that is read-only; once.

    Its folder `inside` is not linked, but a folder with links: an archive in it is unpacked beside it.

    Raises:
        UserError: The disk is full or read-only.
    """
    there = input_root() / folder.name
    if folder.exists() or not there.is_dir():
        return
    ours = (*TABLES, RECORD, inside)
    with replacing_folder(folder) as part:
        for below in {"", inside}:
            (part / below).mkdir(exist_ok=True)
            entries = [path for path in (there / below).glob("*") if below or path.name not in ours]
            for path in entries:
                (part / below / path.name).symlink_to(path.absolute())


class DataSet(Source):
    """The base of all sources of data sets: fetch the library's files, then write the tables."""

    mark: ClassVar[str] = RECORD

    train: str = "train"
    test: str  # the split that is validated on

    @property
    def key(self) -> dict[str, Any]:
        """The facts that the tables depend on."""
        return {"source": type(self).__name__, **self.model_dump(exclude={"slug"})}

    def fetch(self, input_dir: Path) -> None:
        folder = input_dir / self.slug
        if not is_written(folder, self.key):
            write(folder, self.key, *self.rows(folder))

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows to train on and to validate on: image (relative to `folder`, or absolute), label, and groups."""
        raise NotImplementedError


def slug_of(name: str) -> str:
    """Return the name as a folder's: other characters than letters, digits and _.- become a -."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip("_.-") or "data-set"


def check_splits(source: DataSet, name: str, known: dict[str, int]) -> DataSet:
    """Return the source; a ValueError lists the splits where it names one that does not exist, or one twice."""
    for split in (source.train, source.test):
        if split not in known:
            raise ValueError(f"{name}: {unknown('split', split, known)}")
    if source.train == source.test:
        raise ValueError(f"{name}: train and test are both {source.train!r}: validate on another split")
    return source


def check_published(
    name: str, folder: Path, parts: dict[str, pd.DataFrame], sizes: dict[str, int], remedy: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the two splits of a data set; a UserError where rows or pictures are not there as it was published."""
    remedy = f"the unpacking stopped, perhaps: {remedy}"
    for split, df in parts.items():
        have, want = len(df), sizes[split]
        if have != want:
            raise UserError(f"{name}: its split {split!r} has {have:,} rows here, and {want:,} as published: {remedy}")
    train, test = parts.values()
    check_complete(folder, train, test, remedy)
    return train, test
