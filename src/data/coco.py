"""Tables that are JSON files, as of COCO: lists of images, annotations and categories, joined to a row a picture.

  {"images": [{"id": 7, "file_name": "7.jpg", "location": 3}], "annotations": [{"image_id": 7, "category_id": 2}],
   "categories": [{"id": 2, "name": "Puma concolor"}]}

is a row of id, file_name, location, category_id and category_name. Images and categories may call their ids image_id
and category_id; without annotations, or as a list of images alone, it is a table of test rows. What is no text and no
number is passed over, such as boxes and outlines: https://cocodataset.org/#format-data
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from src.base.csvs import read_text
from src.base.errors import UserError

BLANKS = re.compile(r"[ \t\n\r]*")
BEHIND = re.compile(r"[ \t\n\r]*([,\]}])[ \t\n\r]*")
DECODER = json.JSONDecoder()
TABLES = ("images", "annotations", "categories")
FILES_KEPT = 4  # tables of the last files that were read, of which a stage asks several times


class NoTable(UserError):
    """A JSON file that has no rows of pictures."""


class Columns:
    """Records as columns of text: a column for each field, "" where a record has none."""

    def __init__(self):
        self.cells, self.n = {}, 0

    def add(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if (cell := value if type(value) is str else as_text(value)) is not None:
                if len(column := self.cells.setdefault(name, [])) < self.n:
                    column += [""] * (self.n - len(column))
                column.append(cell)
        self.n += 1

    def table(self) -> pd.DataFrame:
        padded = {name: column + [""] * (self.n - len(column)) for name, column in self.cells.items()}
        return pd.DataFrame(padded, index=range(self.n), dtype=str)


def is_json(table: str) -> bool:
    """Return whether a config's `train` or `test` is a JSON file."""
    return table.lower().endswith(".json")


def read(path: Path) -> pd.DataFrame:
    """Return a row for each picture and annotation of it, every cell as text; "" where there is none.

    Columns are the fields of images; those of annotations, but for their ids; and those of categories, of which `name`
    is category_name. A field that is there already gets annotation_ or category_ before its name.

    Raises:
        NoTable: It has no list of images.
        UserError: It is not there, or no JSON.
    """
    about = path.stat() if path.is_file() else None
    return read_once(path, about and (about.st_size, about.st_mtime_ns)).copy()


@functools.lru_cache(FILES_KEPT)
def read_once(path: Path, version: tuple[int, int] | None) -> pd.DataFrame:
    """Return what `read` does; `version` is the file's size and time of change."""
    found, others = defaultdict(Columns), set()
    try:
        for key, record in records(read_text(path)):
            if key in TABLES and isinstance(record, dict):
                found[key].add(record)
            else:
                others.add(key)
    except (ValueError, IndexError) as error:  # it ends too early
        raise UserError(f"{path} is no JSON ({error}): is the competition's data whole?") from error
    frames = {key: columns.table() for key, columns in found.items()}
    if (images := frames.get("images")) is None or (id := id_column(images, "image_id")) is None:
        has = ", ".join(sorted(filter(None, {*frames, *others}))[:8]) or "no list"
        raise NoTable(f"{path} is no table of pictures: it has {has}, and no images with ids")
    return join_categories(join_annotations(images, id, frames.get("annotations")), frames.get("categories"))


def write(path: Path, df: pd.DataFrame) -> None:
    """Write rows of text that `read` reads again."""
    path.write_text(json.dumps({"images": df.to_dict("records")}), encoding="utf-8")


def join_annotations(images: pd.DataFrame, id: str, annotations: pd.DataFrame | None) -> pd.DataFrame:
    """Return a row for each image and annotation of it; an image without one has a row too."""
    if annotations is None or "image_id" not in annotations:
        return images
    annotations = annotations.drop(columns="id", errors="ignore")
    taken = {name: f"annotation_{name}" for name in annotations if name in images and name != "image_id"}
    annotations = annotations.rename(columns={**taken, "image_id": id})
    return images.merge(annotations, on=id, how="left").fillna("")


def join_categories(df: pd.DataFrame, categories: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows with what is said of their categories."""
    if "category_id" not in df or categories is None or (id := id_column(categories, "category_id")) is None:
        return df
    taken = {name: f"category_{name}" for name in categories if name == "name" or name in df}
    categories = categories.rename(columns={**taken, id: "category_id"}).drop_duplicates("category_id")
    return df.merge(categories, on="category_id", how="left").fillna("")


def id_column(df: pd.DataFrame, longer: str) -> str | None:
    return next((name for name in ("id", longer) if name in df), None)


def as_text(value: Any) -> str | None:
    """Return a cell's text: that of a text, a number or a truth value, of a list of texts with blanks between them."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return None if isinstance(value, (list, dict)) else str(value)


def records(text: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, element) of each list in the outermost object; of a list alone, as those of "images".

    One at a time: the standard library's decoder would hold all of a gigabyte as objects, five times as much.

    Raises:
        ValueError, IndexError: It is no JSON, or ends too early.
    """
    at = skip(text, 0)
    if text[at] == "[":
        yield from elements(text, at, "images")
    elif text[at] == "{":
        yield from members(text, at)


def members(text: str, at: int) -> Iterator[tuple[str, Any]]:
    """Yield the elements of the lists in the object at `at`."""
    at, going = skip(text, at + 1), True
    while going and text[at] != "}":
        key, at = DECODER.raw_decode(text, at)
        at = skip(text, at)
        if text[at] != ":":
            raise json.JSONDecodeError("Expecting ':'", text, at)
        at = skip(text, at + 1)
        if text[at] == "[":
            at = yield from elements(text, at, key)
        else:
            yield key, None
            _, at = DECODER.raw_decode(text, at)
        at, going = behind(text, at)


def elements(text: str, at: int, key: str) -> Generator[tuple[str, Any], None, int]:
    """Yield (key, element) of the list at `at`; return the place behind it."""
    at, going = skip(text, at + 1), True
    if text[at] == "]":
        return at + 1
    while going:
        element, at = DECODER.raw_decode(text, at)
        yield key, element
        at, going = behind(text, at)
    return at


def behind(text: str, at: int) -> tuple[int, bool]:
    """Return the place behind an element's comma, and True; or behind the bracket that closes what it is in."""
    if (match := BEHIND.match(text, at)) is None:
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return match.end(), match[1] == ","


def skip(text: str, at: int) -> int:
    """Return the place of the next sign that is no blank."""
    return BLANKS.match(text, at).end()
