"""The contents of a competition's folder: pictures, tables and lists of names."""

import contextlib
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import pandas as pd

from src.base import files
from src.base.csvs import read_csv
from src.base.errors import UserError
from src.base.text import examples
from src.commands.new import volumes
from src.data import coco, images, png, unpacking
from src.data.locating import Spellings, plain_ending
from src.data.patterns import visible_files

TABLES = (".csv", ".tsv", ".tab")
# Formats that pictures come in, and that are not read.
PACKED = (".zip", ".7z", ".tar", ".gz", ".tgz", ".rar", ".bz2")
SHEETS = (".xlsx", ".xls", ".ods")
LINES, COLUMNAR = (".jsonl", ".ndjson"), (".parquet", ".feather")
OTHERS = (".tfrec", ".tfrecord", ".h5", ".hdf5", *COLUMNAR, ".svs", ".nii", ".nii.gz", ".mha", ".nrrd")
OTHERS += (".bson", ".mat", ".mp4", ".avi", ".mov", ".mkv", ".webm")
TEXTS_READ = 20  # of the files that end with .txt, the uppermost: annotations may be in one for each picture
NAMED = re.compile(r"([^\W\d_]+(?:[_ -][^\W\d_]+)*)[._ (-]*\d")  # as cat.0.jpg is, great_dane_12.png
VALUE = re.compile(r"-?\d+(\.\d+)?")
MOST_WORDS = 20
LARGEST_JSON = 10_000_000  # bytes: a list of names is smaller


@dataclass(frozen=True)
class Contents:
    """Paths are relative to `root`, with slashes, and sorted."""

    root: Path
    pictures: dict[str, None]  # their paths
    tables: dict[str, pd.DataFrame]  # every cell is text
    lists: dict[str, dict[str, str]] = field(default_factory=dict)  # JSON files: {key: text}
    damaged: dict[str, str] = field(default_factory=dict)  # tables that are none: why
    passed_over: dict[str, str] = field(default_factory=dict)  # JSON files of something else: what they are
    packed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # in formats that are not read

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """{folder: the names of the pictures right in it}."""
        folders = defaultdict(list)
        for path in self.pictures:
            folder, _, name = path.rpartition("/")
            folders[folder].append(name)
        return dict(folders)

    @cached_property
    def named(self) -> dict[str, list[str]]:
        """{a picture's name, or that without its ending, by `plain_ending`: the paths of all that are called so}."""
        paths = defaultdict(list)
        for path in self.pictures:
            name = PurePosixPath(path)
            for one in (name.name, name.stem):
                paths[plain_ending(one)].append(path)
        return dict(paths)

    def has_named(self, names: Iterable[str]) -> bool:
        """Whether each of these is a picture's name, with its ending or without."""
        return all(plain_ending(name.rpartition("/")[2]) in self.named for name in names)

    @cached_property
    def spellings(self) -> Spellings:
        """The ways in which a table may spell the pictures' paths."""
        return Spellings(self.pictures)

    def picture(self, name: str) -> str:
        """The path of the picture that `locating.locate` finds by this name; the name itself where there is none."""
        found = self.spellings.find(name)
        return found[0] if len(found) == 1 else name

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """{folder: the names of its folders}, where these have pictures and it has none: folders a class."""
        classes = defaultdict(list)
        for folder in self.folders:
            above, _, name = folder.rpartition("/")
            if folder and above not in self.folders:
                classes[above].append(name)
        return {above: names for above, names in classes.items() if len(names) > 1}


def look(root: Path) -> Contents:
    """All files below `root`, but for hidden ones; a name that is not UTF-8 raises a UserError."""
    lists, frames, damaged, passed_over = {}, {}, {}, {}
    paths = sorted(path.relative_to(root).as_posix() for path in visible_files(root))
    texts = sorted((path for path in paths if path.lower().endswith(".txt")), key=lambda path: (path.count("/"), path))
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{root}: the name of {path!a} is not UTF-8: rename it") from error
        if path.lower().endswith(TABLES):
            try:
                frames[path] = read_csv(root / path)
            except UserError as error:
                damaged[path] = str(error)
        elif path.lower().endswith(SHEETS):
            damaged[path] = f"{root / path} is a spreadsheet: save it as CSV"
        elif path.lower().endswith(LINES):
            damaged[path] = f"{root / path} has a JSON object a line: save it as CSV"
        elif path in texts[:TEXTS_READ]:  # one may be a table, and most are none
            with contextlib.suppress(UserError):
                df = read_csv(root / path)
                if len(df) and len(df.columns) > 1 and not any(is_prose(df[column]) for column in df):
                    frames[path] = df
        elif coco.is_json(path) and (known := list_of_names(root / path)) is not None:
            lists[path] = known
        elif coco.is_json(path):
            try:
                frames[path] = coco.read(root / path)
            except coco.NoTable as error:
                passed_over[path] = str(error)
            except UserError as error:
                damaged[path] = str(error)
    others = tuple(one for one in paths if one.lower().endswith(OTHERS))
    apart = {*others, *unpacking.settled(root)}
    packed = tuple(one for one in paths if one.lower().endswith(PACKED) and one not in apart)
    pictures = dict.fromkeys(sorted(pictures_among(paths)))
    contents = Contents(root, pictures, frames, lists, damaged, passed_over, packed, others)
    for path in [path for path, df in frames.items() if lacks_header(df, contents)]:
        first = ",".join(frames.pop(path))
        damaged[path] = f"{root / path} has no header, but a row as its first line, {first}: put columns' names above"
    for path in [path for path, known in lists.items() if are_labels(known, contents)]:
        del lists[path]
        damaged[path] = f"{root / path} has a label for each picture's name: save it as CSV, with columns of both"
    return contents


