"""Pictures of your own as a data set: what is found in folders of them, or in a CSV."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from src.base.errors import UserError, counted, listed, unknown
from src.base.files import digest, sha256
from src.base.paths import ROOT
from src.data import images
from src.data.sources import written
from src.data.sources.written import DataSet, slug_of
from src.schema.strict import Text

TRAIN = ("train", "training")
TEST = ("val", "valid", "validation", "test", "testing")  # the first that is there is validated on


class Folder(DataSet):
    """Pictures of your own: a folder a class, or a CSV with a column of images and one of labels.

    Folder("input/pets"): input/pets/<class>/*.jpg; with folders train and val (or valid, validation, test) in between,
    these are the splits. Folder("pets/labels.csv", image="file", label="breed"): the images relative to the CSV. Its
    other columns are kept, and a column named by split=... says of each row which split it is of. Where there are no
    splits, a fixed share of each class is held out, and with group=... the rows that share its value stay together.

    The tables are written to input/<slug>/, the slug being the folder's name. Paths are relative to the repository's
    folder, or absolute.
    """

    path: Text
    train: str = ""  # names of splits; empty: found
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
        return {**super().key, "files": state_of(ROOT / Path(self.path).expanduser())}

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        return rows_of(self, ROOT / Path(self.path).expanduser(), folder)


def rows_of(source: Folder, path: Path, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to train on and to validate on: image, relative to `folder` where it lies there, label, and others.

    Raises:
        UserError: There is no picture, a column is missing, a split does not exist, or classes do not fit.
    """
    train, test = of_folders(source, path) if path.is_dir() else of_csv(source, path)
    if test is None:
        if source.group is not None and source.group not in train:
            raise UserError(f"{path}: {unknown('column', source.group, train.columns)}")
        train = train.sort_values("image").reset_index(drop=True)
        groups = train[source.group].tolist() if source.group else None
        held_out = written.split(train["label"].tolist(), groups, source.share, source.seed)
        print(
            f"{path} has no split to validate on: {held_out.sum()} of {len(train)} rows are held out, always the same"
        )
        train, test = train[~held_out].reset_index(drop=True), train[held_out].reset_index(drop=True)
    classes_fit(path, train, test)
    for rows in (train, test):
        rows["image"] = [
            relative_path(path if path.is_dir() else path.parent, image, folder) for image in rows["image"]
        ]
    written.check_complete(folder, train, test, f"put them there, or take their rows out of {path}")
    return train, test


def state_of(path: Path) -> str:
    """What is there, in short: a picture more or less, or another line of a CSV, is another state.

    Raises:
        UserError: There is neither a folder nor a file.
    """
    if path.is_dir():
        return digest([file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if is_picture(file)])
    if path.is_file():
        return sha256(path)
    raise UserError(f"there is no folder or CSV file {path}: put the pictures there, or fix the path")


def is_picture(file: Path) -> bool:
    return images.is_picture(file.name) and not images.is_hidden(file.name) and file.is_file()


def relative_path(root: Path, image: str, folder: Path) -> str:
    """A picture's path, relative to `folder` where it lies below it."""
    path = Path(os.path.abspath(root / image))
    below = Path(os.path.abspath(folder))
    return path.relative_to(below).as_posix() if path.is_relative_to(below) else path.as_posix()


def classes_fit(path: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    known = sorted(set(train["label"]))
    if len(known) < 2:
        raise UserError(f"{path} has {counted(len(known), 'class')} to learn ({', '.join(known)}): two are needed")
    if strange := sorted(set(test["label"]) - set(known)):
        raise UserError(
            f"{path}: {counted(len(strange), 'class')} to validate on cannot be learnt, no picture to train on has it: "
            f"{', '.join(map(repr, strange[:5]))}"
        )


def folders_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def pictures(path: Path, root: Path, name: str) -> pd.DataFrame:
    """The pictures in <path>/<class>/, by class."""
    rows = []
    for label in folders_in(path):
        found = sorted(file.relative_to(root).as_posix() for file in (path / label).rglob("*") if is_picture(file))
        rows += [(image, label) for image in found]
    if not rows:
        raise UserError(f"{path} has no pictures in folders, one a class{name}: {', '.join(images.ENDINGS)} are seen")
    return pd.DataFrame(rows, columns=["image", "label"])


def of_folders(source: Folder, path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    if source.split is not None:
        raise UserError(f"{path}: split={source.split!r} is a CSV's column, and this is a folder: leave it out")
    inside = folders_in(path)
    lower = {name.lower(): name for name in inside}
    trains = [source.train] if source.train else [lower[name] for name in TRAIN if name in lower]
    tests = [source.test] if source.test else [lower[name] for name in TEST if name in lower]
    for split in (source.train, source.test):
        if split and split not in inside:
            raise UserError(f"{path}: {unknown('split', split, inside)}")
    # a folder called test beside classes may be a class: it is a split where train is one, or where it has the classes
    if not trains and not source.test:
        tests = [name for name in tests if set(folders_in(path / name)) & (set(inside) - set(tests))]
    if not trains and not tests:
        return pictures(path, path, ""), None
    if not trains:
        df = pictures(path, path, "")
        top = df["image"].str.split("/").str[0]
        train = df[~top.isin(tests)].reset_index(drop=True)
    else:
        train = pictures(path / trains[0], path, f" of {trains[0]}")
    if not tests:
        return train, None
    if len(tests) > 1:
        print(f"{path}: {tests[0]} is validated on, and {', '.join(tests[1:])} left alone")
    return train, pictures(path / tests[0], path, f" of {tests[0]}")


def of_csv(source: Folder, path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    from src.base.files import read_csv  # which reads configs, and these name sources

    df = read_csv(path)
    for column in (source.image, source.label, *([source.split] if source.split else ())):
        if column not in df:
            raise UserError(f"{path}: {unknown('column', column, df.columns)}")
    faults = [
        f"{path}: {column} is empty in {counted(n, 'row')}"
        for column in (source.image, source.label)
        if (n := int((df[column] == "").sum()))
    ]
    faults += [
        f"{path}: the image {image!r} stands in {n} rows"
        for image, n in df[source.image].value_counts().items()
        if n > 1
    ]
    if faults:
        raise UserError(f"{counted(len(faults), 'fault')} to fix:\n{listed(faults)}")
    df = df.rename(columns={source.image: "image", source.label: "label"})
    df = df.drop(columns=[name for name in df if name == "id"])  # rows get ids of their paths
    if source.split is None:
        return df, None
    have = sorted(set(df[source.split]))
    lower = {name.lower(): name for name in have}
    train = source.train or next((lower[name] for name in TRAIN if name in lower), "train")
    test = source.test or next((lower[name] for name in TEST if name in lower), "val")
    for split in (train, test):
        if split not in have:
            raise UserError(f"{path}: {unknown('split', split, have)}")
    return tuple(df[df[source.split] == split].reset_index(drop=True) for split in (train, test))
