"""Pictures of your own as a data set: folders of them, or a CSV."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from src.base.errors import UserError, counted, listed, unknown
from src.base.files import digest, read_csv, sha256
from src.base.paths import resolve
from src.data import images
from src.data.sources import written
from src.data.sources.written import DataSet, slug_of
from src.data.tables import to_groups, without_repeats
from src.schema.strict import Text

TRAIN = ("train", "training")
TEST = ("val", "valid", "validation", "test", "testing")  # the first that is there is validated on


class Folder(DataSet):
    """Pictures of your own: a folder a class, or a CSV with a column of images and one of labels.

    Folder("input/pets"): input/pets/<class>/*.jpg; with folders train and val (or valid, validation, test) in between,
    these are the splits. Folder("pets/labels.csv", image="file", label="breed"): the images relative to the CSV. Its
    other columns are kept, and a column named by split=... says of each row which split it is of. Where there are no
    splits, a fixed share of each class is held out, and with group=... the rows that share its value stay together.

    The tables are written to input/<slug>/, the slug being the folder's name; where that is read-only, as in a Kaggle
    notebook, to .input/<slug>/ below SUBMISSIONS_DIR. Paths are relative to the repository's
    folder, or absolute.
    """

    path: Text
    train: str = ""  # names of splits; empty: those of the usual names
    test: str = ""
    image: Text = "image"
    label: Text = "label"
    split: Text | None = None
    group: Text | None = None
    share: float = Field(default=0.2, gt=0, lt=0.9)  # held out where there are no splits
    seed: int = Field(default=0, ge=0)

    def __init__(self, path: str, **fields):
        where = Path(str(path)).expanduser()
        named = where.stem if where.suffix.lower() == ".csv" else where.name
        super().__init__(path=path, **{"slug": slug_of(named), **fields})

    @property
    def key(self) -> dict[str, Any]:
        return {**super().key, "files": fingerprint(resolve(self.path))}

    @property
    def root(self) -> Path:
        return written.root(self.slug)

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        path = resolve(self.path)
        train, test = read_folders(self, path) if path.is_dir() else read_table(self, path)
        if test is None:
            train, test = hold_out(self, path, train)
        require_classes(path, train, test)
        root = path if path.is_dir() else path.parent
        for rows in (train, test):
            rows["image"] = [relative_path(root, image, folder) for image in rows["image"]]
        written.check_complete(folder, train, test, f"put them there, or take their rows out of {path}")
        return train, test


def hold_out(source: Folder, path: Path, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows where there are no splits, always in the same way."""
    if source.group is not None and source.group not in df:
        raise UserError(f"{path}: {unknown('column', source.group, df.columns)}")
    df = df.sort_values("image").reset_index(drop=True)
    groups = to_groups(df[source.group], df["image"]) if source.group else None
    held_out = written.split(df["label"].tolist(), groups, source.share, source.seed)
    print(f"{path} has no split to validate on: {held_out.sum()} of {len(df)} rows are held out, always the same")
    return df[~held_out].reset_index(drop=True), df[held_out].reset_index(drop=True)


def fingerprint(path: Path) -> str:
    """A digest of the files at `path`: a picture more or less, or another line of a CSV, changes it."""
    if path.is_dir():
        return digest([file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if is_picture(file)])
    if path.is_file():
        return sha256(path)
    raise UserError(f"there is no folder or CSV file {path}: put the pictures there, or fix the path")


def is_picture(file: Path) -> bool:
    return images.is_picture(file.name) and not images.is_hidden(file.name) and file.is_file()


def relative_path(root: Path, image: str, folder: Path) -> str:
    """Return a picture's path, relative to `folder` where it lies below it."""
    path = Path(os.path.abspath(root / image))
    below = Path(os.path.abspath(folder))
    return path.relative_to(below).as_posix() if path.is_relative_to(below) else path.as_posix()


def require_classes(path: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    known = sorted(set(train["label"]))
    if len(known) < 2:
        raise UserError(f"{path} has {counted(len(known), 'class')} to learn ({', '.join(known)}): two are needed")
    if strange := sorted(set(test["label"]) - set(known)):
        n, names = counted(len(strange), "class"), ", ".join(map(repr, strange[:5]))
        raise UserError(f"{path}: {n} to validate on cannot be learnt, no picture to train on has it: {names}")


def folders_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def pictures(path: Path, root: Path, name: str) -> pd.DataFrame:
    """The pictures in <path>/<class>/, by class."""
    rows = []
    for label in folders_in(path):
        files = [file for file in (path / label).rglob("*") if is_picture(file)]
        rows += [(image, label) for image in sorted(file.relative_to(root).as_posix() for file in files)]
    if not rows:
        raise UserError(f"{path} has no pictures in folders, one a class{name}: {', '.join(images.ENDINGS)} are seen")
    return pd.DataFrame(rows, columns=["image", "label"])


def splits_in(names: list[str], configured: str, usual: tuple[str, ...]) -> list[str]:
    """The configured split, or else those of the usual names that there are."""
    lower = {name.lower(): name for name in names}
    return [configured] if configured else [lower[name] for name in usual if name in lower]


def read_folders(source: Folder, path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Read the rows to train on and, where there is such a split, to validate on."""
    if source.split is not None:
        raise UserError(f"{path}: split={source.split!r} is a CSV's column, and this is a folder: leave it out")
    inside = folders_in(path)
    trains, tests = splits_in(inside, source.train, TRAIN), splits_in(inside, source.test, TEST)
    for split in (source.train, source.test):
        if split and split not in inside:
            raise UserError(f"{path}: {unknown('split', split, inside)}")
    # a folder called test beside classes may be a class: it is a split where train is one, or where it has the classes
    if not trains and not source.test:
        tests = [name for name in tests if set(folders_in(path / name)) & (set(inside) - set(tests))]
    if trains:
        train = pictures(path / trains[0], path, f" of {trains[0]}")
    else:
        train = pictures(path, path, "")
        train = train[~train["label"].isin(tests)].reset_index(drop=True)
    if not tests:
        return train, None
    if len(tests) > 1:
        print(f"{path}: {tests[0]} is validated on, and {', '.join(tests[1:])} left alone")
    return train, pictures(path / tests[0], path, f" of {tests[0]}")


def read_table(source: Folder, path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Read a CSV's rows to train on and, where it has a column of splits, to validate on."""
    df = read_csv(path)
    for column in (source.image, source.label, *([source.split] if source.split else ())):
        if column not in df:
            raise UserError(f"{path}: {unknown('column', column, df.columns)}")
    faults = [
        f"{path}: {column} is empty in {counted(n, 'row')}"
        for column in (source.image, source.label)
        if (n := int((df[column] == "").sum()))
    ]
    kept = (source.image, source.label, source.split, source.group)
    df = without_repeats(df, source.image, [column for column in kept if column is not None])
    for left_out in df.attrs["passed_over"]:
        print(f"passed over in {path}: {left_out}")
    repeats = df[source.image].value_counts()
    faults += [f"{path}: the image {image!r} stands in {n} rows" for image, n in repeats.items() if n > 1]
    if faults:
        raise UserError(f"{counted(len(faults), 'fault')} to fix:\n{listed(faults)}")
    df = df.rename(columns={source.image: "image", source.label: "label"})
    df = df.drop(columns="id", errors="ignore")  # rows get ids of their paths
    if source.split is None:
        return df, None
    have = sorted(set(df[source.split]))
    train = [*splits_in(have, source.train, TRAIN), "train"][0]
    test = [*splits_in(have, source.test, TEST), "val"][0]
    for split in (train, test):
        if split not in have:
            raise UserError(f"{path}: {unknown('split', split, have)}")
    return tuple(df[df[source.split] == split].reset_index(drop=True) for split in (train, test))