def lacks_header(df: pd.DataFrame, contents: Contents) -> bool:
    """True if the names of a table's columns are a row: one names a picture, as its cells do, and one is a label."""
    ids = [
        column  # asked of its name first, which hardly any has and no table is read for
        for column in df
        if contents.has_named([column, *df[column].head(20)]) and df[column].is_unique and column not in {*df[column]}
    ]
    others = [column for column in df if column not in ids]
    return bool(ids) and (not others or any(column in {*df[column]} or VALUE.fullmatch(column) for column in others))


def are_labels(known: dict[str, str], contents: Contents) -> bool:
    """True of {picture's name: label}, where several have one; the names of classes are all different."""
    return len(set(known.values())) < len(known) and contents.has_named([*known][:20])


def pictures_among(paths: Iterable[str]) -> Iterator[str]:
    """The paths of pictures, of each folder those that `images.choose` takes."""
    names = defaultdict(list)
    for path in paths:
        folder, slash, name = path.rpartition("/")
        names[folder + slash].append(name)
    return (folder + name for folder, inside in names.items() for name in images.choose(inside))


def list_of_names(path: Path) -> dict[str, str] | None:
    """The names in a JSON file that is {key: name}, else None."""
    small = path.is_file() and path.stat().st_size < LARGEST_JSON
    known = files.read_json(path) if small else None
    if not isinstance(known, dict) or not all(isinstance(one, (str, int)) for one in known.values()):
        return None
    return {str(key): str(value) for key, value in known.items()} or None


def require_pictures(contents: Contents) -> None:
    """Raise a UserError if there is no picture, or the pictures are slices; it says what is there instead."""
    if contents.pictures:
        volumes.refuse(contents.root, contents.pictures, contents.tables)
        return
    if not contents.packed:
        volumes.refuse_numbers(contents.root)
    bare = sorted(path for path in visible_files(contents.root) if not path.suffix)[:TEXTS_READ]
    bare = [path.relative_to(contents.root).as_posix() for path in bare if begins_as_picture(path)]
    texts = [name for name, df in contents.tables.items() if any(is_prose(df[column]) for column in df)]
    for names, message in (
        (contents.packed, "no picture, but {}: unpack that there, then run again"),
        (bare, "no picture by its ending, but files that are some and have none, as {}: rename them, as 1 to 1.png"),
        (contents.others, "no picture that is read here, but {}: write them as PNG or JPEG files"),
        (texts, "no picture, but texts ({}): this is for competitions of pictures"),
        (contents.tables, "no picture, but tables ({}): this is for competitions of pictures"),
    ):
        if names:
            raise UserError(f"{contents.root} has {message.format(examples(names))}")
    raise UserError(f"{contents.root} has no picture and no table: is the competition's data whole?")


def begins_as_picture(path: Path) -> bool:
    """Whether a file, whatever its name is, is a PNG or a JPEG."""
    try:
        with path.open("rb") as file:
            return file.read(len(png.START)).startswith((png.START, images.JPEG))
    except OSError:
        return False


def picture_places(contents: Contents) -> str:
    """The places of some pictures, for a sentence on where they are not."""
    packed = f", and {examples(contents.packed)} is not unpacked" if contents.packed else ""
    others = f"; what is in {examples(contents.others)} is not read" if contents.others else ""
    return f"pictures lie as {examples(contents.pictures, 2)}{packed}{others}"


def other_spelling(contents: Contents, names: pd.Series) -> str:
    """A sentence on pictures that a column names in another case or folder, with backslashes or as 7.0; "" for none."""
    some = [name for name in names.head(20) if "/" in name or not contents.has_named([name])]
    by_case = {name.casefold(): paths[0] for name, paths in contents.named.items()}
    ends = [re.sub(r"\.0+$", "", re.split(r"[/\\]", name.strip())[-1]) for name in some]
    found = [by_case.get(plain_ending(end).casefold()) for end in ends]
    if not found or None in found:
        return ""
    return f"{names.name} has {some[0]!r}, and the file is {found[0]}: write the column as the files are called"


def not_read(contents: Contents) -> str:
    """The end of a sentence on what is not there: it may be in what is not unpacked or read; "" where nothing is."""
    tables = [name for name in contents.others if name.lower().endswith(COLUMNAR)]
    packed = f"; {examples(contents.packed)} is not unpacked: unpack that there, then run again"
    unread = f"; what is in {examples(tables)} is not read: if it is a table of labels, save it as CSV"
    return (packed if contents.packed else "") + (unread if tables else "")


def classes_in_names(contents: Contents) -> str:
    """What to do where the names of the pictures in a folder begin with few words, as cat.0.jpg; "" where none do."""
    for folder, names in contents.folders.items():
        found = Counter(match[1] for name in names if (match := NAMED.match(name)))
        words = sorted(word for word, n in found.items() if n > 1)
        if 2 <= len(words) <= MOST_WORDS and sum(found[word] for word in words) >= 0.9 * len(names):
            place, each = shlex.quote(str(contents.root / folder)), " ".join(map(shlex.quote, words))
            return (
                f"the pictures in {contents.root / folder} are called {examples(words)} and a number: if these are "
                "their classes, move them into a folder each: "
                f'(cd {place} && for x in {each}; do mkdir "$x" && mv "$x"[!a-zA-Z]* "$x"/; done)'
            )
    return ""


def is_prose(column: pd.Series) -> bool:
    """True if its cells are sentences."""
    return len(column) > 0 and column.head(200).str.count(r"\s").mean() >= 4
