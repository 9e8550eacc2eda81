"""Tables that are folders: a pattern such as train/{species}/{file} lists the pictures that fit it, a row each."""

import os
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from src.base.errors import UserError, counted, listed
from src.data.images import is_hidden, is_picture


def is_pattern(table: str) -> bool:
    """Return whether a config's `train` or `test` lists files instead of naming one."""
    return "{" in table


def read(folder: Path, pattern: str, images: Path) -> pd.DataFrame:
    """Return a row for each picture below `folder` that fits the pattern, sorted by path.

    Columns are the pattern's fields, all text, and the picture's path from the folder `images`: see `path_column`. A
    field is one or more characters of one folder's or file's name; where two could share them, the first takes as many
    as it can. Hidden files and other files than pictures are passed over.

    Raises:
        UserError: The pattern is none, its folder is not there, or pictures in it do not fit.
    """
    expression, fields = compile_pattern(pattern)
    start = folder / fixed_folder(pattern)
    if not start.is_relative_to(images):
        raise UserError(f"the pictures of {pattern!r} are not below {images}: leave images= out of the config")
    if not start.is_dir():
        raise UserError(f"{start} is missing, whose pictures {pattern!r} lists: is the competition's data whole?")
    rows, others = [], []
    for path in sorted(pictures(start)):
        inside = path.relative_to(folder).as_posix()
        if match := expression.fullmatch(inside):
            rows.append([*match.groups(), path.relative_to(images).as_posix()])
        else:
            others.append(inside)
    if others:
        raise UserError(
            f"{counted(len(others), 'picture')} in {start} not of the pattern {pattern!r}: move them away, or fix the "
            f"pattern\n{listed(others)}"
        )
    return pd.DataFrame(rows, columns=[*fields, path_column(pattern)], dtype=object)


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
    """Yield all pictures below a folder that are not hidden."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(parent, name) for name in names if is_picture(name) and not is_hidden(name))
