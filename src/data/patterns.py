"""Tables that are folders: a pattern such as train/{species}/{file} lists the pictures that fit it, a row each."""

import functools
import itertools
import os
import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from src.base.errors import UserError, counted, listed
from src.data.images import choose, is_hidden, is_picture

ANY_ENDING = ".*"  # of a name: that of any picture
ALIKE = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".dicom": ".dcm"}  # endings of one format


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


def read(folder: Path, pattern: str, images: Path, apart: Collection[str] = ()) -> pd.DataFrame:
    """Return a row for each picture below `folder` that fits the pattern, sorted by path, but for the folders `apart`.

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
    apart = tuple(f"{one}/" for one in apart if one)
    for path in sorted(pictures(start)):
        inside = path.relative_to(folder).as_posix()
        if inside.startswith(apart) and not f"{fixed_folder(pattern)}/".startswith(apart):
            continue
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


def locate(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the files below `folder` that a table names.

    A name that ends with .* is that of the one picture which has it with any ending; 1.jpg is that of 1.JPG or 1.jpeg
    where there is no other. A letter with an accent may be one sign or two in the file's name (NFC, NFD), whatever it
    is in the table. A name that no file has is as it is written.

    Raises:
        UserError: Several pictures differ from a name by their ending alone.
    """
    listings = functools.cache(lambda inside: Listing(folder / inside))

    def located(name: str) -> Path:
        inside, file = os.path.split(name)
        if not inside.isascii():
            parts, inside = PurePosixPath(inside).parts, ""
            for part in parts:
                inside = os.path.join(inside, listings(inside).spelt(part))
        return folder / os.path.join(inside, listings(inside).spelt(file))

    return [located(name) for name in names]


def describe_other_endings(names: Iterable[str], paths: Iterable[Path]) -> list[str]:
    """Return a sentence on the pictures that were found by another ending than their names'; nothing where none was."""
    pairs = ((os.path.basename(name), path.name) for name, path in zip(names, paths, strict=True))
    others = [
        (name, found)
        for name, found in pairs
        if name != found and not name.endswith(ANY_ENDING) and composed(name) != composed(found)
    ]
    if not others:
        return []
    (name, found), n = others[0], counted(len(others), "picture")
    return [f"{n} found by another spelling of the ending, such as {found} for {name}"]


class Spellings:
    """Names of files, or their paths, and the ways in which a table may spell them."""

    def __init__(self, names: Collection[str]):
        self.names = names

    def find(self, name: str) -> list[str]:
        """Return all that a name may be: itself where it is there, or those that it spells; empty if there is none."""
        if name in self.names:
            return [name]
        if name.endswith(ANY_ENDING):
            return self.by_stem.get(composed(name.removesuffix(ANY_ENDING)), [])
        if (letters := self.by_letters.get(composed(name))) is not None:
            return [letters]
        return self.by_ending.get(plain_ending(name), [])

    @functools.cached_property
    def by_letters(self) -> dict[str, str]:
        """{a name, composed: that name}."""
        return {composed(name): name for name in self.names}

    @functools.cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """{a name without its ending, composed: the pictures that are called so}."""
        return self.pictures_by(lambda name: os.path.splitext(composed(name))[0])

    @functools.cached_property
    def by_ending(self) -> dict[str, list[str]]:
        """{a name with its ending as `plain_ending` spells it: the pictures that are called so}."""
        return self.pictures_by(plain_ending)

    def pictures_by(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        pictures = defaultdict(list)
        for name in sorted(filter(is_picture, self.names)):
            pictures[key(name)].append(name)
        return {key: choose(names) if len(names) > 1 else names for key, names in pictures.items()}


class Listing(Spellings):
    """The names in a folder, and how they are found."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            super().__init__(set(os.listdir(folder)))
        except OSError:  # it is not there, or not to be read: its files are missing
            super().__init__(set())

    def spelt(self, name: str) -> str:
        """The name as the folder has it; itself where it has none."""
        found = self.find(name) or [name]
        if len(found) > 1:
            raise UserError(f"{self.folder / name} is not one picture, but {', '.join(found)}: leave one of them there")
        return found[0]


def composed(name: str) -> str:
    """The name with a sign for each letter, however it is spelt: those that look alike are alike."""
    return unicodedata.normalize("NFC", name)


def plain_ending(name: str) -> str:
    """The name, composed, with one spelling of its ending: that of 1.JPG, 1.jpeg and 1.jpg is 1.jpg."""
    stem, ending = os.path.splitext(composed(name))
    return stem + ALIKE.get(ending.lower(), ending.lower())
