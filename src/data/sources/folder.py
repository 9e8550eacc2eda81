"""Pictures of your own as a data set: folders of them, or a CSV."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from src.base.csvs import read_csv
from src.base.errors import UserError, counted, listed, unknown
from src.base.files import digest, sha256
from src.base.paths import expanded, resolve
from src.data import images, labels, locating, patterns
from src.data.sources import written
from src.data.sources.written import DataSet, slug_of
from src.data.tables import differences, to_groups, without_repeats
from src.schema.strict import Text
from src.scoring.targets import TARGETS

TRAIN = ("train", "training")
TEST = ("val", "valid", "validation", "test", "testing")  # the first that is there is validated on


class Folder(DataSet):
    """Pictures of your own: a folder a class, or a CSV with a column of images and one of labels.

    Folder("input/pets"): input/pets/<class>/*.jpg; with folders train and val (or valid, validation, test) in between,
    these are the splits. Folder("pets/labels.csv", image="file", label="breed"): the images relative to the CSV, by a
    column or a pattern over columns: image="images/{id}.jpg", or .* for any ending. Its other columns are kept, and a
    column named by split=... says of each row which split it is of. Where there are no splits, a fixed share of each
    class is held out, and with group=... the rows that share its value stay together. With task="labels" a cell of the
    CSV has several labels with a separator between them, or none, and with task="number" a number.

    The tables are written to input/<slug>/, the slug being the folder's name. Paths are relative to the repository's
    folder, or absolute.
    """

    path: Text
    train: str = ""  # names of splits; empty: those of the usual names
    test: str = ""
    image: Text = "image"
    label: Text = "label"
    split: Text | None = None
    group: Text | None = None
    task: Literal["class", "labels", "number"] = Field(default="class", exclude_if=lambda value: value == "class")
    separator: str = Field(default=" ", min_length=1, exclude_if=lambda value: value == " ")  # of labels in a cell
    share: float = Field(default=0.2, gt=0, lt=0.9)  # held out where there are no splits
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def columns_fit(self):
        for field, column in (("split", self.split), ("group", self.group)):
            if column in (self.image, self.label):
                what = "pictures" if column == self.image else "labels"
                raise ValueError(f"{field}: {column!r} is the column of {what}: name another, or leave {field} out")
        return self

    @property
    def is_users_own(self) -> bool:
        return True

    def __init__(self, path: str, **fields):
        where = expanded(str(path))
        named = where.stem if where.suffix.lower() == ".csv" else where.name
        super().__init__(path=path, **{"slug": slug_of(named), **fields})

    @property
    def key(self) -> dict[str, Any]:
        return {**super().key, "files": fingerprint(resolve(self.path))}

    def rows(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        path = resolve(self.path)
        train, test = read_folders(self, path) if path.is_dir() else read_table(self, path)
        if self.task == "number":
            require_numbers(path, train["label"] if test is None else pd.concat([train["label"], test["label"]]))
        if test is None:
            train, test = hold_out(self, path, train)
        if self.task != "number":
            require_classes(self, path, train, test)
        root = path if path.is_dir() else path.parent
        for rows in (train, test):
            rows["image"] = [relative_path(root, image, folder) for image in rows["image"]]
        written.check_complete(folder, train, test, f"put them there, or take their rows out of {path}")
        return train, test


def hold_out(source: Folder, path: Path, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows where there are no splits, always in the same way.

    Raises:
        UserError: There is no such column of groups, or no class that has a row to spare.
    """
    if source.group is not None and source.group not in df:
        raise UserError(f"{path}: {unknown('column', source.group, df.columns)}")
    df = df.sort_values("image").reset_index(drop=True)
    groups = to_groups(df[source.group], df["image"]) if source.group else None
    held_out = written.split(strata(source, df["label"]), groups, source.share, source.seed)
    if not held_out.any():
        splits = "column of splits" if path.is_file() else "folder train and a folder val around the classes"
        why = "all rows are of one group" if source.group else "no class has 3 pictures, of which one is held out"
        raise UserError(f"{path}: {why}: add pictures, or make a {splits}")
    print(f"{path} has no split to validate on: {held_out.sum()} of {len(df)} rows are held out, always the same")
    return df[~held_out].reset_index(drop=True), df[held_out].reset_index(drop=True)


def fingerprint(path: Path) -> str:
    """A digest of the files at `path`: a picture more or less, or another line of a CSV, changes it."""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in sorted(patterns.pictures(path)) if file.is_file()]
        patterns.require_utf8(names)
        return digest(names)
    if path.is_file():
        return sha256(path)
    raise UserError(f"there is no folder or CSV file {path}: put the pictures there, or fix the path")


def relative_path(root: Path, image: str, folder: Path) -> str:
    """Return a picture's path, relative to `folder` where it lies below it."""
    path = Path(os.path.abspath(root / image))
    below = Path(os.path.abspath(folder))
    return path.relative_to(below).as_posix() if path.is_relative_to(below) else path.as_posix()


def labels_of(source: Folder, cell: str) -> set[str]:
    """Return the labels in a cell."""
    return set(labels.parts(cell, source.separator)) if source.task == "labels" else {cell}


def strata(source: Folder, cells: pd.Series) -> list[str]:
    """Return what rows have in common of which a share is held out: the class, the rarest label, tenths of numbers."""
    if source.task == "number":
        return [str(one) for one in TARGETS["number"].strata(cells.to_numpy(float))]
    rows = Counter(label for cell in cells for label in labels_of(source, cell))
    return [min(labels_of(source, cell), key=lambda label: (rows[label], label), default="") for cell in cells]


def require_numbers(path: Path, cells: pd.Series) -> None:
    if len(bad := cells[pd.to_numeric(cells, errors="coerce").isna()]):
        raise UserError(f"{path}: {counted(len(bad), 'label')} are no numbers, such as {bad.iloc[0]!r}: correct them")


def require_classes(source: Folder, path: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    known, tested = (sorted({one for cell in df["label"] for one in labels_of(source, cell)}) for df in (train, test))
    if len(known) < 2:
        raise UserError(f"{path} has {counted(len(known), 'class')} to learn ({', '.join(known)}): two are needed")
    if strange := sorted(set(tested) - set(known)):
        n, names = counted(len(strange), "class"), ", ".join(map(repr, strange[:5]))
        raise UserError(f"{path}: {n} to validate on cannot be learnt, no picture to train on has it: {names}")


def folders_in(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not images.is_hidden(entry.name))


def pictures(path: Path, root: Path, name: str, apart: Collection[str] = ()) -> pd.DataFrame:
    """The pictures in <path>/<class>/, by class; the folders `apart` are none."""
    rows, classes = [], [label for label in folders_in(path) if label not in apart]
    for label in classes:
        files = [file for file in patterns.pictures(path / label) if file.is_file()]
        require_one_class(path / label, files, set(classes) - {label})
        rows += [(image, label) for image in sorted(file.relative_to(root).as_posix() for file in files)]
    if not rows:
        raise UserError(f"{path} has no pictures in folders, one a class{name}: {', '.join(images.ENDINGS)} are seen")
    return pd.DataFrame(rows, columns=["image", "label"])


def require_one_class(folder: Path, files: list[Path], others: set[str]) -> None:
    """Raise a UserError where a class's pictures lie in folders that are called as other classes."""
    inside = {part for file in files for part in file.relative_to(folder).parts[:-1]}
    if strange := sorted(inside & others):
        raise UserError(
            f"{folder} has folders of other classes in it ({', '.join(strange[:5])}): if it is the set once more, move "
            f"it out of {folder.parent}, or name it alone, {folder}; if it is a class, rename the folders in it"
        )


def is_unlabelled(folder: Path, classes: set[str]) -> bool:
    """Return whether a split tells no labels: its pictures lie right in it, or in one folder that is no class's."""
    inside = [name for name in folders_in(folder) if any(patterns.pictures(folder / name))]
    return len(inside) < 2 and not classes.intersection(inside)


def report_left_out(path: Path, taken: set[str]) -> None:
    """Print how many files below `path` are not taken, and why, where there are any."""
    pictures, broken, others, seen = [], [], [], set(patterns.pictures(path))
    for file in sorted(patterns.visible_files(path)):
        name = file.relative_to(path).as_posix()
        if not file.exists():
            broken.append(name)
        elif file not in seen:
            others += [file] if name not in (*written.TABLES, written.RECORD) else []
        elif name not in taken:
            pictures.append(name)
    reasons = [patterns.count_endings(others)] if others else []
    if pictures:
        n = counted(len(pictures), "picture")
        reasons.append(f"{n} in no class's folder, or of a split left alone, such as {pictures[0]}")
    if broken:
        reasons.append(f"{counted(len(broken), 'link')} to what is not there, such as {broken[0]}")
    if reasons:
        print(f"{path}: left out: {'; '.join(reasons)}")


def splits_in(names: list[str], configured: str, usual: tuple[str, ...]) -> list[str]:
    """The configured split, or else those of the usual names that there are."""
    lower = {name.lower(): name for name in names}
    return [configured] if configured else [lower[name] for name in usual if name in lower]


def require_two(path: Path, train: str, test: str) -> None:
    """Raise a UserError where what is learnt would be validated on."""
    if train == test:
        raise UserError(f"{path}: {train!r} is the split to learn from and to validate on: name another")


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
        classes = [name for name in inside if name.lower() in TEST and name not in tests]
        for name in [name for name in classes if any(patterns.pictures(path / name))]:
            print(f"{path}: the folder {name} is a class like the others: move it out of there if it is none")
    train = pictures(path / trains[0], path, f" of {trains[0]}") if trains else pictures(path, path, "", tests)
    if not source.test:
        for name in [name for name in tests if is_unlabelled(path / name, set(train["label"]))]:
            print(f"{path}: {name} has no folder of a class, so its pictures have no labels and are left alone")
            tests.remove(name)
    if len(tests) > 1:
        print(f"{path}: {tests[0]} is validated on, and {', '.join(tests[1:])} left alone")
    if trains and tests:
        require_two(path, trains[0], tests[0])
    test = pictures(path / tests[0], path, f" of {tests[0]}") if tests else None
    report_left_out(path, {*train["image"], *(() if test is None else test["image"])})
    return train, test


def one_row_a_picture(source: Folder, path: Path, df: pd.DataFrame) -> pd.DataFrame:
    """Return a CSV's rows without those that repeat another, of which how many there are is printed.

    Raises:
        UserError: Lists the pictures with several rows that differ in what a run needs.
    """
    columns = [column for column in ("image", "label", source.split, source.group) if column in df]
    df = without_repeats(df, "image", columns)
    for left_out in df.attrs["passed_over"]:
        print(f"passed over in {path}: {left_out}")
    twice = df[df.duplicated("image", keep=False)].groupby("image", sort=False)
    if len(twice):
        faults = [f"{image!r} stands in {len(rows)} rows{differences(rows, columns)}" for image, rows in twice]
        n, remedy = counted(len(twice), "picture"), "leave one row of each there"
        raise UserError(f"{path} has rows of {n} that contradict each other: {remedy}\n{listed(faults)}")
    return df


def read_table(source: Folder, path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Read a CSV's rows to train on and, where it has a column of splits, to validate on."""
    df, columns = read_csv(path), patterns.fields(source.image) or [source.image]
    for column in (*columns, source.label, *([source.split] if source.split else ())):
        if column not in df:
            raise UserError(f"{path}: {unknown('column', column, df.columns)}")
    for field, column in (("split", source.split), ("group", source.group)):
        if column in df and column in ("id", "image", "label"):
            own = f"the tables have a column {column!r} of their own"
            raise UserError(f"{path}: {field}={column!r}: {own}: rename it in the CSV")
    for column in columns if source.task == "labels" else (*columns, source.label):
        if (blank := df.index[df[column] == ""]).size:
            row = ", ".join(df.loc[blank[0], list(dict.fromkeys((*columns, source.label)))])
            raise UserError(f"{path}: {column} is empty in {counted(len(blank), 'row')}, the first of them {row!r}")
    passed_over = df.attrs["passed_over"]
    if patterns.is_pattern(source.image):
        named = patterns.fill_rows(source.image, df)
    else:
        named = df[source.image]
        df = df.drop(columns=source.image)
    files = locating.locate(path.parent, named)
    for note in locating.describe_other_endings(path.parent, named, files):
        print(f"{path}: {note}")
    if source.label != "label":
        df = df.drop(columns="label", errors="ignore").rename(columns={source.label: "label"})
    df["image"] = [os.path.relpath(file, path.parent) for file in files]  # one spelling of each path
    df = df.drop(columns="id", errors="ignore")  # rows get ids of their paths
    df.attrs["passed_over"] = passed_over
    df = one_row_a_picture(source, path, df)
    if source.split is None:
        return df, None
    have = sorted(set(df[source.split]))
    train = [*splits_in(have, source.train, TRAIN), "train"][0]
    test = [*splits_in(have, source.test, TEST), "val"][0]
    for split in (train, test):
        if split not in have:
            raise UserError(f"{path}: {unknown('split', split, have)}")
    require_two(path, train, test)
    return tuple(df[df[source.split] == split].reset_index(drop=True) for split in (train, test))
