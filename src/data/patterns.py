"""Tables that are folders: a pattern such as train/{species}/{file} lists the pictures that fit it, a row each."""

import itertools
import os
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from src.base.errors import UserError, counted, listed
from src.data.images import choose, is_hidden


def is_pattern(table: str) -> bool:
    """Return whether a config's `train` or `test` lists files instead of naming one."""
    return "{" in table


def fields(pattern: str) -> list[str]:
    """Return the names in braces of a pattern over columns; none of a column's name.

    Raises:
        UserError: Its braces do not close, or name no column.
    """
    try:
        names = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        raise UserError(f"the pattern {pattern!r} names nothing: {error}, as in images/{{id}}.jpg") from error
    return names


class OverColumns(string.Formatter):
    """Fills a pattern whose fields are names of columns as they are, such as `0` or `file.name`.

    {id!2} is the third sign of the column id, as folders are called in which each has a share of the pictures.
    """

    def get_field(self, field_name, args, kwargs):
        return kwargs[field_name], field_name

    def convert_field(self, value, conversion):
        if conversion is not None and conversion.isdigit():
            return value[int(conversion) :][:1]
        return super().convert_field(value, conversion)


def fill(pattern: str, row: Mapping[str, str]) -> str:
    """Return the name of a row by a pattern over its columns.

    Raises:
        KeyError: A field is none of the row's columns.
        ValueError: It is no pattern.
    """
    return OverColumns().vformat(pattern, (), row)


def fill_rows(pattern: str, df: pd.DataFrame) -> pd.Series:
    """Return the name of each row of a table, as `fill` does of one, but that a form has no columns in it.

    Raises:
        KeyError: A field is none of the columns.
        ValueError: It is no pattern.
    """
    names, filler = pd.Series("", df.index, dtype="str"), OverColumns()
    for text, field, form, conversion in filler.parse(pattern):
        names = names + text
        if field is None:
            continue
        cells = df[field]
        if form or conversion:
            cells = cells.map(lambda cell: filler.format_field(filler.convert_field(cell, conversion), form))  # noqa: B023 of this turn
        names = names + cells.astype("str")
    return names


def read(folder: Path, pattern: str, images: Path, apart: Collection[str] = ()) -> pd.DataFrame:
    """Return a row for each picture below `folder` that fits the pattern, sorted by path, but for the folders `apart`.

    Columns are the pattern's fields, all text, and the picture's path from the folder `images`: see `path_column`. A
    field is one or more characters of one folder's or file's name; where two could share them, the first takes as many
    as it can. Hidden files and other files than pictures are passed over.

    Raises:
        UserError: The pattern is none, its folder is not there, or pictures in it do not fit, or have no name in UTF-8.
    """
    expression, fields = compile_pattern(pattern)
    start = folder / fixed_folder(pattern)
    if not start.is_relative_to(images):
        raise UserError(f"the pictures of {pattern!r} are not below {images}: leave images= out of the config")
    if not start.is_dir():
        raise UserError(f"{start} is missing, whose pictures {pattern!r} lists: is the competition's data whole?")
    columns, others = [[] for _ in [*fields, "path"]], []
    apart = tuple(f"{one}/" for one in apart if one)
    before, before_images = (len((one / "x").as_posix()) - 1 for one in (folder, images))
    paths = sorted((path.as_posix() for path in pictures(start)), key=lambda path: path.replace("/", "\0"))
    require_utf8(paths)
    for path in paths:
        inside = path[before:]
        if inside.startswith(apart) and not f"{fixed_folder(pattern)}/".startswith(apart):
            continue
        if match := expression.fullmatch(inside):
            for column, cell in zip(columns, (*match.groups(), path[before_images:]), strict=True):
                column.append(cell)
        else:
            others.append(inside)
    if others:
        raise UserError(
            f"{counted(len(others), 'picture')} in {start} not of the pattern {pattern!r}: move them away, or fix the "
            f"pattern\n{listed(others)}"
        )
    return pd.DataFrame(dict(zip([*fields, path_column(pattern)], columns, strict=True)), dtype="str")


def require_utf8(names: Iterable[str]) -> None:
    """Raise a UserError where files have names that no table can have, such as those that an old archive has left."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(name).decode(errors="backslashreplace")
            raise UserError(f"{shown} has a name that is no UTF-8: rename it") from error


def compile_pattern(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """Return the expression that matches a path, with a group for each field, and the fields' names."""
    expression, fields = "", []
    try:
        for text, field, form, conversion in string.Formatter().parse(pattern):
            expression += re.escape(text)
            if field is None:
                continue
            if not field or field in fields or form or conversion:
                raise ValueError("a field is a name of its own in braces")
            expression += "([^/]+)"
            fields.append(field)
    except ValueError as error:
        raise UserError(f"the pattern {pattern!r} lists nothing: {error}, as in train/{{label}}/{{file}}") from error
    return re.compile(expression, re.DOTALL), fields


def path_column(pattern: str) -> str:
    """The name of the column of paths: image, unless a field of the pattern has it."""
    return "image" if "{image}" not in pattern else "image_path"


def fixed_folder(pattern: str) -> str:
    """The folder that all of its files are in: `train` of train/{species}/{file}."""
    return pattern.partition("{")[0].rpartition("/")[0]


def pictures(folder: Path) -> Iterator[Path]:
    """Yield all pictures below a folder that are not hidden: of each folder in it those that `images.choose` takes."""
    for parent, paths in itertools.groupby(visible_files(folder), key=lambda path: path.parent):
        yield from (parent / name for name in choose(path.name for path in paths))


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder that are not hidden, nor in a hidden folder below it.

    Links to folders are followed, but for those to a folder that they lie in; links that lead nowhere are files.

    Raises:
        UserError: A folder cannot be read.
    """
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name) and not leads_up(Path(parent, name))]
        yield from (Path(parent, name) for name in names if not is_hidden(name))


def count_endings(files: Iterable[Path]) -> str:
    """`3 files of other kinds (2 .heic, 1 .txt)`; "" of none."""
    endings = Counter(file.suffix.lower() or "without ending" for file in files)
    kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(endings.items()))
    return f"{counted(endings.total(), 'file')} of other kinds ({kinds})" if endings else ""


def refuse(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


def leads_up(folder: Path) -> bool:
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())
