"""A table of a CSV file, as people and programs write it: any separator, the encodings that a mark tells."""

import codecs
import csv
import io
import itertools
import lzma
import re
import tarfile
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.common import get_handle

from src.base.errors import UserError, counted

ENCODINGS = {  # by their marks; that of UTF-32 begins with UTF-16's
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# What a packed file raises that is another one, or cut off, or packed in a way that Python does not know
BROKEN = (EOFError, NotImplementedError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
SEPARATORS = ",;\t|"  # a comma first, which is meant where others do as well
HEAD, ROWS_LOOKED_AT = 1_000_000, 100  # characters and rows by which the separator is found
csv.field_size_limit(2**31 - 1)  # not 131,072: a quote that is never closed makes one cell of all that follows


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table with every cell as text; only an empty cell counts as missing (then "").

    Its cells are parted by commas, semicolons, tabs or bars: see `find_separator`; it is UTF-8, or has the mark of
    UTF-16. Rows and columns without any text are left out: `df.attrs["passed_over"]` counts them.

    Raises:
        UserError: It is not there, empty, in another encoding or not a table, or rows have more cells than the header.
    """
    text, separator = find_separator(read_text(path))
    check_header(path, text, separator)
    surplus = 0
    try:
        df = parse_csv(text, separator)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path} is not a CSV table: {error}") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning):  # a row has more cells than the header
        text, surplus = trim_rows(path, text, separator)
        df = parse_csv(text, ",")
    df.columns = df.columns.str.strip()
    unnamed = [name for name in df if name == "" or name.startswith("Unnamed: ")]
    blank = [name for name in unnamed if (df[name].str.strip() == "").all()]
    if blank:
        df = df.drop(columns=blank)
    empty = np.ones(len(df), bool)
    for name in df:
        if not empty.any():
            break
        empty[empty] = (df.loc[empty, name].str.strip() == "").to_numpy(bool)
    if empty.any():
        df = df[~empty].reset_index(drop=True)
    numbers = {"empty column": surplus + len(blank), "empty row": int(empty.sum())}
    df.attrs["passed_over"] = [counted(n, what) for what, n in numbers.items() if n]
    return df


def pass_over(df: pd.DataFrame, what: str, made_of: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add `what` to `df.attrs["passed_over"]`, behind what the frame has there that `df` was made of; return `df`."""
    df.attrs["passed_over"] = [*(df if made_of is None else made_of).attrs.get("passed_over", ()), what]
    return df


def check_header(path: Path, text: str, separator: str) -> None:
    """Raise a UserError if two columns have one name: pandas would call the second `label.1`, and the first be read."""
    header = next((cells for cells in csv.reader(io.StringIO(text, newline=None), delimiter=separator) if cells), ())
    for name, n in Counter(cell.strip() for cell in header).items():
        if name and n > 1:
            raise UserError(f"{path} has the column {name!r} twice: rename one of them")


def read_text(path: Path) -> str:
    """Read a file of text, packed or not, in UTF-8 or in the encoding that its mark tells.

    Raises:
        UserError: It is not there, not to be read or not whole, or its encoding is another, which nothing tells.
    """
    try:
        with get_handle(path, "rb", compression="infer", is_text=False) as handles:
            raw = handles.handle.read()
    except FileNotFoundError as error:
        remedy = "is the competition's data whole? (delete its folder to fetch it again)"
        raise UserError(f"{path} is missing: {remedy}") from error
    except (*BROKEN, ValueError) as error:  # the last one of several files in one
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        raise UserError(f"{path} cannot be read as its ending says ({error}): unpack it yourself") from error
    encoding = marked_encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        known = encoding.removesuffix("-sig").upper()
        guess = ", but maybe Latin-1 or of another old code page" if known == "UTF-8" else ""
        raise UserError(
            f"{path} is not {known} text ({error.reason} in line {line}){guess}: save it as UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(f"{path} has NUL characters: it is UTF-16 without a mark, or no text: save it as UTF-8")
    return text


def marked_encoding(raw: bytes) -> str:
    """Return the encoding that a text's mark tells; without a mark it is UTF-8."""
    return next((name for mark, name in ENCODINGS.items() if raw.startswith(mark)), "utf-8")


def find_separator(text: str) -> tuple[str, str]:
    """Return the table, without Excel's line `sep=;`, and what parts its cells.

    A comma, unless the header has none; or unless another mark gives each row as many cells as the header, and commas
    do not, or give fewer: `id;size, mm` and `1;3,5`.
    """
    if match := re.match(r"sep=(.)[\r\n]+", text):
        return text[match.end() :], match[1]
    cells = {mark: count_cells(text[:HEAD], mark) for mark in SEPARATORS}
    header = {mark: counts[0] for mark, counts in cells.items()}
    if header[","] < 2:
        return text, max(header, key=header.get)
    even = {mark: n for mark, n in header.items() if n > 1 and set(cells[mark]) == {n}}
    return text, max(even, key=even.get, default=",")


def count_cells(head: str, mark: str) -> list[int]:
    """Return how many cells the header and the first rows with a text have, if this mark parts them."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=mark)
    try:
        rows = [row for row in itertools.islice(reader, ROWS_LOOKED_AT) if any(row)]
    except csv.Error:
        return [0]
    whole = rows[:-1] if len(head) == HEAD and len(rows) > 1 else rows  # the last may be cut off
    return [len(row) for row in whole] or [0]


def parse_csv(text: str, separator: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False)


def trim_rows(path: Path, text: str, separator: str) -> tuple[str, int]:
    """Return the table with commas and without cells behind the header's last, and the most of these in a row.

    Raises:
        UserError: Some of these cells have a text, as of a comma that is not quoted; or the text is not a table.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        problem = f"line {reader.line_num}: {error}: is a quote opened and not closed?"
        raise UserError(f"{path} is not a CSV table: {problem}") from error
    n = len(rows[0][1])
    if wide := [(line, row) for line, row in rows if any(cell.strip() for cell in row[n:])]:
        line, row = wide[0]
        raise UserError(
            f"{path} has {counted(len(wide), 'row')} with more cells than the header ({n}), the first in line {line} "
            f"({len(row)}: {separator.join(row)[:80]!r}): put quotes around a cell that has {separator!r} in it"
        )
    trimmed = io.StringIO()
    csv.writer(trimmed).writerows(row[:n] for _, row in rows)
    return trimmed.getvalue(), max(len(row) for _, row in rows) - n
